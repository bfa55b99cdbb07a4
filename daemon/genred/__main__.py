"""python -m genred."""

from .cli import main

main()
