"""What a backend says of itself, and that its plugin imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from convhub import config
from convhub.arrays import numpy_dtype
from convhub.candidates import run_options
from convhub.conformance.calls import registered
from convhub.conformance.subjects import Subject
from convhub.conformance.verify import random_problems
from convhub.problem import PRIMITIVES

HEAVY = ("cupy", "jax", "numba", "pandas", "scipy", "tensorflow", "torch")

_IMPORT_ONE_PLUGIN = """
import importlib.metadata, json, sys
import convhub
already = set(sys.modules)
for entry in importlib.metadata.entry_points(group="convhub", name=sys.argv[1]):
    entry.load()
print(json.dumps(sorted(set(sys.modules) - already)))
"""


def test_declaration_is_consistent(subject: Subject) -> None:
    """Declare at least one primitive, and only dtypes and devices that exist."""
    backend = registered(subject.backend).backend
    assert backend.primitives, f"backend {subject.backend!r} offers no primitive"
    for primitive in PRIMITIVES:
        for dtype in backend.capabilities.dtypes_of(primitive):
            assert numpy_dtype(dtype).itemsize
    assert backend.capabilities.devices
    assert set(backend.capabilities.devices) <= {"cpu", "cuda"}


def test_answers(subject: Subject) -> None:
    """Answer `supports` and `algorithm` as the contract wants."""
    backend = registered(subject.backend).backend
    options = run_options(backend, config.current())
    for problem in random_problems(30, seed=0):
        placed = problem.replace(device=subject.device)
        answer = backend.supports(placed)
        assert answer is True or (isinstance(answer, str) and answer), f"supports({placed}) gave {answer!r}"
        if answer is True and backend.algorithm is not None and backend.capabilities.refusal(placed) is None:
            assert isinstance(backend.algorithm(placed, options), str)


def test_plugin_imports_nothing_heavy(subject: Subject) -> None:
    """Leave heavy libraries alone until the first call."""
    origin = registered(subject.backend).origin
    if origin.distribution == "this process":
        pytest.skip("registered by hand, so there is no plugin to import")
    command = [sys.executable, "-c", _IMPORT_ONE_PLUGIN, origin.plugin]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    heavy = set(json.loads(printed)) & set(HEAVY)
    assert not heavy, f"{origin} imports {', '.join(sorted(heavy))}; it must wait until it is called"
