"""The folder of compiled kernels stays within its limit, and files that are used stay in it longest."""

import os
import time

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba.runtime.kernel_cache import files, limit

DAY = 24 * 3600


def write(folder, name, days_ago=0.0, size=100):
    path = folder / name
    path.write_bytes(bytes(size))
    moment = time.time() - days_ago * DAY
    os.utime(path, (moment, moment))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_those_used_longest_ago_go_first(tmp_path):
    for number in range(5):
        write(tmp_path, f"{number}.nbc", days_ago=5 - number)
    limit.keep_within(str(tmp_path), 500)
    assert len(names(tmp_path)) == 5
    limit.keep_within(str(tmp_path), 250)
    assert names(tmp_path) == ["3.nbc", "4.nbc"]
    files.touch(str(tmp_path / "3.nbc"))
    limit.keep_within(str(tmp_path), 150)
    assert names(tmp_path) == ["3.nbc"]


def test_the_newest_stays_even_if_it_is_larger(tmp_path):
    write(tmp_path, "old.nbc", days_ago=1)
    write(tmp_path, "new.nbc", size=10_000)
    limit.keep_within(str(tmp_path), 500)
    assert names(tmp_path) == ["new.nbc"]


def test_other_files_stay_and_do_not_count(tmp_path):
    write(tmp_path, "other.txt", days_ago=9, size=10_000)
    write(tmp_path, "a.nbc", days_ago=3)
    write(tmp_path, "b.nbc")
    (tmp_path / "folder.nbc").mkdir()
    limit.keep_within(str(tmp_path), 200)
    assert names(tmp_path) == ["a.nbc", "b.nbc", "folder.nbc", "other.txt"]


def test_what_ended_processes_left_goes_after_a_day(tmp_path):
    for days in (0.5, 2):
        write(tmp_path, f"a.nbc.{days}.lock", days_ago=days)
        write(tmp_path, f"a.nbc.0123456789abcdef{days}", days_ago=days)
    limit.keep_within(str(tmp_path))
    assert names(tmp_path) == ["a.nbc.0.5.lock", "a.nbc.0123456789abcdef0.5"]


def test_another_process_may_remove_files_meanwhile(tmp_path, monkeypatch):
    for number in range(3):
        write(tmp_path, f"{number}.nbc", days_ago=3 - number)
    real_unlink = os.unlink

    def twice(path):
        real_unlink(path)
        real_unlink(path)

    monkeypatch.setattr(limit.os, "unlink", twice)
    limit.keep_within(str(tmp_path), 100)
    assert names(tmp_path) == ["2.nbc"]
    limit.keep_within(str(tmp_path / "absent"), 100)


def test_a_file_is_marked_as_used_once_a_day(tmp_path):
    path = write(tmp_path, "a.nbc", days_ago=0.5)
    before = path.stat().st_mtime
    files.touch(str(path))
    assert path.stat().st_mtime == before
    path = write(tmp_path, "a.nbc", days_ago=1.5)
    files.touch(str(path))
    assert time.time() - path.stat().st_mtime < 60
    files.touch(str(tmp_path / "absent.nbc"))
