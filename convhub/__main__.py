"""Runs the command line as ``python -m convhub``."""

from .cli import main

main()
