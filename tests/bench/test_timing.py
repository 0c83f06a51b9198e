"""That what is timed is right, and how it is timed; no test here asserts a speed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import types

import numpy as np
import pytest
from support import toy_backend

import convhub
from convhub import plugins
from convhub.backend import hookimpl
from convhub.bench import timing
from convhub.bench.agreement import DisagreementError, allowed_difference, check_agreement, difference
from convhub.bench.layers import Layer, of_problem
from convhub.bench.memory import can_keep
from convhub.bench.peak import measure_peak
from convhub.bench.results import Settings
from convhub.bench.sides import make_side, operands
from convhub.bench.timing import interleaved, milliseconds
from convhub.bench.worker import time_layer
from convhub.problem import PRIMITIVES, Problem
from convhub.reference.oracle import Operands, exact
from convhub.system.machine import this_machine

FAST = Settings(backend="toy", against="naive", least_rounds=1, most_rounds=2, seconds=0.0)
LAYER = "n2c4h7w8_k6r3s2_stride2x1_pad1x0_dilation1x2_groups2"
UP = "grad_input_n2c4h9w9_k6r3s2_stride2x3_pad1x0_groups2"


def right(problem, given):
    first, second = {
        "forward": (given.x, given.w),
        "grad_input": (given.dy, given.w),
        "grad_weight": (given.dy, given.x),
    }[problem.primitive]
    return exact(problem, Operands(first, second)).value


@pytest.mark.parametrize("side", ["toy", "torch itself"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_each_side_calls_what_the_problem_says(toy, side, transposed, primitive, dtype):
    if side != "toy":
        pytest.importorskip("torch")
    text = UP if transposed else LAYER
    layer = Layer("", Problem.parse(text).replace(primitive=primitive, dtype=dtype), transposed)
    given = operands(layer.problem)
    if side == "toy":
        found = make_side("toy", layer, given)
    else:
        found = make_side("torch", layer, given, is_other=True)
        if found.call is None:  # torch has no gradients of integers
            assert (dtype, "not implemented" in found.declined) == ("int64", True)
            return
    result, expected = found.result(), right(layer.problem, given)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=0, atol=0 if dtype == "int64" else 1e-12)


def test_torch_gets_the_same_memory_and_bfloat16_comes_back():
    pytest.importorskip("torch")
    pytest.importorskip("ml_dtypes")
    layer = of_problem(Problem.parse("forward_bfloat16_n1c3h5w4_k2r2s3"))
    given = operands(layer.problem)
    theirs = make_side("torch", layer, given, is_other=True)
    ours = make_side("naive", layer, given)
    check_agreement(layer.problem, "a", theirs.result(), "b", ours.result())
    given.x[...] = 0  # which torch must see
    assert not theirs.result().any()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("n1c3h5w4_k2r2s3_pad1-0x0", "torch pads both sides alike"), ("float128_n1c3h5w4_k2r2s3", "longdouble")],
)
def test_what_torch_cannot_says_why(text, reason):
    pytest.importorskip("torch")
    if np.dtype("g").itemsize == 8:
        pytest.skip("there is no float128 here")
    layer = of_problem(Problem.parse(text))
    found = make_side("torch", layer, operands(layer.problem), is_other=True)
    assert found.call is None
    assert reason in found.declined


def test_a_backend_that_declines_is_a_row_with_its_reason(toy):
    row = time_layer(of_problem(Problem.parse("float16_n1c3h5w4_k2r2s3")), FAST, "system")
    assert (row.backend, row.milliseconds, row.ratio) == ("toy", None, None)
    assert "takes float32" in row.declined
    assert row.against_milliseconds > 0


def test_where_none_is_named_the_row_says_what_ran(toy, monkeypatch):
    monkeypatch.setenv("CONVHUB_BACKEND", "numpy")
    settings = dataclasses.replace(FAST, backend=None)
    problem = Problem.parse("float64_n1c3h5w4_k2r2s3")
    row = time_layer(of_problem(problem), settings, "keep")
    assert (row.backend, row.algorithm) == ("numpy", convhub.explain(problem).parts[0].algorithm)
    assert (row.layer_class, row.macs, row.bytes) == ("stem", 2 * 4 * 2 * 3 * 2 * 3, 8 * (60 + 36 + 16))
    assert row.ratio == row.against_milliseconds / row.milliseconds


@pytest.mark.parametrize("what", ["value", "nan"])
def test_a_wrong_result_names_both_sides_and_the_problem(what):
    def forward(x, w, bias, problem, options):
        y = toy_backend.forward(x, w, bias, problem, options)
        y[0, -1, -1, -1] = np.nan if what == "nan" else y[0, -1, -1, -1] + 0.01
        return y

    wrong = dataclasses.replace(toy_backend.toy, name="wrong", forward=forward)
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [wrong])), "wrong_plugin")
    settings = dataclasses.replace(FAST, backend="wrong")
    try:
        with pytest.raises(DisagreementError, match=r"wrong and naive do not agree on forward_float32_n1c3"):
            time_layer(of_problem(Problem.parse("n1c3h5w4_k2r2s3")), settings, "keep")
    finally:
        plugins.unregister("wrong_plugin")


def test_the_measure_of_agreement_by_hand():
    one, other = np.array([3.0, 4.0, 0.0, 0.0]), np.array([3.0, 4.0, 0.0, 1.0])
    assert difference(one, one) == 0
    assert difference(one, other) == pytest.approx(1 / ((25 / 4 + 26 / 4) / 2) ** 0.5)
    assert difference(one, other[:3]) == np.inf
    assert difference(np.zeros(3), np.zeros(3)) == 0
    problem = Problem.parse("n1c16h5w4_k2r1s1")
    assert allowed_difference(problem) == 16 * (8 + 4) * 2.0**-23
    assert allowed_difference(problem.replace(dtype="int32")) == 0
    assert allowed_difference(problem.replace(dtype="bfloat16")) == 0.5


def test_turns_change_their_order_and_begin_with_a_call_that_does_not_count(monkeypatch):
    monkeypatch.setattr(timing, "TURN", 0.0)
    called = []
    calls = [lambda: called.append("a"), lambda: called.append("b")]
    times = interleaved(calls, Settings(least_rounds=3, most_rounds=9, seconds=0.0))
    assert "".join(called) == "ab" + "bbaa" + "aabb" + "bbaa"
    assert len(times.rounds) == len(times.of(0)) == 3
    assert len(interleaved(calls, Settings(least_rounds=3, most_rounds=5, seconds=60.0)).rounds) == 5


def test_the_least_where_memory_is_kept_and_else_the_median():
    seconds = [0.5, 0.25, 4.0]
    assert (milliseconds(seconds, "keep"), milliseconds(seconds, "system")) == (250.0, 500.0)


def test_memory_that_is_freed_is_kept():
    if not can_keep():
        pytest.skip("mallopt is glibc's")
    # In a process of its own, since it cannot be undone. 64 MiB are 16384 pages, or 32 large ones.
    code = (
        "from convhub.bench.memory import keep, new_pages\n"
        "before = [new_pages(64) for _ in range(3)][-1]\n"
        "keep()\n"
        "print(before, [new_pages(64) for _ in range(3)][-1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before >= 32
    assert after < 8


def test_the_peak_and_the_machine():
    peak = measure_peak("float64", 2, size=64, copied=2**20)
    assert peak.gflops > 0
    assert peak.gigabytes_per_second > 0
    assert "float64, 2 threads" in str(peak)
    machine = this_machine({"numpy": "1"})
    assert machine.cpu
    assert machine.cores >= 1
    assert list(machine.versions) == ["python", "numpy"]
