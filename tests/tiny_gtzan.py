"""A GTZAN of 100 tracks of a second and a half, a recipe for it, and a run of one epoch: training in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genretrain import gtzan, loop, recipe

PER_GENRE = 10
WINDOW = 40  # frames
RECIPE = """\
network = "crnn"
epochs = 1
batch = 16
window = 40
mixup = 0.2
average = 0.5

[spec]
n_mfcc = 8

[augment]
gain_db = 6
equaliser_db = 2.0
time_masks = 1
mask_frames = 10
"""


def tracks(genre: str, n: int = PER_GENRE) -> dict[str, NDArray[np.uint8]]:
    """Log-mels of 60 to 80 frames, as an archive holds them; a genre has its own loudness."""
    number = gtzan.GENRES.index(genre)
    rng = np.random.default_rng(number)
    return {
        f"{genre}.{i:05}": rng.integers(60, 80 + 10 * number, size=(rng.integers(60, 81), 128), dtype=np.uint8)
        for i in range(n)
    }


def write(data: Path, genres: tuple[str, ...] = gtzan.GENRES) -> Path:
    """Write the archives below `data`."""
    folder = data / "logmel"
    folder.mkdir(parents=True)
    for genre in genres:
        np.savez_compressed(folder / f"{genre}.npz", **tracks(genre))
    return data


def fitted(folder: Path) -> tuple[Path, Path]:
    """Write the tracks and train on them for an epoch; returns the folders of the data and of the run."""
    torch.set_num_threads(1)
    data = write(folder / "data")
    path = folder / "tiny.toml"
    path.write_text(RECIPE)
    loop.fit(data, folder / "tiny", recipe.read(path))
    return data, folder / "tiny"
