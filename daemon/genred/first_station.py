"""python -m genred.first_station: what ``make run`` listens to, on stdout; why, on stderr."""

from __future__ import annotations

import sys

from .errors import SourceError


def choose() -> tuple[str, str]:
    """URI of the default microphone, or of the demo station, and why."""
    try:
        from .sources.microphone import default_input
    except SourceError as error:
        return "demo:", f"the demo station, because {error}"
    name = default_input()
    if name is None:
        return "demo:", "the demo station, because there is no microphone"
    return "mic:", f"the default input, {name}"


if __name__ == "__main__":
    uri, why = choose()
    print(f"genred listens to {why}", file=sys.stderr)
    print(uri)
