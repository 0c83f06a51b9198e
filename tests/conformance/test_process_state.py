"""The checks of the rest of the process: every part can be read and set, and everything is restored."""

from __future__ import annotations

import ctypes
import dataclasses
import gc
import os
import sys
import types
import warnings

import pytest
from support import toy_backend

from convhub import plugins
from convhub.backend import hookimpl
from convhub.conformance.checks import process_parts, torch_parts
from convhub.conformance.checks.process_state import restored
from convhub.conformance.checks.resources import _levels
from convhub.conformance.checks.silence import captured
from convhub.conformance.verify import run_check
from convhub.problem import Problem

PROBLEM = Problem.parse("forward_float64_n1c2h5w5_k2r3s3")


@pytest.fixture
def calling():
    """Return the function that registers a backend which calls another function each time."""

    def register(function):
        def forward(*arguments):
            function()
            return toy_backend.forward(*arguments)

        backend = dataclasses.replace(toy_backend.toy, name="calling", forward=forward)
        module = types.SimpleNamespace(convhub_backends=hookimpl(lambda: [backend]))
        plugins.register(module, "calling_plugin")
        return backend.name

    yield register
    plugins.unregister("calling_plugin")


def _parts():
    pytest.importorskip("torch")
    return [*process_parts.parts(), *torch_parts.parts()]


def test_each_part_has_a_name_of_its_own():
    names = [part.name for part in _parts()]
    assert len(names) == len(set(names)) > 50


def test_each_part_can_be_set_to_what_it_is():
    for part in _parts():
        before = part.read()
        part.write(before)
        assert part.read() == before, part.name


def test_the_other_value_is_another_and_is_restored():
    with warnings.catch_warnings(), restored():
        before = {part.name: part.read() for part in _parts()}
        changed = set()
        with restored():
            for part in _parts():
                if part.other is not None:
                    part.write(part.other(part.read()))
                    if part.read() != before[part.name]:
                        changed.add(part.name)
        for part in _parts():
            assert part.read() == before[part.name], part.name
    # The mode is the usual one already; the others differ only where something has been set before.
    same = {
        "the floating-point mode",
        "the environment",
        "sys.path",
        "gc callbacks",
        "the root logger's handlers",
    }
    assert changed >= {part.name for part in _parts() if part.other is not None} - same


def test_what_a_call_changed_is_named_and_restored(calling):
    folder, limit = os.getcwd(), sys.getrecursionlimit()

    def change():
        os.chdir(os.path.dirname(os.path.abspath(os.sep)))
        sys.setrecursionlimit(limit + 100)

    with restored():
        finding = run_check("process state", PROBLEM, calling(change))
    assert finding.outcome == "failed"
    assert "the first call of a problem changed the" in finding.detail or "the call changed" in finding.detail
    assert (os.getcwd(), sys.getrecursionlimit()) == (folder, limit)


def test_a_setting_that_was_made_before_is_found_too(calling):
    name = calling(gc.disable)
    with restored():
        gc.disable()
        finding = run_check("process state", PROBLEM, name)
    assert "under other settings, the call changed whether gc is enabled from True to False" in finding.detail
    assert gc.isenabled()


def test_what_is_printed_is_captured_at_each_level():
    before = sys.stdout, sys.stderr
    with captured() as printed:
        print("by Python")
        print("in red", file=sys.stderr)
        os.write(1, b"below Python")
        ctypes.CDLL(None).puts(b"by C")
    assert (sys.stdout, sys.stderr) == before
    assert printed["sys.stdout"] == "by Python\n"
    assert printed["sys.stderr"] == "in red\n"
    assert sorted(printed["file descriptor 1"].split("\n")) == ["", "below Pythonby C"]
    assert printed["file descriptor 2"] == ""


def test_a_warning_is_quoted(calling):
    name = calling(lambda: warnings.warn("slow path", UserWarning, stacklevel=1))
    finding = run_check("silent", PROBLEM, name)
    assert finding.detail.endswith(
        "the call let out the warning UserWarning: 'slow path'; it must let none out"
    )


def test_leaks_are_measured(calling):
    kept = []
    finding = run_check("flat resources", PROBLEM, calling(lambda: kept.append(object())))
    assert "the number of Python's blocks of memory grew by" in finding.detail
    if sys.platform == "linux":
        assert all(value > 0 for name, value in _levels().items() if "child" not in name)


def test_what_does_not_apply_says_why():
    pytest.importorskip("torch")
    shared = Problem.parse("forward_float32_n2c16h16w18_k64r3s3_pad1x1")
    assert run_check("one thread", shared, "torch").detail.startswith("its number of threads belongs")
    assert run_check("workspace limit", PROBLEM, "numpy").outcome == "skipped"
