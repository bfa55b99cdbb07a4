"""Large letters, five pixels high, drawn with half blocks so that they stay square."""

from __future__ import annotations

PIXEL_ROWS = 5
# One letter: its rows from the top, "#" is ink.
FONT = {
    "a": ".##. #..# #### #..# #..#",
    "b": "###. #..# ###. #..# ###.",
    "c": ".### #... #... #... .###",
    "d": "###. #..# #..# #..# ###.",
    "e": "#### #... ###. #... ####",
    "f": "#### #... ###. #... #...",
    "g": ".### #... #.## #..# .###",
    "h": "#..# #..# #### #..# #..#",
    "i": "# # # # #",
    "j": "..## ...# ...# #..# .##.",
    "k": "#..# #.#. ##.. #.#. #..#",
    "l": "#... #... #... #... ####",
    "m": "#...# ##.## #.#.# #...# #...#",
    "n": "#...# ##..# #.#.# #..## #...#",
    "o": ".##. #..# #..# #..# .##.",
    "p": "###. #..# ###. #... #...",
    "q": ".##. #..# #..# #.## .###",
    "r": "###. #..# ###. #.#. #..#",
    "s": ".### #... .##. ...# ###.",
    "t": "##### ..#.. ..#.. ..#.. ..#..",
    "u": "#..# #..# #..# #..# .##.",
    "v": "#...# #...# .#.#. .#.#. ..#..",
    "w": "#...# #...# #.#.# ##.## #...#",
    "x": "#..# #..# .##. #..# #..#",
    "y": "#...# .#.#. ..#.. ..#.. ..#..",
    "z": "#### ..#. .#.. #... ####",
    "0": ".##. #..# #..# #..# .##.",
    "1": ".# ## .# .# .#",
    "2": "###. ...# .##. #... ####",
    "3": "###. ...# .##. ...# ###.",
    "4": "#..# #..# #### ...# ...#",
    "5": "#### #... ###. ...# ###.",
    "6": ".### #... ###. #..# .##.",
    "7": "#### ...# ..#. .#.. .#..",
    "8": ".##. #..# .##. #..# .##.",
    "9": ".##. #..# .### ...# ###.",
    "%": "#...# ...#. ..#.. .#... #...#",
    "-": "... ... ### ... ...",
    "_": ".... .... .... .... ####",
    "&": ".#.. #.#. .#.# #.#. .#.#",
    "'": "# # . . .",
    ".": ". . . . #",
    " ": ".. .. .. .. ..",
}
_HALVES = {("#", "#"): "█", ("#", "."): "▀", (".", "#"): "▄", (".", "."): " "}


def large(text: str) -> list[str]:
    """Three rows that show `text`; none if a letter of it is not in the font."""
    pixels = _pixels(text)
    if not pixels:
        return []
    pixels.append("." * len(pixels[0]))
    return ["".join(_HALVES[pair] for pair in zip(*pixels[row : row + 2], strict=True)) for row in (0, 2, 4)]


def larger(text: str) -> list[str]:
    """Five rows, a pixel two columns wide; none if a letter of it is not in the font."""
    return [row.replace("#", "██").replace(".", "  ") for row in _pixels(text)]


def _pixels(text: str) -> list[str]:
    """Rows of pixels, "#" and ".", with a column between two letters."""
    glyphs = [FONT[letter].split() for letter in text.lower() if letter in FONT]
    if not text or len(glyphs) < len(text):
        return []
    return [".".join(glyph[row] for glyph in glyphs) for row in range(PIXEL_ROWS)]
