"""Measured choices whose file is locked, damaged or not to be had: kept in memory, and said once."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest

from convhub.dispatch import tuning_store
from convhub.dispatch.tuning_store import Measured, keep, recall

QUICK = Measured("quick", 0.25)
SLOW = Measured("slow", 0.5)


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Return where the file is, of which nothing is known yet."""
    found = tmp_path / "a folder?" / "tuning.sqlite"
    monkeypatch.setattr(tuning_store, "database_path", lambda: found)
    monkeypatch.setattr(tuning_store, "_memory", {})
    monkeypatch.setattr(tuning_store, "_logged", set())
    monkeypatch.setattr(tuning_store, "_unused_until", 0.0)
    return found


def as_a_new_process(monkeypatch):
    monkeypatch.setattr(tuning_store, "_memory", {})
    monkeypatch.setattr(tuning_store, "_unused_until", 0.0)


def test_what_is_kept_is_there_for_a_new_process(path, monkeypatch, caplog):
    assert recall("problem", "here") is None
    assert not path.parent.exists()
    keep("problem", "here", QUICK)
    as_a_new_process(monkeypatch)
    assert recall("problem", "here") == QUICK
    assert recall("problem", "there") is None
    keep("problem", "here", SLOW)
    as_a_new_process(monkeypatch)
    assert recall("problem", "here") == SLOW
    assert caplog.text == ""


def test_a_locked_file_is_waited_for_once_and_for_a_moment(path, caplog):
    keep("before", "here", QUICK)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        for number in range(20):
            assert recall(f"problem {number}", "here") is None
            keep(f"problem {number}", "here", SLOW)
            assert recall(f"problem {number}", "here") == SLOW
        assert time.monotonic() - start < 3  # 20 s for each before
    (record,) = caplog.records
    assert f"measured choices stay in memory, since another process holds {path} locked" in record.message


def test_a_file_that_was_locked_is_used_again_later(path, monkeypatch):
    keep("before", "here", QUICK)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    keep("meanwhile", "here", SLOW)
    other.close()
    keep("still", "here", SLOW)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + tuning_store.PAUSE + 1)
    keep("later", "here", QUICK)
    monkeypatch.setattr(tuning_store, "_memory", {})
    assert [recall(name, "here") for name in ("before", "still", "later")] == [QUICK, None, QUICK]


OTHER_TABLE = "CREATE TABLE choice (shape TEXT, winner TEXT)"


def truncated(path):
    for number in range(200):
        keep(f"problem {number}", "here", QUICK)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"this is no database" * 100),
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
        lambda path: sqlite3.connect(path).execute(OTHER_TABLE).connection.close(),
        truncated,
    ],
    ids=["text", "bytes", "another table", "truncated"],
)
@pytest.mark.parametrize("first", ["recall", "keep"])
def test_a_damaged_file_is_moved_aside_and_replaced(path, damage, first, monkeypatch, caplog):
    path.parent.mkdir()
    damage(path)
    damaged = path.read_bytes()
    as_a_new_process(monkeypatch)
    if first == "recall":
        assert recall("problem", "here") is None
    keep("problem", "here", QUICK)
    as_a_new_process(monkeypatch)
    assert recall("problem", "here") == QUICK
    assert path.with_name("tuning.sqlite.damaged").read_bytes() == damaged
    (record,) = caplog.records
    assert "the file of measured choices was damaged" in record.message


@pytest.mark.parametrize("obstacle", ["a file for a folder", "a folder for the file"])
def test_a_file_that_cannot_be_made_is_said_once(path, obstacle, caplog):
    if obstacle == "a folder for the file":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("")
    for number in range(3):
        assert recall(f"problem {number}", "here") is None
        keep(f"problem {number}", "here", QUICK)
        assert recall(f"problem {number}", "here") == QUICK
    (record,) = caplog.records
    assert "measured choices stay in memory, since " in record.message
    assert str(path.parent) in record.message


def test_a_user_without_a_folder_for_caches(path, monkeypatch, caplog):
    def nowhere():
        raise PermissionError("no home")

    monkeypatch.setattr(tuning_store, "database_path", nowhere)
    keep("problem", "here", QUICK)
    assert recall("problem", "here") == QUICK
    assert "since PermissionError: no home" in caplog.text


def test_memory_does_not_grow_without_end(path, monkeypatch):
    monkeypatch.setattr(tuning_store, "_unused_until", float("inf"))
    for number in range(tuning_store.MOST + 10):
        keep(f"problem {number}", "here", QUICK)
    assert len(tuning_store._memory) <= tuning_store.MOST
