"""Timing by events, on a device whose time is made up; and what is asked of CuPy and of torch for it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convhub import plugins
from convhub.bench import cuda, sides, timing
from convhub.bench.agreement import DisagreementError, allowed_difference, check_agreement
from convhub.bench.device import Device, backend_on
from convhub.bench.formatting import facts, host_bound, setting
from convhub.bench.layers import of_problem
from convhub.bench.results import Settings
from convhub.bench.timing import interleaved
from convhub.bench.worker import Task, Work, environment, work
from convhub.conformance import calls
from convhub.errors import ArgumentError
from convhub.problem import PRIMITIVES, Problem

FAKES = Path(__file__).parents[1] / "gpu" / "fake_driver"


class FakeDevice:
    """A device that is behind the host: an event has its time when it comes by, not when it is recorded."""

    def __init__(self):
        self.stream = []  # what the host has issued: milliseconds of work, or an event
        self.waits = 0

    def call(self, milliseconds):
        return lambda: self.stream.append(milliseconds)

    def record(self):
        event = {"at": None}
        self.stream.append(event)
        return event

    def milliseconds(self, start, stop):
        self.waits += 1
        now = 0.0
        for item in self.stream:
            if isinstance(item, dict):
                item["at"] = now
            else:
                now += item
        return stop["at"] - start["at"]

    def release(self):
        pass


def test_events_time_what_lies_between_them_and_wait_once():
    device = FakeDevice()
    device.call(100.0)()  # work of before, which does not count
    assert cuda.event_clock(device)(device.call(0.5), 8) == pytest.approx(0.5e-3)
    assert device.stream.count(0.5) == 8
    assert device.waits == 1


def test_each_side_is_timed_by_its_own_clock():
    devices = FakeDevice(), FakeDevice()
    calls_ = [devices[0].call(2.0), devices[1].call(6.0)]
    clocks = [cuda.event_clock(device) for device in devices]
    times = interleaved(calls_, Settings(least_rounds=3, most_rounds=3, seconds=0.0), clocks)
    assert times.of(0) == pytest.approx([2e-3] * 3)
    assert times.of(1) == pytest.approx([6e-3] * 3)
    # A turn of 30 ms is 15 calls, or 5: in three rounds, each with one that does not count.
    assert devices[0].stream.count(2.0) >= 3 * (15 + 1)
    assert devices[1].stream.count(6.0) == 1 + 3 * (5 + 1)


def test_how_many_calls_fill_a_turn_is_found_in_steps():
    """Alone a call takes 1 ms, most of it the way there and back; among others 0.01 ms."""
    counts = []

    def clock(call, count):
        counts.append(count)
        return (1e-3 + 1e-5 * (count - 1)) / count

    interleaved([lambda: None], Settings(least_rounds=1, most_rounds=1, seconds=0.0), [clock])
    assert counts[:-1] == [1, 4, 16, 64, 256, 1024]
    assert counts[-1] == int(timing.TURN / ((1e-3 + 1e-5 * 1023) / 1024))


def test_issuing_is_timed_by_the_host_on_an_idle_device(monkeypatch):
    device, host = FakeDevice(), [0.0]
    waits = []

    def call():
        waits.append(device.waits)
        host[0] += 0.25
        device.stream.append(50.0)

    monkeypatch.setattr(cuda.time, "perf_counter", lambda: host[0])
    assert cuda.issue_seconds(device, call) == 0.25
    assert waits == [1] * cuda.ISSUED  # it had waited before, and not since
    assert device.waits == 2


@pytest.fixture
def fake_cupy(monkeypatch):
    monkeypatch.syspath_prepend(FAKES)
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    cuda.cuda.cache_clear()
    import cupy

    yield cupy
    cuda.cuda.cache_clear()
    sys.modules.pop("cupy")


def test_what_cupy_is_asked_for(fake_cupy, monkeypatch):
    device = cuda.cuda("cupy")
    assert device.devices() == 2
    device.use(1)
    assert fake_cupy.Device().id == 1
    assert cuda.event_clock(device)(lambda: fake_cupy.work(4.0), 3) == pytest.approx(4e-3)
    assert device.versions() == {"CUDA of CuPy": "13.2"}
    freed = []
    monkeypatch.setattr(fake_cupy._Pool, "free_all_blocks", lambda self: freed.append(1))
    device.release()
    assert freed == [1]


@pytest.fixture
def fake_backends(fake_cupy):
    import fake_gpu  # lies beside the stand-in

    plugins.register(fake_gpu, "fake")
    yield fake_cupy
    plugins.unregister("fake")


@pytest.mark.parametrize(
    ("against", "chosen"), [("torch", "fake_fast"), ("fake_fast", "fake_slow"), ("fake_slow", "fake_fast")]
)
def test_where_none_is_named_the_first_is_timed_that_is_not_the_other_side(fake_backends, against, chosen):
    assert backend_on(Device("cuda"), None, against) == chosen
    assert backend_on(Device("cuda"), "fake_fast", "fake_fast") == "fake_fast"  # who names it wants it


def test_the_worker_chooses_the_device_and_gives_memory_back(fake_backends, monkeypatch):
    fake_cupy = fake_backends
    where, freed, steps = [], [], []
    asarray = fake_cupy.asarray
    monkeypatch.setattr(fake_cupy, "asarray", lambda a: where.append(fake_cupy.Device().id) or asarray(a))
    monkeypatch.setattr(fake_cupy._Pool, "free_all_blocks", lambda self: freed.append(len(steps)))
    settings = Settings(
        "fake_fast", "fake_slow", device="cuda:1", memory=("pool",), least_rounds=1, most_rounds=1
    )
    tasks = [Task("", f"{primitive}_float32_n1c2h5w5_k2r3s3_cuda", False) for primitive in PRIMITIVES[:2]]
    work(Work(tasks, settings, "pool"), steps.append)
    assert set(where) == {1}
    assert freed == [1, 2]
    assert [step.row.ratio for step in steps] == pytest.approx([3.0, 3.0])
    assert [step.row.problem for step in steps] == [task.problem for task in tasks]


def test_what_torch_is_asked_for(monkeypatch):
    torch = pytest.importorskip("torch")
    asked = []

    class Event:
        def __init__(self, enable_timing):
            asked.append(("event", enable_timing))

        def record(self):
            asked.append("record")

        def synchronize(self):
            asked.append("wait")

        def elapsed_time(self, other):
            return 12.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", asked.append)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: asked.append("empty"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    cuda.cuda.cache_clear()
    device = cuda.cuda("torch")
    cuda.cuda.cache_clear()
    assert device.devices() == 3
    device.use(2)
    assert asked.pop() == 2
    assert cuda.event_clock(device)(lambda: asked.append("call"), 2) == pytest.approx(6e-3)
    assert asked == [("event", True), "record", "call", "call", ("event", True), "record", "wait"]
    device.release()
    assert asked[-1] == "empty"
    assert device.versions() == {"CUDA of torch": "13.0", "cuDNN": "9.10.2"}


PREPARED = """
import torch
from convhub.bench import cuda
cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
cuda.prepare_torch({allow})
assert (cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32) == (True, {allow}, {allow})
# The backend `torch` asks for what was set, so that mixing old names of it with new ones would fail.
with cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=not {allow}):
    assert cudnn.allow_tf32 != {allow}
