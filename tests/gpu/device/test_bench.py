"""What `convhub bench --device cuda` rests upon, on a device: events, TF32, and the whole command."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from convhub.bench.cuda import cuda, event_clock, issue_seconds, prepare_torch
from convhub.bench.results import read_report
from convhub.system.gpu import gpus


def test_the_driver_and_the_libraries_have_the_same_devices():
    found = gpus()
    for library in ("cupy", "torch"):
        assert cuda(library).devices() == len(found)
        assert all(cuda(library).versions().values())
    import cupy
    import torch

    for index, gpu in enumerate(found):
        properties = torch.cuda.get_device_properties(index)
        assert gpu.name == properties.name
        assert gpu.multiprocessors == properties.multi_processor_count
        assert gpu.capability == f"{properties.major}.{properties.minor}"
        assert gpu.capability.replace(".", "") == cupy.cuda.Device(index).compute_capability


@pytest.mark.parametrize("library", ["cupy", "torch"])
def test_events_take_as_long_as_the_host_waits(library):
    if library == "cupy":
        import cupy as xp

        wait = xp.cuda.Device().synchronize
    else:
        import torch as xp

        wait = xp.cuda.synchronize
    device = {"device": "cuda"} if library == "torch" else {}
    a = xp.ones((4096, 4096), dtype=xp.float32, **device)

    def call():
        return a @ a

    seconds = event_clock(cuda(library))
    seconds(call, 20)
    wait()
    start = time.perf_counter()
    by_events = seconds(call, 20)
    by_host = (time.perf_counter() - start) / 20
    assert 0.5 * by_host <= by_events <= by_host * 1.01
    # To issue a call is another matter: it does not wait for the device.
    assert issue_seconds(cuda(library), call) < by_events


@pytest.mark.parametrize("allow", [False, True])
def test_torch_rounds_to_tf32_only_where_it_may(allow):
    import torch

    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("TF32 begins with compute capability 8.0")
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    try:
        prepare_torch(allow)
        generator = torch.Generator("cuda").manual_seed(1)
        x, w = (
            torch.randn(shape, generator=generator, device="cuda")
            for shape in ((8, 128, 32, 32), (128, 128, 3, 3))
        )
        right = torch.conv2d(x.double(), w.double(), padding=1)
        error = float((torch.conv2d(x, w, padding=1) - right).abs().max() / right.abs().max())
    finally:
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before
    # Of 24 bits against 11; Winograd, which strict float32 may use, loses a few.
    assert error > 5e-5 if allow else error < 2e-5


def test_a_whole_benchmark(tmp_path):
    problem = "forward_float32_n8c64h28w28_k64r3s3_pad1"
    command = [sys.executable, "-m", "convhub.cli", "bench", problem, "--device", "cuda", "--backend", "cupy"]
    done = subprocess.run(
        [*command, "--quick", "--save-to", str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.json")
    (row,) = read_report(path).rows
    assert row.backend == "cupy"
    assert row.milliseconds > 0
    assert row.against_milliseconds > 0
    assert row.issue_milliseconds > 0
