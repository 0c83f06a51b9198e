"""How much memory the Numba engine takes beyond its result, where layers are heavy."""

import json
import os
import subprocess
import sys

import pytest

from convhub.backend import RunOptions
from convhub.problem import PRIMITIVES, Problem

pytest.importorskip("numba", reason="the engine under test is made of Numba")

from convhub_numba.planner import make_plan

LIMIT = 64 * 2**20  # of a default call
#: Layers whose weights, columns or transforms would take many times that, were they made whole.
GEOMETRIES = {
    "deep": "n1c512h28w28_k512r3s3_pad1",
    "deepest": "n1c1024h14w14_k1024r3s3_pad1",
    "deepest_of_one_tile": "n2c1024h3w5_k1024r3s3_pad1",
    "deep_5x5": "n1c512h15w13_k512r5s5_pad2",
    "deep_7x7": "n1c512h17w19_k512r7s7_pad3",
    "large_images": "n16c64h224w224_k64r3s3_pad1",
    "many_images": "n256c64h56w56_k64r3s3_pad1",
    "stem": "n64c3h224w224_k64r7s7_stride2_pad3",
    "patches": "n8c3h384w384_k1024r16s16_stride16",
    "pointwise": "n32c2048h14w14_k2048r1s1",
    "strided": "n8c1024h29w31_k2048r3s3_stride2_pad1",
    "dilated": "n2c1024h33w35_k1024r3s3_dilation4_pad4",
    "grouped": "n32c1024h14w14_k1024r3s3_pad1_groups32",
    "two_groups": "n1c2048h7w7_k2048r3s3_pad1_groups2",
    "depthwise": "n16c1152h56w56_k1152r5s5_pad2_groups1152",
    "depthwise_31": "n4c256h56w56_k256r31s31_pad15_groups256",
    "whole_image": "n64c512h7w7_k4096r7s7",
    "generator": "n16c512h33w33_k1024r4s4_stride2_pad1",
    "video_rows": "n1c256h17w4096_k256r1s9_pad0x4",
}
#: Each in a process of its own.
MEASURED = {
    "deep": "n1c512h28w28_k512r3s3_pad1",
    "deepest": "n1c1024h14w14_k1024r3s3_pad1",
    "many_images": "n32c64h56w56_k64r3s3_pad1",
}

# One call compiles and imports everything; the scratch is gone with the threads that had it. Then the peak is
# forgotten, and the call made again.
CHILD = """
import gc, json, sys, threading
import numpy as np
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub_numba import backend
from convhub_numba.runtime import scratch, threads

problem = Problem.parse(sys.argv[1])
operands = [np.ones(shape, problem.dtype) for shape in problem.operand_shapes]
operands += [None] if problem.bias_shape else []
function = getattr(backend, problem.primitive)
options = RunOptions(threads=2)

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

def call():
    sizes.append(function(*operands, problem, options).nbytes // 1024)

sizes = []
once = threading.Thread(target=call)  # its scratch goes with it
once.start()
once.join()
threads.end_helpers()
gc.collect()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is what is held now
before = status("VmRSS")
again = threading.Thread(target=call)
again.start()
again.join()
print(json.dumps([before, status("VmHWM"), sizes[0]]))
"""


@pytest.mark.parametrize("bits", [128, 256, 512])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_plans_of_heavy_layers_stay_under_the_default_limit(geometry, primitive, dtype, bits):
    problem = Problem.parse(f"{primitive}_{dtype}_{GEOMETRIES[geometry]}")
    for threads in (1, 2, 16, 64):
        made = make_plan(problem, RunOptions(threads=threads), bits)
        assert made.scratch_bytes <= LIMIT, (made.algorithm, made.threads)
        assert made.algorithm != "direct"  # which needs none, and is a hundred times slower


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="Linux tells, and forgets, the peak")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("geometry", MEASURED)
def test_the_peak_of_a_process_grows_by_what_was_planned(geometry, primitive, dtype):
    problem = f"{primitive}_{dtype}_{MEASURED[geometry]}"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, problem],
        capture_output=True,
        text=True,
        timeout=240,
        # What is freed goes back to the system at once: else the call could take it unseen.
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MALLOC_MMAP_THRESHOLD_": "4096",
            "MALLOC_TRIM_THRESHOLD_": "4096",
        },
    )
    assert done.returncode == 0, done.stderr
    before, peak, result = json.loads(done.stdout)
    grown = (peak - before - result) * 1024
    planned = make_plan(Problem.parse(problem), RunOptions(threads=2)).scratch_bytes
    # Stacks of threads and what the allocator rounds up are no scratch; not all of it need be touched.
    assert planned / 2 - 2**21 <= grown <= planned + 2**21 <= LIMIT, f"{grown / 2**20:.1f} MiB"
