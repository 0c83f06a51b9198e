"""The Numba engine's kernels against guard pages: nothing outside of arrays is read or written.

Operands, results, scratch and tables lie between pages whose touch ends the process, each time against
another edge; scratch is full of NaN at each call, and so is what lies around. The cases run in a process of
their own, which says before each what it is about to do, so that a crash is a failure with a name.
"""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")
pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")

from convhub_numba import planner
from support.checking import TYPES_AND_WIDTHS
from support.guarded_cases import WIDTHS, cases

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
#: The process is started again after the case that ended it, this often.
MOST_CRASHES = 5

#: The algorithms of `planner.ALGORITHMS`, and the primitives for which a case must run each, at every width.
ALGORITHMS = {
    "winograd": {"forward", "grad_input", "grad_weight"},
    "implicit_gemm": {"forward", "grad_input", "grad_weight"},
    "gemm": {"forward", "grad_input", "grad_weight"},
    "depthwise": {"forward", "grad_input", "grad_weight"},
    "grouped": {"forward", "grad_input", "grad_weight"},
    "indirect": {"forward", "grad_input"},
    "stem": {"forward", "grad_weight"},
    "phases": {"grad_input"},
    "pointwise": {"grad_weight"},
    "dot": {"grad_weight"},
    "direct": {"forward", "grad_input", "grad_weight"},
}
#: Those that 16-bit types never take.
WIDE_ONLY = {"winograd"}

needs_mprotect = pytest.mark.skipif(sys.platform == "win32", reason="pages are guarded with mprotect")


def run_from(dtype, width, start):
    """Return the lines that a process printed for the cases from `start` on, and how it ended."""
    command = [sys.executable, "-W", "ignore", "-X", "faulthandler", "-m", "support.guarded_run"]
    done = subprocess.run(
        [*command, dtype, str(width), str(start)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=1500,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines, done


def named(line):
    """Return the case of a line, with the number from which `guarded_run` repeats it."""
    return f"case {line['index']}, {line['case']} ({line['memory']})"


def name_of_end(code):
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


@needs_mprotect
@pytest.mark.timeout(1600)
@pytest.mark.parametrize(("dtype", "width"), TYPES_AND_WIDTHS)
def test_nothing_outside_of_arrays_is_touched(dtype, width):
    start, crashes, wrong = 0, 0, []
    while start is not None:
        lines, done = run_from(dtype, width, start)
        wrong += [f"{named(line)}: {line['fault']}" for line in lines if "fault" in line]
        if lines and "done" in lines[-1]:
            break
        assert lines, f"nothing ran; {name_of_end(done.returncode)}:\n{done.stderr[-3000:]}"
        last = lines[-1]
        shown = [text for text in done.stderr.splitlines() if not text.startswith("Extension modules")]
        trace = "\n    ".join(shown[-12:])
        wrong.append(f"{named(last)}: {name_of_end(done.returncode)}\n    {trace}")
        crashes += 1
        start = last["index"] + 1 if crashes < MOST_CRASHES else None
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_cases_reach_every_algorithm(width):
    for dtype in ("float32", "float64", "bfloat16"):
        reached = {}
        for case, algorithm in cases(dtype, width):
            reached.setdefault(algorithm, set()).add(case.problem.primitive)
        expected = {
            name: primitives
            for name, primitives in ALGORITHMS.items()
            if dtype != "bfloat16" or name not in WIDE_ONLY
        }
        for name, primitives in expected.items():
            assert primitives <= reached.get(name, set()), (name, dtype)
        assert set(reached) <= set(ALGORITHMS), "an algorithm that is not in the table"


def test_the_guarded_cases_know_every_algorithm():
    listed = {}
    for algorithm in planner.ALGORITHMS:
        listed.setdefault(algorithm.name, set()).update(algorithm.primitives)
    assert listed == ALGORITHMS
    named = set()
    for path in Path(planner.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Plan":
                named |= {part.value for part in node.args[:1] if isinstance(part, ast.Constant)}
    assert named == set(ALGORITHMS), "a plan names what is no algorithm, or one that no plan names"


@needs_mprotect
@pytest.mark.parametrize(("mode", "beyond"), [("end", 0), ("odd", 1), ("start", -1)])
def test_one_byte_too_far_ends_the_process(mode, beyond):
    code = f"""
import ctypes
from support.guarded_memory import Memory
array = Memory({mode!r}).empty((3, 5), "f4")
print(array.nbytes, flush=True)
ctypes.string_at(array.ctypes.data, array.nbytes)
print("inside", flush=True)
ctypes.string_at(array.ctypes.data + ({beyond} if {beyond} < 0 else array.nbytes + {beyond}), 1)
print("outside", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout.split() == ["60", "inside"]
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS)


@needs_mprotect
def test_writes_beside_an_array_are_found():
    import ctypes

    from support.guarded_memory import Memory

    for mode, place in (("start", 60), ("end", -1), ("odd", 60)):
        memory = Memory(mode)
        array = memory.empty((3, 5), "f4", "the array")
        array[...] = 0
        assert memory.check() == []
        ctypes.memset(array.ctypes.data + place, 0, 1)
        assert memory.check() == [f"bytes {'after' if place > 0 else 'before'} the array were written"]
