"""What the Numba engine does the first time: compile and say so, or take what an earlier process compiled."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

import numba
from convhub_numba.runtime import compile as compile_module

from convhub.bench.start import measure_start

#: Computes by the plain loops, which compile fastest, and prints what is logged and what is imported.
CHILD = """
import json, logging, sys
import numpy as np
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub_numba import backend

lines = []

class Collect(logging.Handler):
    def emit(self, record):
        # What is in the cache when the line comes tells whether it comes before or after.
        lines.append((record.name, record.levelname, record.getMessage(), len(list(CACHE.rglob("*.nbc")))))

import os, pathlib
CACHE = pathlib.Path(os.environ["NUMBA_CACHE_DIR"])
logging.getLogger("convhub.numba").addHandler(Collect())
logging.getLogger("convhub.numba").setLevel("INFO")
problem = Problem("forward", 1, 1, 1, (4, 4), (3, 3))
x, w = np.arange(16, dtype="f4").reshape(1, 1, 4, 4), np.ones((1, 1, 3, 3), "f4")
for _ in range(2):
    y = backend.forward(x, w, None, problem, RunOptions(workspace_limit=0))
assert y.tolist() == [[[[45.0, 54.0], [81.0, 90.0]]]], y
print(json.dumps([lines, sorted(sys.modules)]))
"""


def run_child(cache, code=CHILD):
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(cache),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_compiling_is_announced_before_it_starts_and_once_for_all_processes(tmp_path):
    lines, modules = run_child(tmp_path)
    compiled = (
        "runtime.team.run_kernel",
        "algorithms.direct.kernels.correlate",
        "runtime.team.launch",
        "runtime.team.run_job",
    )
    assert [line[:2] for line in lines] == [["convhub.numba", "INFO"]] * 2 * len(compiled)
    texts, held = [line[2] for line in lines], [line[3] for line in lines]
    for name, before, after in zip(compiled, texts[::2], texts[1::2], strict=True):
        assert before.startswith(f"compiling convhub_numba.{name}, to be kept in {tmp_path}")
        assert after.startswith(f"compiling convhub_numba.{name} took ")
    assert held == [0, 0, 1, 1, 2, 2, 3, 3]  # Numba stores it after the second line
    assert list(tmp_path.rglob("*.nbc"))
    assert "numba.np.arraymath" in modules
    lines, modules = run_child(tmp_path)
    assert lines == []
    # What Numba would load to compile something takes longer than the whole first call.
    assert not {"numba.np.arraymath", "numba.np.linalg", "scipy.linalg"} & set(modules)


def test_a_process_that_waits_long_is_told_once_what_would_help(tmp_path):
    setting = "lines = []; import convhub_numba.runtime.compile as c; c.LONG = {}"
    for long, expected in (("1e-9", [1]), ("1e9", [])):
        lines, _ = run_child(tmp_path / long, CHILD.replace("lines = []", setting.format(long)))
        told = [index for index, line in enumerate(lines) if "`convhub compile` would compile" in line[2]]
        assert told == expected
        assert len(lines) == 8


def test_other_versions_of_numba_load_their_cache_themselves(tmp_path):
    assert numba.version_info.short in compile_module.KNOWN_VERSIONS, (
        "look whether the cache still works as `compile._from_disk` has it, and add this version"
    )
    unknown = CHILD.replace(
        "lines = []", "lines = []; import convhub_numba.runtime.compile as c; c.KNOWN_VERSIONS = ()"
    )
    lines, _ = run_child(tmp_path, unknown)
    assert len(lines) == 8
    lines, modules = run_child(tmp_path, unknown)
    assert lines == []
    assert "numba.np.arraymath" in modules


def test_code_that_is_gone_from_the_disk_is_compiled_again(tmp_path):
    run_child(tmp_path)
    for file in tmp_path.rglob("*.nbc"):
        file.unlink()
    lines, _ = run_child(tmp_path)
    assert len(lines) == 8


def test_first_calls_take_little_time():
    # A quiet machine takes 3.5 s, 0.2 s, 0.06 s and 9 µs; other tests run beside this one.
    found = measure_start("numba")
    assert (found.backend, found.algorithm.partition(",")[0]) == ("numba", "indirect")
    assert found.cold < 20
    assert found.warm < 1.5
    assert found.bare < 0.5
    assert found.tiny < 40e-6
    assert "numba" in found.modules


#: Prints the digest of a result of Winograd's kernels, with what compiled them.
DIGEST = """
import hashlib, json, sys
import convhub_numba.pipeline as pipeline
pipeline.KNOWN_VERSIONS = {versions}
import numpy as np
from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub_numba import Options, backend, jit
from convhub_numba.algorithms.winograd import kernels
from convhub_numba.planner import make_plan

problem = Problem.parse("forward_n1c32h9w11_k33r3s3_pad1")
options = RunOptions(backend=Options(vector_bits=256))
assert make_plan(problem, options).algorithm == "winograd"
rng = np.random.default_rng(0)
x, w = (rng.standard_normal(shape).astype("f4") for shape in problem.operand_shapes)
y = backend.forward(x, w, None, problem, options)
own = jit._part_compiler is not pipeline.Compiler
parts = [each for each in vars(kernels).values() if getattr(each, "targetoptions", None) and each.overloads]
libraries = sorted({{type(one.library).__name__ for each in parts for one in each.overloads.values()}})
print(json.dumps([hashlib.sha256(y.tobytes()).hexdigest(), own, libraries]))
"""


def test_bits_are_those_of_numbas_own_way_of_compiling(tmp_path):
    known, unknown = (
        run_child(tmp_path / name, DIGEST.format(versions=versions))
        for name, versions in (("known", compile_module.KNOWN_VERSIONS), ("unknown", ()))
    )
    assert known[0] == unknown[0]
    assert (known[1], unknown[1]) == (True, False)
    assert {"KernelLibrary", "PartLibrary"} <= set(known[2])
    assert unknown[2] == ["JITCodeLibrary"]
