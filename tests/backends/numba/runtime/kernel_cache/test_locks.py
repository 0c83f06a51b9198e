"""Locks among processes: held by one, told to the others, and no hindrance where there are none."""

import os
import threading
import time

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba.runtime.kernel_cache import locks


def test_one_holds_it_and_the_next_one_gets_it_afterwards(tmp_path):
    path = str(tmp_path / "a.lock")
    with locks.locked(path) as first, locks.locked(path) as second:
        assert (first, second) == (True, False)
        assert locks.is_locked(path)
    assert not os.path.exists(path)
    assert not locks.is_locked(path)
    with locks.locked(path) as third:
        assert third


def test_a_removed_file_is_no_lock(tmp_path, monkeypatch):
    """Between opening a file and locking it, its holder may remove it."""
    path = tmp_path / "a.lock"
    real_lock, opened = locks._lock, []

    def removed_meanwhile(descriptor):
        opened.append(descriptor)
        if len(opened) == 1:
            path.unlink()
        real_lock(descriptor)

    monkeypatch.setattr(locks, "_lock", removed_meanwhile)
    with locks.locked(str(path)) as held:
        assert held
        assert len(opened) == 2
        assert path.exists()


def test_a_wait_ends_when_the_lock_is_free_or_the_time_is_over(tmp_path):
    path = str(tmp_path / "a.lock")
    with locks.locked(path):
        began = time.monotonic()
        locks.wait_until_free(path, 0.1)
        assert time.monotonic() - began >= 0.1
        waiting = threading.Thread(target=locks.wait_until_free, args=(path, 100.0))
        waiting.start()
    waiting.join(50)
    assert not waiting.is_alive()


@pytest.mark.parametrize("place", ["absent", "no_locks"])
def test_where_there_are_no_locks_nobody_waits(place, tmp_path, monkeypatch):
    def unsupported(descriptor):
        raise OSError(95, "Operation not supported")

    path = str(tmp_path / "absent" / "a.lock") if place == "absent" else str(tmp_path / "a.lock")
    if place == "no_locks":
        monkeypatch.setattr(locks, "_lock", unsupported)
    with locks.locked(path) as first, locks.locked(path) as second:
        assert (first, second) == (True, True)
        assert not locks.is_locked(path)
