"""The script that compute-sanitizer runs on a GPU reaches every kernel: shown on the emulator."""

from __future__ import annotations

import dataclasses
import sys
import types
from typing import Literal

import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

import convhub_cupy.runtime.cupy_runtime

from gpu import sanitizer_run
from gpu.emulator import EmulatedRuntime, why_not
from gpu.sanitizer_run import Recorder, Source, choose, every_kernel, kernel_of, missing

needs_emulator = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@needs_emulator
def test_every_kernel_runs_in_every_type(capsys):
    runtime = EmulatedRuntime()
    assert sanitizer_run.report(runtime, "numpy") == 0
    # It is what the emulator has run that counts.
    ran = {Source(file, name, options) for file, name, options, *_ in runtime.launched}
    kernels = set(map(kernel_of, ran))
    others, unreached = missing(ran, runtime)
    assert (kernels | set(others), unreached) == (every_kernel(), [])
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == f"{len(kernels)} of {len(every_kernel())} kernels ran, in {len(ran)} variants"
    assert [f"not for this device: {' '.join(kernel)}" for kernel in others] == lines[
        len(lines) - len(others) :
    ]
    assert 0 < len(lines) - len(others) <= len(ran)  # each case reaches a variant that none before did


def test_a_kernel_that_is_not_reached_is_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(sanitizer_run, "run_all", lambda runtime, library: choose(runtime)[1])
    monkeypatch.setattr(sanitizer_run, "GEOMETRIES", sanitizer_run.GEOMETRIES[:1])
    assert sanitizer_run.report(EmulatedRuntime(), "numpy") == 1
    assert "not reached by any candidate: depthwise.cu depthwise_correlate float" in capsys.readouterr().err


def test_on_a_device_each_array_has_memory_of_its_own_and_the_end_is_waited_for(monkeypatch):
    asked = []
    cupy = types.ModuleType("cupy")
    device = types.SimpleNamespace(synchronize=lambda: asked.append("wait"))
    cupy.cuda = types.SimpleNamespace(set_allocator=asked.append, Device=lambda: device)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(convhub_cupy.runtime.cupy_runtime, "cupy_runtime", lambda: "the device's")
    monkeypatch.setattr(sanitizer_run, "report", lambda *given: asked.append(given) or 7)
    assert sanitizer_run.main() == 7
    assert asked == [None, ("the device's", "cupy"), "wait"]


def test_a_kernel_that_no_candidate_reaches_is_told(monkeypatch):
    runtime = EmulatedRuntime()
    _, planned = choose(runtime)
    assert runtime.launched == []  # planning runs nothing
    monkeypatch.setattr(sanitizer_run, "GEOMETRIES", sanitizer_run.GEOMETRIES[:1])
    _, fewer = choose(runtime)
    others, unreached = missing(fewer, runtime)
    assert {kernel.name for kernel in unreached} >= {"depthwise_correlate"}
    assert {*map(kernel_of, fewer), *others, *unreached} == every_kernel()
    assert len(fewer) < len(planned)


def test_a_kernel_for_other_devices_is_told_apart(monkeypatch):
    """A planner with a kernel for the newest devices only is played by one that looks at the runtime."""
    runtime = EmulatedRuntime()
    (one, *_), reached = choose(runtime, (7, 5))
    newest = sanitizer_run.Source("new.cu", "newest", ("-DELEMENT=float",))
    real = sanitizer_run.run

    def run(case, recorder, arrays):
        if getattr(recorder, "capability", (7, 5)) >= (12, 0):
            recorder.launch(newest)
        real(case, recorder, arrays)

    kernels = every_kernel() | {kernel_of(newest)}
    monkeypatch.setattr(sanitizer_run, "run", run)
    monkeypatch.setattr(sanitizer_run, "every_kernel", lambda: kernels)
    monkeypatch.setattr(sanitizer_run, "candidates", lambda: iter([one]))
    others, _ = missing(reached, Recorder(runtime, runs=False, capability=(7, 5)))
    assert kernel_of(newest) in others


def test_options_with_few_values_are_tried_one_at_a_time(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Options:
        algorithm: Literal["auto", "always", "never"] = "auto"
        fast: bool = True
        size: int = 3

    backend = dataclasses.replace(sanitizer_run.BACKEND, options=Options)
    monkeypatch.setattr(sanitizer_run, "BACKEND", backend)
    # Annotations of this file are texts, which a class inside a function cannot look up.
    monkeypatch.setattr(
        sanitizer_run.typing,
        "get_type_hints",
        lambda _: {"algorithm": Literal["auto", "always", "never"], "fast": bool, "size": int},
    )
    assert sanitizer_run.own_options() == [
        Options(),
        Options("always"),
        Options("never"),
        Options(fast=False),
    ]
    monkeypatch.setattr(sanitizer_run, "BACKEND", dataclasses.replace(backend, options=None))
    assert sanitizer_run.own_options() == [None]
