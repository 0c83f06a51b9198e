"""``python -m convhub.cli`` is ``convhub``."""

from .app import main

main()