assert cudnn.allow_tf32 == {allow}
"""


@pytest.mark.parametrize("allow", [False, True])
def test_torch_is_as_fast_as_it_can_be_and_as_exact_as_asked(allow):
    """In a process of its own: torch's own tests forbid for good that such flags are set."""
    pytest.importorskip("torch")
    subprocess.run([sys.executable, "-c", PREPARED.format(allow=allow)], check=True)


def test_a_library_without_cuda_is_refused():
    with pytest.raises(ArgumentError, match="library is 'numpy'; of arrays on CUDA there are cupy, torch"):
        cuda.cuda("numpy")


def test_torch_gets_tensors_of_its_own_on_the_device(monkeypatch):
    torch = pytest.importorskip("torch")
    asked = []

    def on_cpu(array, device):
        asked.append(device)
        return torch.from_numpy(np.array(array))

    monkeypatch.setattr(calls, "tensor", on_cpu)
    layer = of_problem(Problem.parse("n1c3h5w4_k2r2s3")).on("cuda")
    given = sides.operands(layer.problem)
    found = sides.make_side("torch", layer, given, is_other=True)
    assert (found.library, asked) == ("torch", ["cuda"] * 3)
    right = sides.make_side("naive", of_problem(Problem.parse("n1c3h5w4_k2r2s3")), given).result()
    np.testing.assert_allclose(found.result(), right, rtol=1e-5, atol=1e-5)
    given.x[...] = 0  # which on a device is another memory
    assert found.result().any()


