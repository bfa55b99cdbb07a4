"""The networks, one class each, a shape at the end of every line that makes one.

B batch, T frames, C coefficients, K classes. A network takes MFCC frames as they come, [B, T, C], standardises them
itself with the training set's statistics, and answers logits [B, K].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

STEPS = "steps"  # name of the tensor [B, S, F] between what is local in time and what is not, in ONNX files


class Standardise(nn.Module):
    """Per coefficient: subtract the training set's mean, divide by its deviation."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, n_mfcc: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_mfcc))
        self.register_buffer("deviation", torch.ones(n_mfcc))

    def forward(self, frames: Tensor) -> Tensor:
        """Standardise `frames` [B, T, C]."""
        return (frames - self.mean) / self.deviation


class Network(nn.Module):
    """What all have in common: they are built for windows of T x C, and standardise them first."""

    def __init__(self, n_mfcc: int, n_classes: int, window: int) -> None:
        super().__init__()
        self.n_mfcc, self.n_classes, self.window = n_mfcc, n_classes, window
        self.standardise = Standardise(n_mfcc)

    def as_it_goes(self, frames: Tensor) -> Tensor:
        """Logits [B, S, K] after each step of MFCC `frames` [B, T, C]; S is 1 for a network that has no steps."""
        logits: Tensor = self(frames)
        return logits.unsqueeze(1)  # [B, 1, K]


