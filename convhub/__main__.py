"""``python -m convhub`` is the command line."""

from .cli import main

main()
