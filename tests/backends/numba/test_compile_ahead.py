"""Compiling ahead compiles the kernels that calls launch, keeps them, and takes no memory for operands."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from convhub_numba import backend, engine, launch
from support.guarded_cases import DTYPES, one_of_each
from support.guarded_run import operands_of

from convhub.backend import RunOptions
from convhub.problem import Problem


@pytest.fixture
def launched(monkeypatch):
    """Give the set of kernels, each with its types, that launches ask for while no plan has any."""
    found = set()
    real = launch._compiled

    def noted(function, prepared, scratch_types, pairs):
        found.add((function, scratch_types, *pairs[::2]))
        return real(function, prepared, scratch_types, pairs)

    monkeypatch.setattr(launch, "_compiled", noted)
    engine._known.clear()
    yield found
    engine._known.clear()


def taken(found):
    """Return what a set holds, and clear it."""
    copy = set(found)
    found.clear()
    return copy


@pytest.mark.parametrize("dtype", DTYPES)
def test_exactly_the_kernels_of_calls_are_compiled(dtype, launched):
    chosen, compiling = one_of_each(dtype, 256), set()
    for (algorithm, primitive), case in chosen.items():
        operands = operands_of(case, np.random.default_rng(0))
        backend.compile(case.problem, case.options)
        ahead = taken(launched)
        getattr(backend, primitive)(*operands, case.problem, case.options)
        if algorithm == "winograd":  # whose kernels for what is not finite run only then
            operands[1][...] = np.inf
            getattr(backend, primitive)(*operands, case.problem, case.options)
        assert ahead == taken(launched), str(case)
        compiling |= {algorithm} if ahead else set()
    assert compiling == {algorithm for algorithm, _ in chosen}


def test_both_ways_to_run_a_problem_are_compiled(launched):
    """A kernel as large as its image is a matrix product if the weight is contiguous."""
    problem, options = Problem.parse("grad_input_n3c5h6w7_k4r6s7"), RunOptions()
    assert engine._prepare(problem, options, 0).rewritten is not None
    backend.compile(problem, options)
    ahead = taken(launched)
    dy, w = (np.ones(shape, "f4") for shape in problem.operand_shapes)
    backend.grad_input(dy, w, None, problem, options)
    backend.grad_input(dy, w[:, ::-1], None, problem, options)
    assert ahead == taken(launched)


@pytest.mark.parametrize("geometry", ["c64h8000w8000_k64r3s3_pad1", "c64h9000w9000_k64r2s2_stride2"])
@pytest.mark.parametrize("primitive", ["forward", "grad_input", "grad_weight"])
def test_a_layer_of_any_size_takes_no_memory(primitive, geometry):
    problem = Problem.parse(f"{primitive}_n9999{geometry}")
    backend.compile(problem, RunOptions())
    tracemalloc.start()
    backend.compile(problem, RunOptions())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**6


CHILD = """
import sys
import numpy as np
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub_numba import backend
from convhub_numba.runtime import compile
step, text = sys.argv[1:]
problem, options = Problem.parse(text), RunOptions(workspace_limit=0)
if step == "compile":
    print(backend.compile(problem, options), backend.compile(problem, options))
else:
    def refused(kernel, signature):
        raise AssertionError(f"{kernel} is compiled again")
    compile._compile = refused
    print(backend.forward(*(np.ones(s, "f4") for s in problem.operand_shapes), None, problem, options).sum())
"""


def child(step, folder):
    command = [sys.executable, "-c", CHILD, step, "forward_n1c1h3w3_k1r3s3"]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_a_later_process_compiles_nothing(tmp_path):
    first = child("compile", tmp_path)
    number, again = map(int, first.stdout.split())
    # The plain loops, what calls them for their types, and the four functions of the threads.
    assert (number, again) == (6, 0), first.stderr
    assert child("compile", tmp_path).stdout.split() == ["0", "0"]
    called = child("call", tmp_path)
    assert called.stdout.split() == ["9.0"], called.stderr


def test_a_folder_that_takes_no_kernel_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    refused = child("compile", tmp_path / "file")
    assert refused.returncode == 1
    assert "ConfigurationError: compiled kernels are not kept: NUMBA_CACHE_DIR is" in refused.stderr
    assert "Set NUMBA_CACHE_DIR to a folder that has room" in refused.stderr
