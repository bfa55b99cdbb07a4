"""python -m genred."""

from .cli import main

main(prog_name="genred")
