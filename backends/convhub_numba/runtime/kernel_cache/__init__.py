"""Keeps compiled kernels in files between processes, and shares them among all that run at once.

`store` loads, saves and claims kernels. `key` says what machine code depends on, `sources` which modules a
kernel is made of; `location` finds the place and decides whether to trust it; `files` reads and writes one
kernel, and `locks` has one process compile what several need. `limit` bounds the size of the folder, and
`contents` is what ``convhub cache`` shows and changes.
"""

from .location import VARIABLE
from .store import claim, folder, load, no_files, save, wait_for_others, why_not_kept

__all__ = ["VARIABLE", "claim", "folder", "load", "no_files", "save", "wait_for_others", "why_not_kept"]
