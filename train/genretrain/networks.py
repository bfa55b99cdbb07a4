"""The networks, one class each, a shape at the end of every line that makes one.

B batch, T frames, C coefficients, K classes. A network takes MFCC frames as they come, [B, T, C], standardises them
itself with the training set's statistics, and answers logits [B, K].
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


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


class CRNN(nn.Module):
    """The paper's network (section IV.C): three convolutions, two LSTMs, two dense layers.

    T and C are halved three times; the paper's 1000 frames of 20 coefficients leave 125 steps of 2 x 256 values.
    """

    KERNEL, POOL = 3, 2
    FILTERS = (64, 128, 256)
    RECURRENT = (256, 128)
    DENSE, DROPOUT = 64, 0.5

    def __init__(self, n_mfcc: int, n_classes: int) -> None:
        super().__init__()
        self.standardise = Standardise(n_mfcc)
        blocks: list[nn.Module] = []
        for inputs, filters in zip((1, *self.FILTERS), self.FILTERS, strict=False):
            blocks += [
                nn.Conv2d(inputs, filters, self.KERNEL, padding="same"),
                nn.ReLU(),
                nn.BatchNorm2d(filters),
                nn.MaxPool2d(self.POOL),
            ]
        self.convolutions = nn.Sequential(*blocks).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        features = self.FILTERS[-1] * (n_mfcc // self.POOL ** len(self.FILTERS))
        self.lstm1 = nn.LSTM(features, self.RECURRENT[0], batch_first=True)
        self.lstm2 = nn.LSTM(self.RECURRENT[0], self.RECURRENT[1], batch_first=True)
        self.dense = nn.Linear(self.RECURRENT[1], self.DENSE)
        self.dropout = nn.Dropout(self.DROPOUT)
        self.output = nn.Linear(self.DENSE, n_classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [B, K] of MFCC `frames` [B, T, C]."""
        x = self.standardise(frames).unsqueeze(1)  # [B, 1, T, C]
        x = self.convolutions(x)  # [B, 256, T/8, C/8]
        x = x.permute(0, 2, 1, 3).flatten(2)  # [B, T/8, 256 * C/8]
        x, _ = self.lstm1(x.float())  # [B, T/8, 256]
        x, _ = self.lstm2(x)  # [B, T/8, 128]
        x = torch.relu(self.dense(x[:, -1]))  # [B, 64]
        logits: Tensor = self.output(self.dropout(x))  # [B, K]
        return logits

    def geometry(self) -> dict[str, object]:
        """What an engine must know to run the network over a moving window (the card's ``geometry``)."""
        return {
            "convolutions": [
                {"kernel": self.KERNEL, "padding": "same", "filters": f, "pooling": self.POOL} for f in self.FILTERS
            ],
            "recurrent": list(self.RECURRENT),
            "dense": self.DENSE,
        }


NETWORKS: dict[str, type[CRNN]] = {"crnn": CRNN}
