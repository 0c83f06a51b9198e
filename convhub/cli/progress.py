"""Shows a progress bar on stderr for long work, if stderr is a terminal."""

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
def progress(total: int) -> Iterator[Callable[..., None]]:
    """Yield a function to call with a description after each of `total` steps.

    With 0 as its second argument it shows what is in hand.
    """
    start = time.monotonic()
    # No thread refreshes the bar, since some checks fork, and threads do not survive a fork.
    bar = Progress(console=new_console(stderr=True), transient=True, auto_refresh=False)
    task = bar.add_task("", total=total)

    def advance(name: str, steps: int = 1) -> None:
        bar.update(task, advance=steps, description=name)
        if bar.live.is_started:
            bar.refresh()
        elif sys.stderr.isatty() and time.monotonic() - start > PATIENCE:
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()