def test_tf32_may_differ_as_float16_does():
    problem = Problem.parse("n1c16h5w4_k2r1s1")
    assert allowed_difference(problem, allow_tf32=True) == 16 * (8 + 4) * 2.0**-10
    double = problem.replace(dtype="float64")
    assert allowed_difference(double, allow_tf32=True) == allowed_difference(double)
    one, other = np.ones(problem.output_shape), np.ones(problem.output_shape)
    other[0, 0, 0, 0] += 0.01
    check_agreement(problem, "a", one, "b", other, allow_tf32=True)
    with pytest.raises(DisagreementError):
        check_agreement(problem, "a", one, "b", other)


def test_the_worker_is_told_of_tf32_and_of_threads_only_on_the_cpu():
    on_cpu = environment(Settings(threads=3))
    on_gpu = environment(Settings(backend="fake", device="cuda:0", allow_tf32=True))
    assert (on_cpu["CONVHUB_ALLOW_TF32"], on_cpu["CONVHUB_THREADS"]) == ("false", "3")
    assert on_gpu == {"CONVHUB_ACCURACY": "standard", "CONVHUB_ALLOW_TF32": "true", "CONVHUB_CHECK": "off"}


def test_times_that_are_the_hosts_are_counted(report):
    one, two, three = report.rows[:3]  # 1.0, 2.0, 4.0 ms; against 4.0, 2.0, 1.0 ms
    rows = [
        dataclasses.replace(one, issue_milliseconds=0.8, against_issue_milliseconds=0.1),
        dataclasses.replace(two, issue_milliseconds=1.59, against_issue_milliseconds=0.1),
        dataclasses.replace(three, issue_milliseconds=4.0, against_issue_milliseconds=0.9),
    ]
    assert host_bound(rows) == [
        "Bound by the host, since a call takes as long to issue as to run: 2 of convhub, 1 of torch"
    ]
    assert host_bound(report.rows) == []
    assert host_bound(rows[1:2]) == []


def test_a_report_names_the_gpu_and_its_setting(report):
    from convhub.system.gpu import Gpu

    chip = Gpu("Some chip", "9.0", 132, 80 * 2**30, "580.65.06", "13.1", 3)
    on_gpu = dataclasses.replace(
        report,
        machine=dataclasses.replace(report.machine, gpu=chip),
        settings=Settings("fake", device="cuda:1", memory=("pool",)),
        peak=None,
    )
    assert facts(on_gpu)[1] == (
        "Some chip, compute capability 9.0, 132 multiprocessors, 80.0 GiB; driver 580.65.06, "
        "up to CUDA 13.1; load 3 % before"
    )
    assert "on cuda:1, without TF32, accuracy standard" in facts(on_gpu)[3]
    assert setting(dataclasses.replace(on_gpu.settings, allow_tf32=True)) == "on cuda:1, with TF32"
    assert not on_gpu.machine.busy
    assert dataclasses.replace(on_gpu.machine, gpu=dataclasses.replace(chip, load=5)).busy
    assert (on_gpu.machine.chip, report.machine.chip) == ("Some chip", "Some CPU")


def test_the_figure_of_a_gpu_is_drawn(report, tmp_path):
    pytest.importorskip("matplotlib")
    from convhub.bench.plot import draw
    from convhub.system.gpu import Gpu

    machine = dataclasses.replace(report.machine, gpu=Gpu("Some <chip>", "9.0", 1, 1, "", "13.1"))
    rows = [dataclasses.replace(row, memory="pool") for row in report.rows[:3]]
    settings = Settings("fake", device="cuda:0", memory=("pool",))
    draw(dataclasses.replace(report, machine=machine, rows=rows, settings=settings), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
