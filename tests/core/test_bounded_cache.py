"""What is remembered between calls is bounded in bytes: by the helper, and by the core's own caches."""

from __future__ import annotations

import gc
import threading
import tracemalloc
import types
from typing import NamedTuple

import numpy as np
import pytest

import convhub
from convhub import plugins
from convhub.backend import Backend, Capabilities, bounded_cache, hookimpl
from convhub.bounded_cache import held_bytes

MIB = 2**20


class Table(NamedTuple):
    name: str
    numbers: np.ndarray


def traced(work):
    """Return by how many MiB what is held has grown."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.zeros(12_500 + n),
        lambda n: np.zeros(12_500 + n)[10:20],
        lambda n: Table(str(n), np.zeros((125, 100))),
        lambda n: tuple(range(1000 + n, n + 4000)),
        lambda n: {i: [float(i)] for i in range(n, n + 500)},
        lambda n: types.SimpleNamespace(inner=[bytes(100_000)]),
    ],
    ids=["array", "view", "named_tuple", "numbers", "dict", "object"],
)
def test_large_values_are_forgotten_before_they_take_more_than_the_limit(make):
    held = []
    one = traced(lambda: held.append(make(0)))
    assert 0.8 * one < held_bytes(held[0]) / MIB < 1.3 * one
    cached = bounded_cache(most_bytes=MIB // 2)(make)
    assert traced(lambda: [cached(n) for n in range(20)]) < 0.5 + 1.1 * one
    assert cached.cache_info().currsize < 20


def test_what_fits_is_remembered():
    calls = []
    cached = bounded_cache(most_bytes=MIB)(lambda n, scale=1: calls.append(n) or n * scale)
    assert [cached(n) for n in (1, 2, 1, 2)] == [1, 2, 1, 2]
    assert cached(1, scale=3) == cached(1, scale=3) == 3
    assert calls == [1, 2, 1]


def test_there_are_no_more_entries_than_wanted():
    cached = bounded_cache(most_entries=8)(lambda n: n)
    for n in range(100):
        cached(n)
        assert cached.cache_info().currsize <= 8


def test_whatever_else_holds_the_values_is_told():
    beside = {}
    cached = bounded_cache(most_bytes=MIB, clear=beside.clear)(lambda n: np.zeros(40_000 + n))
    largest = 0
    for n in range(20):
        beside[n] = cached(n)
        largest = max(largest, len(beside))
    assert largest == 3  # of 0.3 MiB each


def test_an_error_is_not_remembered():
    calls = []

    @bounded_cache()
    def fails(n):
        calls.append(n)
        raise ValueError(n)

    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            fails(7)
    assert calls == [7, 7]


def test_many_threads():
    cached = bounded_cache(most_bytes=MIB)(lambda n: (n, np.full(10_000, n)))
    wrong = []

    def work():
        for n in range(200):
            value, table = cached(n % 50)
            if value != n % 50 or table[0] != value:
                wrong.append(n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_core_remembers_thousands_of_problems_in_a_few_mebibytes():
    def result(*operands_problem_options):
        return np.zeros(operands_problem_options[-2].result_shape, "f4")

    quick = Backend("quick", Capabilities(dtypes=("float32",)), result, result, result)
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [quick])), "quick")
    weight = np.ones((1, 1, 1, 1), "f4")

    line = np.ones((1, 1, 1, 4200), "f4")

    def work():
        for length in range(1, 4200):
            convhub.conv2d(line[..., :length], weight, backend="quick")

    try:
        assert traced(work) < 16
    finally:
        plugins.unregister("quick")
