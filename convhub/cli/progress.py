"""Shows a bar on stderr for work that takes a while, where somebody is watching."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from rich.progress import Progress

from .output import new_console

__all__ = ["PATIENCE", "progress"]

#: Seconds of work before a bar appears.
PATIENCE = 1.5


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """Give a function that is called with a description after each of `total` steps."""
    start = time.monotonic()
    # Without a thread that refreshes it: some checks fork, and threads do not survive that.
    bar = Progress(console=new_console(stderr=True), transient=True, auto_refresh=False)
    task = bar.add_task("", total=total)

    def advance(name: str) -> None:
        bar.update(task, advance=1, description=name)
        if bar.live.is_started:
            bar.refresh()
        elif sys.stderr.isatty() and time.monotonic() - start > PATIENCE:
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
