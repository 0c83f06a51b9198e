"""Makes a fork wait until no other thread is importing a module.

Python locks a module while it is being imported. A child that is forked meanwhile inherits the lock without
the thread that would release it, and its own import of that module would wait forever: at the first call of a
backend, which imports torch or Numba, of any plugin, or of anything else.
"""

from __future__ import annotations

import importlib
import threading
import time

__all__ = ["wait_for_imports"]

#: The longest wait, since the importing thread may wait for the forking one. Large libraries take seconds.
SECONDS = 30.0
LOOK_EVERY = 0.002

#: Modules whose import did not end in that time; they are not waited for again.
_endless: set[str] = set()


def wait_for_imports() -> None:
    """Wait until no other thread is importing, or `SECONDS` have passed."""
    end = time.monotonic() + SECONDS
    while found := _being_imported():
        if time.monotonic() > end:
            _endless.update(found)
            return
        time.sleep(LOOK_EVERY)


def _being_imported() -> set[str]:
    """Return the modules that other threads are importing."""
    me = threading.get_ident()
    # There is no public interface. An entry is a weak reference to a lock, whose owner is a thread.
    entries = getattr(importlib._bootstrap, "_module_locks", {})
    locks = [(name, reference()) for name, reference in entries.copy().items()]
    busy = {name for name, lock in locks if getattr(lock, "owner", None) not in (None, me)}
    return busy - _endless
