"""Compiling is measured: each kernel's phases and sizes, and how often each helper is compiled and linked."""

from __future__ import annotations

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba import jit
from convhub_numba.pipeline import KernelLibrary
from convhub_numba.runtime import compile_profile
from convhub_numba.runtime.compile_profile import profiled
from numba import types

from convhub.backend import HelperProfile, KernelProfile

PHASES = ["prepare", "types", "lower", "link", "LLVM", "code"]
FLOATS = types.Array(types.float32, 1, "C")


@pytest.fixture
def planted():
    """Return two kernels: one calls a helper for one type, the other for two, and another helper by it."""

    @jit.part
    def halved(number):
        return number / 2

    @jit.part
    def doubled(number):
        return halved(number) * 4

    @jit.kernel
    def first(numbers, count, step):
        for i in range(0, count, step):
            numbers[i] = doubled(numbers[i])

    @jit.kernel
    def second(numbers, count):
        for i in range(count):
            numbers[i] = doubled(numbers[i]) + doubled(i)

    def compile_all():
        first.compile((FLOATS, types.int64, types.literal(3)))
        second.compile((FLOATS, types.int64))

    return compile_all


def test_time_and_sizes_of_each_kernel(planted):
    before = dict(vars(KernelLibrary))
    first, second = profiled(planted)
    assert dict(vars(KernelLibrary)) == before
    assert first.name.endswith("test_compile_profile.first float32 3")
    assert second.name.endswith("test_compile_profile.second float32")
    for kernel in (first, second):
        assert list(kernel.phases) == PHASES
        assert all(seconds > 0 for seconds in kernel.phases.values())
        assert kernel.seconds == pytest.approx(sum(kernel.phases.values()))
        assert sum(helper.seconds for helper in kernel.helpers) < kernel.seconds
        assert kernel.sizes["IR lines"] > 50
        assert 0 < kernel.sizes["code KB"] < 10
    assert profiled(planted) == []  # they are compiled


def test_how_often_each_helper_is_compiled_and_linked(planted):
    first, second = (counts(kernel) for kernel in profiled(planted))
    assert first == {"doubled": (1, 1), "halved": (1, 1)}
    assert second == {"doubled": (1, 2), "halved": (1, 2)}  # for integers; for floats there was one


def test_the_next_kernel_of_the_same_name_gets_a_number():
    @jit.kernel
    def empty(number):
        pass

    kernels = profiled(lambda: [empty.compile((each,)) for each in (types.int64, types.float64)])
    names = [kernel.name.rpartition(".")[2] for kernel in kernels]
    assert names == ["empty", "empty #2"]


def test_what_is_replaced_is_restored_after_an_error():
    before = dict(vars(KernelLibrary))

    def fails():
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        profiled(fails)
    assert dict(vars(KernelLibrary)) == before


def test_with_an_unknown_version_of_numba_its_own_events_are_enough(planted, monkeypatch):
    monkeypatch.setattr(compile_profile, "KNOWN_VERSIONS", ())
    first, _ = profiled(planted)
    assert set(first.phases) == {"prepare", "types", "lower"}
    assert first.seconds == pytest.approx(sum(first.phases.values()))
    assert counts(first) == {"doubled": (1, None), "halved": (1, None)}


def counts(kernel: KernelProfile):
    """Return how often each of the test's helpers was compiled and linked."""

    def ours(helper: HelperProfile):
        return "test_compile_profile" in helper.name

    return {h.name.rpartition(".")[2]: (h.compiled, h.linked) for h in kernel.helpers if ours(h)}
