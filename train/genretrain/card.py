"""The card of a model file: written into its metadata, and set out beside it for people."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from genred.card import CARD_KEY, ModelCard, Result

_HEAD = """\
# {name}

What [{name}.onnx]({name}.onnx) says of itself, in its metadata under `{key}`. Written by `genretrain`; edits are lost.

It answers windows of {window} MFCC frames ({seconds}) with one probability for each of {n} labels: {labels}.
"""


def store(model: Path, card: ModelCard) -> None:
    """Write `card` into the ONNX file `model`, whole or not at all."""
    import onnx

    proto = onnx.load(model)
    del proto.metadata_props[:]
    proto.metadata_props.add(key=CARD_KEY, value=msgspec.json.encode(card).decode())
    partial = model.with_name(f"{model.name}.partial")
    partial.write_bytes(proto.SerializeToString())
    partial.rename(model)


def fingerprint(model: Path) -> str:
    """Digest of all in the ONNX file `model` that its answers come from; what is only said of them is not in it."""
    import onnx

    proto = onnx.load(model)
    (entry,) = [one for one in proto.metadata_props if one.key == CARD_KEY]
    card = msgspec.json.decode(entry.value, type=ModelCard)
    heard = [card.labels, card.spec, card.gain, card.window_frames, card.horizons]
    return hashlib.sha256(proto.graph.SerializeToString(deterministic=True) + msgspec.json.encode(heard)).hexdigest()


def set_out(model: Path, card: ModelCard) -> None:
    """Write `card` beside `model`, as Markdown; every number comes from the card."""
    model.with_suffix(".md").write_text(markdown(card, model.stem))


def markdown(card: ModelCard, name: str) -> str:
    """Set `card` of the model called `name` out for reading."""
    training = {key: value for key, value in card.training.items() if key not in ("recipe", "command", "run")}
    recipe = {key: value for key, value in card.training.get("recipe", {}).items() if key not in ("spec", "gain")}
    span = sorted({card.horizons[0].frames, card.window_frames})
    head = _HEAD.format(
        name=name,
        key=CARD_KEY,
        window=" to ".join(str(frames) for frames in span),
        seconds=" to ".join(f"{card.spec.seconds(frames):.2f} s" for frames in span),
        n=len(card.labels),
        labels=", ".join(card.labels),
    )
    sections = {
        "Results": _results(card.results, name),
        "Training": _settings(training),
        "Recipe": _settings(recipe),
        "Features": _settings(dataclasses.asdict(card.spec)),
        "Gain": _settings(dataclasses.asdict(card.gain)),
        "Horizons": _horizons(card),
        "Network": _settings(card.geometry),
        "Commands": _commands(card, name),
        "Licence": card.licence,
    }
    return head + "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items())


def _results(results: tuple[Result, ...], name: str) -> str:
    if not results:
        return "Not evaluated yet."
    rows = (
        (r.split, r.input, r.tracks, r.correct, _percent(r.accuracy), f"{_percent(r.low)} to {_percent(r.high)}")
        for r in results
    )
    title = (
        "Held-out tracks; a track's answer is the mean probability of its windows. Every answer, and how often the"
        f" tracks were looked at, is in `train/results/{name}.json`.\n\n"
    )
    return title + _table(("split", "input", "tracks", "correct", "accuracy", "95 % interval (Wilson)"), rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _horizons(card: ModelCard) -> str:
    rows = [(h.frames, f"{card.spec.seconds(h.frames):.2f} s", h.temperature, h.unsure_below) for h in card.horizons]
    title = (
        "A window is judged as the longest horizon that is not longer than it says: probabilities to the power"
        " 1 / temperature, and no label if the greatest is below the threshold.\n\n"
    )
    return title + _table(("frames", "length", "temperature", "unsure below"), rows)


def _settings(values: dict[str, Any]) -> str:
    return _table(("setting", "value"), _flat(values))


def _flat(values: dict[str, Any], place: str = "") -> Iterable[tuple[str, Any]]:
    """Rows of nested settings, with dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{key}.")
        elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
            yield from _flat({str(i): part for i, part in enumerate(value)}, f"{place}{key}.")
        else:
            yield place + key, value


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _commands(card: ModelCard, name: str) -> str:
    lines = [
        card.training.get("command", "genretrain fit RECIPE.toml   # with the recipe above"),
        f"genretrain export runs/{card.training.get('run', name)} --out models/{name}.onnx",
        f"genretrain evaluate models/{name}.onnx --data GTZAN   # the folder of the music",
    ]
    return "\n".join(["```sh", *lines, "```"])