class Rolled(Network):
    """A network in two parts, so that it can be rolled: convolutions, local in time, and what looks over a window."""

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, K] of MFCC `frames` [B, T, C]."""
        return self.over_steps(self.steps(frames))

    def steps(self, frames: Tensor) -> Tensor:
        """Return what is local in time: steps [B, S, F] of MFCC `frames` [B, T, C]."""
        raise NotImplementedError

    def over_steps(self, steps: Tensor) -> Tensor:
        """Logits [B, K] of `steps` [B, S, F]."""
        raise NotImplementedError

    def geometry(self) -> dict[str, object]:
        """What an engine must know to run the network over a moving window (the card's ``geometry``)."""
        raise NotImplementedError


class Convolutions(nn.Sequential):
    """The paper's three blocks of convolution, ReLU, batch normalisation, pooling: [B, 1, T, C] -> [B, 256, T/8, C/8].

    T and C are halved three times; the paper's 1000 frames of 20 coefficients leave 125 steps of 2 x 256 values.
    """

    KERNEL, POOL = 3, 2
    FILTERS = (64, 128, 256)
    SHRINKING = POOL ** len(FILTERS)

    def __init__(self) -> None:
        blocks: list[nn.Module] = []
        for inputs, filters in zip((1, *self.FILTERS), self.FILTERS, strict=False):
            blocks += [
                nn.Conv2d(inputs, filters, self.KERNEL, padding="same"),
                nn.ReLU(),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(self.POOL),
            ]
        super().__init__(*blocks)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class CRNN(Rolled):
    """The paper's network (section IV.C): three convolutions, two LSTMs, two dense layers. Any T will do."""

    RECURRENT = (256, 128)
    DENSE, DROPOUT = 64, 0.5

    def __init__(self, n_mfcc: int, n_classes: int, window: int = 1000) -> None:
        super().__init__(n_mfcc, n_classes, window)
        self.convolutions = Convolutions()
        features = Convolutions.FILTERS[-1] * (n_mfcc // Convolutions.SHRINKING)
        self.lstm1 = nn.LSTM(features, self.RECURRENT[0], batch_first=True)
        self.lstm2 = nn.LSTM(self.RECURRENT[0], self.RECURRENT[1], batch_first=True)
        self.dense = nn.Linear(self.RECURRENT[1], self.DENSE)
        self.dropout = nn.Dropout(self.DROPOUT)
        self.output = nn.Linear(self.DENSE, n_classes)

    def steps(self, frames: Tensor) -> Tensor:
        """Return what is local in time: steps [B, T/8, 256 * C/8] of MFCC `frames` [B, T, C]."""
        x = self.standardise(frames).unsqueeze(1)  # [B, 1, T, C]
        x = self.convolutions(x)  # [B, 256, T/8, C/8]
        steps: Tensor = x.permute(0, 2, 1, 3).flatten(2).float()  # [B, T/8, 256 * C/8]
        return steps

    def over_steps(self, steps: Tensor) -> Tensor:
        """Logits [B, K] of `steps` [B, T/8, 256 * C/8]."""
        return self._answer(self._recur(steps)[:, -1])  # [B, K]

    def as_it_goes(self, frames: Tensor) -> Tensor:
        """Logits [B, T/8, K] after each step of MFCC `frames` [B, T, C], of which the last are the network's."""
        return self._answer(self._recur(self.steps(frames)))  # [B, T/8, K]

    def _recur(self, steps: Tensor) -> Tensor:
        x, _ = self.lstm1(steps)  # [B, T/8, 256]
        states: Tensor = self.lstm2(x)[0]  # [B, T/8, 128]
        return states

    def _answer(self, states: Tensor) -> Tensor:
        x = torch.relu(self.dense(states))  # [..., 64]
        logits: Tensor = self.output(self.dropout(x))  # [..., K]
        return logits

    def geometry(self) -> dict[str, object]:
        """What an engine must know to run the network over a moving window (the card's ``geometry``)."""
        return {
            "convolutions": [
                {"kernel": Convolutions.KERNEL, "padding": "same", "filters": f, "pooling": Convolutions.POOL}
                for f in Convolutions.FILTERS
            ],
            "steps": STEPS,
            "recurrent": list(self.RECURRENT),
            "dense": self.DENSE,
        }


class CNN(Network):
    """The CRNN's convolutions under a dense head; the paper does not say how its CNN is built.

    The mean over time stands where the LSTMs are. Flattened instead, 64000 values into the dense layer, it does not
    learn at the others' learning rate: after four epochs the training loss was still log 10.
    """

    DENSE, DROPOUT = 64, 0.5

    def __init__(self, n_mfcc: int, n_classes: int, window: int) -> None:
        super().__init__(n_mfcc, n_classes, window)
        self.convolutions = Convolutions()
        self.dense = nn.Linear(Convolutions.FILTERS[-1] * (n_mfcc // Convolutions.SHRINKING), self.DENSE)
        self.dropout = nn.Dropout(self.DROPOUT)
        self.output = nn.Linear(self.DENSE, n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, K] of MFCC `frames` [B, T, C]."""
        x = self.standardise(frames).unsqueeze(1)  # [B, 1, T, C]
        x = self.convolutions(x)  # [B, 256, T/8, C/8]
        x = x.mean(2).flatten(1)  # [B, 256 * C/8]
        x = torch.relu(self.dense(x))  # [B, 64]
        logits: Tensor = self.output(self.dropout(x))  # [B, K]
        return logits


class DNN(Network):
    """A multilayer perceptron on the whole window at once; the paper does not say how its DNN is built."""

    HIDDEN = (512, 256, 64)
    DROPOUT = 0.5

    def __init__(self, n_mfcc: int, n_classes: int, window: int) -> None:
        super().__init__(n_mfcc, n_classes, window)
        layers: list[nn.Module] = []
        for inputs, units in zip((window * n_mfcc, *self.HIDDEN), self.HIDDEN, strict=False):
            layers += [nn.Linear(inputs, units), nn.ReLU(), nn.Dropout(self.DROPOUT)]
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(self.HIDDEN[-1], n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, K] of MFCC `frames` [B, T, C]."""
        x = self.standardise(frames).flatten(1)  # [B, T * C]
        x = self.hidden(x)  # [B, 64]
        logits: Tensor = self.output(x)  # [B, K]
        return logits


class Genred(Rolled):
    """genred's own: convolutions that see mel bands, a GRU, and the mean over time of what both say. Any T will do.

    A chord shifted in pitch is the same picture elsewhere in mel bands, but another picture in coefficients: so the
    cosine transform is undone first, as far as the coefficients allow. Taking the mean over the window, instead of the
    last state, makes an answer after three seconds the same kind of thing as one after twenty-three.
    """

    BANDS, DECIBELS = 64, 20.0  # values of a frame after the inverse transform, and what is 1 in them
    KERNEL = 3
    BLOCKS = ((32, 2, 2), (64, 2, 2), (128, 2, 2), (160, 1, 2))  # filters, pooling over time and over bands
    RECURRENT, DENSE = 128, 128
    SPATIAL_DROPOUT, DROPOUT = 0.1, 0.5

    bands: Tensor

    def __init__(self, n_mfcc: int, n_classes: int, window: int = 1000) -> None:
        super().__init__(n_mfcc, n_classes, window)
        self.register_buffer("bands", inverse_dct(n_mfcc, self.BANDS))
        layers: list[nn.Module] = []
        inputs, left = 1, self.BANDS
        for filters, over_time, over_bands in self.BLOCKS:
            layers += [
                nn.Conv2d(inputs, filters, self.KERNEL, padding="same", bias=False),
                nn.BatchNorm2d(filters),
                nn.ReLU(),
                nn.MaxPool2d((over_time, over_bands)),
                nn.Dropout2d(self.SPATIAL_DROPOUT),
            ]
            inputs, left = filters, left // over_bands
        self.convolutions = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = inputs * left
        self.gru = nn.GRU(features, self.RECURRENT, batch_first=True)
        self.dense = nn.Linear(features + self.RECURRENT, self.DENSE)
        self.dropout = nn.Dropout(self.DROPOUT)
        self.output = nn.Linear(self.DENSE, n_classes)

    def steps(self, frames: Tensor) -> Tensor:
        """Return what is local in time: steps [B, T/8, F] of MFCC `frames` [B, T, C]."""
        x = (frames - self.standardise.mean) @ self.bands / self.DECIBELS  # [B, T, 64]
        x = self.convolutions(x.unsqueeze(1))  # [B, 160, T/8, 4]
        steps: Tensor = x.permute(0, 2, 1, 3).flatten(2).float()  # [B, T/8, 640]
        return steps

    def over_steps(self, steps: Tensor) -> Tensor:
        """Logits [B, K] of `steps` [B, T/8, F]."""
        states, _ = self.gru(steps)  # [B, T/8, 128]
        x = torch.cat([steps.mean(1), states.float().mean(1)], 1)  # [B, 768]
        x = torch.relu(self.dense(self.dropout(x)))  # [B, 128]
        logits: Tensor = self.output(x)  # [B, K]
        return logits

    def geometry(self) -> dict[str, object]:
        """What an engine must know to run the network over a moving window (the card's ``geometry``)."""
        return {
            "bands": self.BANDS,
            "convolutions": [
                {"kernel": self.KERNEL, "padding": "same", "filters": filters, "pooling": over_time}
                for filters, over_time, _ in self.BLOCKS
            ],
            "steps": STEPS,
            "recurrent": [self.RECURRENT],
            "dense": self.DENSE,
        }


def inverse_dct(n_mfcc: int, bands: int, n_mels: int = 128) -> Tensor:
    """Matrix [C, bands]: `n_mfcc` coefficients of a log-mel spectrum of `n_mels` -> `bands` values of it, smoothed.

    The inverse of the orthonormal DCT-II, read at `bands` places instead of `n_mels`.
    """
    place = (torch.arange(bands, dtype=torch.float64) + 0.5) / bands
    order = torch.arange(n_mfcc, dtype=torch.float64)[:, None]
    basis = torch.cos(math.pi * order * place) * math.sqrt(2.0 / n_mels)
    basis[0] /= math.sqrt(2.0)
    return basis.float()


NETWORKS: dict[str, type[Network]] = {"crnn": CRNN, "cnn": CNN, "dnn": DNN, "genred": Genred}
