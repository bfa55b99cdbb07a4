"""The networks, one class each, a shape at the end of every line that makes one.

B batch, T frames, C coefficients, K classes. A network takes MFCC frames as they come, [B, T, C], standardises them
itself with the training set's statistics, and answers logits [B, K].
"""

from __future__ import annotations

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


class CRNN(Network):
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

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, K] of MFCC `frames` [B, T, C]."""
        return self.over_steps(self.steps(frames))

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


NETWORKS: dict[str, type[Network]] = {"crnn": CRNN, "cnn": CNN, "dnn": DNN}
