"""Plans of many problems, some of which have large tables, stay within a limit in bytes on every engine."""

import gc
import importlib
import inspect
import itertools
import tracemalloc

import pytest

from convhub.backend import RunOptions, bounded_cache
from convhub.problem import Problem

OPTIONS = RunOptions(threads=2)


def numpy_plans():
    plans = importlib.import_module("convhub_numpy.plans")
    return plans.gather_plan, (OPTIONS.workspace_limit,)


def cupy_plans():
    planner = importlib.import_module("convhub_cupy.planner")
    return planner.make_plan, (planner.Settings(OPTIONS.workspace_limit, False, False, "never", (9, 0)),)


def numba_plans():
    pytest.importorskip("numba", reason="the engine is made of Numba")
    return importlib.import_module("convhub_numba.planner").make_plan, (OPTIONS,)


def growth(prepare, problems):
    """Return how many bytes are held after each problem but the first."""
    prepare(problems[0])
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = []
        for problem in problems[1:]:
            prepare(problem)
            held.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()
    return held


@pytest.mark.parametrize(
    ("plans", "text"),
    [
        (numba_plans, "grad_input_float32_n1c4h1w{}_k4r1s301"),  # tables of 301 taps
        (numpy_plans, "grad_input_float32_n1c1h64w{}_k1r2s2_stride24"),  # 576 phases
        (cupy_plans, "grad_input_float32_n1c1h64w{}_k1r2s2_stride24"),
    ],
)
def test_what_a_plan_takes_is_seen(plans, text):
    """The limit is what the engines have, made small, so that few plans reach it."""
    plan, settings = plans()
    computed = plan.__wrapped__
    assert computed.__code__.co_qualname.startswith("bounded_cache")
    problems = [Problem.parse(text.format(1000 + 3 * i)) for i in range(12)]
    kept = []
    one = growth(lambda problem: kept.append(computed.__wrapped__(problem, *settings)), problems[:2])[0]
    small = bounded_cache(most_bytes=4 * one)(computed.__wrapped__)
    held = growth(lambda problem: small(problem, *settings), problems)
    assert max(held) < 5.5 * one
    assert min(b - a for a, b in itertools.pairwise(held)) < -one  # it was full, and cleared


def test_what_the_numba_engine_has_prepared_is_forgotten_with_the_plans(monkeypatch):
    plan, _ = numba_plans()
    engine = importlib.import_module("convhub_numba.engine")
    clear = inspect.getclosurevars(plan.__wrapped__).nonlocals["clear"]
    assert clear.__self__ is engine._known
    monkeypatch.setattr(
        engine, "make_plan", bounded_cache(64 * 1024, clear=clear)(plan.__wrapped__.__wrapped__)
    )
    problems = [Problem.parse(f"grad_input_float32_n1c4h1w{1000 + 3 * i}_k4r1s301") for i in range(12)]
    engine._known.clear()
    try:
        held = growth(lambda problem: engine._prepared(problem, OPTIONS, 0), problems)
        assert len(engine._known) < len(problems)
        assert max(held) < 200 * 1024
    finally:
        engine._known.clear()
