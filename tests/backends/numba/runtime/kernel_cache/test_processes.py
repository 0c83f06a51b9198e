"""What several processes make of one cache: edits of sources, a package that has moved, and many at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

import convhub_numba
from convhub_numba.runtime.kernel_cache import location

#: Compiles or loads one small kernel of a package, and prints its value and what was logged.
PROGRAM = """
import json, logging, sys
lines = []

class Collect(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())

logging.getLogger("convhub.numba").addHandler(Collect())
logging.getLogger("convhub.numba").setLevel("INFO")
from numba import types
from convhub_numba.runtime.compile import compiled
from small.kernels import kernel
value = compiled(kernel, types.int64)(20)
print(json.dumps([value, lines]))
"""


def make_package(folder):
    """Write a package with a kernel, and a helper that it takes a number and a function from."""
    (folder / "small").mkdir(parents=True)
    (folder / "small" / "__init__.py").write_text("")
    (folder / "small" / "helpers.py").write_text(
        "from convhub_numba import jit\nADDED = 1\n\n@jit.part()\ndef twice(x):\n    return 2 * x\n"
    )
    (folder / "small" / "kernels.py").write_text(
        "from convhub_numba import jit\nfrom . import helpers\nfrom .helpers import ADDED\n\n"
        "@jit.entry()\ndef kernel(x):\n    return helpers.twice(x) + ADDED\n"
    )
    (folder / "small" / "unrelated.py").write_text("")


def variables(cache, *folders):
    paths = os.pathsep.join([*map(str, folders), *filter(None, sys.path)])
    return os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": paths}


def run(cache, *folders, program=PROGRAM):
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=variables(cache, *folders),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def compilations(lines):
    return sum("compiling" in line and " took " in line for line in lines)


def test_an_edit_of_a_helper_is_seen_by_the_next_process(tmp_path):
    make_package(tmp_path)
    cache, small = tmp_path / "cache", tmp_path / "small"
    value, lines = run(cache, tmp_path)
    assert (value, compilations(lines)) == (41, 1)
    (small / "unrelated.py").write_text("# No kernel is made of this.\n")
    assert run(cache, tmp_path) == [41, []]
    helpers = small / "helpers.py"
    original = helpers.read_text()
    helpers.write_text(original.replace("ADDED = 1", "ADDED = 100"))
    value, lines = run(cache, tmp_path)
    assert (value, compilations(lines)) == (140, 1)
    helpers.write_text(original)
    assert run(cache, tmp_path) == [41, []]


def test_a_package_that_has_moved_loads_what_it_compiled_elsewhere(tmp_path):
    """The engine itself moves too, as into another virtual environment."""
    first, second, cache = tmp_path / "first", tmp_path / "second", tmp_path / "cache"
    make_package(first)
    engine = Path(convhub_numba.__file__).parent
    shutil.copytree(engine, first / "convhub_numba", ignore=shutil.ignore_patterns("__pycache__"))
    value, lines = run(cache, first)
    assert (value, compilations(lines)) == (41, 1)
    (kept,) = cache.rglob("*.nbc")
    for place in (first, engine, Path(sys.prefix)):
        assert os.fsencode(place) not in kept.read_bytes()
    first.rename(second)
    assert run(cache, second) == [41, []]


#: Forks twenty processes, which all begin at the same time, and prints what each has printed.
TWENTY = """
import json, os
import numba.core.typed_passes
import convhub_numba.runtime.compile, small.kernels

begin, written = os.pipe(), [os.pipe() for _ in range(20)]
for end in written:
    if os.fork() == 0:
        os.close(begin[1])
        os.read(begin[0], 1)
        os.dup2(end[1], 1)
        PROGRAM
        sys.stdout.flush()
        os._exit(0)
    os.close(end[1])
os.close(begin[1])
found = [json.loads(os.fdopen(end[0]).read()) for end in written]
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")
def test_many_processes_at_once_compile_a_kernel_once(tmp_path):
    make_package(tmp_path)
    program = TWENTY.replace("        PROGRAM\n", textwrap.indent(PROGRAM, " " * 8))
    found = run(tmp_path / "cache", tmp_path, program=program)
    assert [value for value, _ in found] == [41] * 20
    assert sum(compilations(lines) for _, lines in found) == 1
    assert {path.suffix for path in (tmp_path / "cache").rglob("*.*")} == {".nbc"}


#: Waits for a kernel that another process is compiling, until a signal ends the wait.
INTERRUPTED = """
import json, signal, time
from convhub_numba.runtime.kernel_cache import locks
from convhub_numba.runtime.compile import compiled
from convhub_numba.runtime.kernel_cache import store
from numba import types
from small.kernels import kernel
import os, threading

class Alarm(Exception):
    pass

def alarm(*_):
    raise Alarm

file = store._file(kernel, (types.int64,))
with locks.locked(file.lock) as held:
    assert held
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    began = time.monotonic()
    try:
        compiled(kernel, types.int64)
    except Alarm:
        waited = time.monotonic() - began
    pid = os.fork()  # does not wait for the lock
    if pid == 0:
        os._exit(0)
    forked = time.monotonic() - began
    assert os.waitpid(pid, 0)[1] == 0
value = compiled(kernel, types.int64)(20)
print(json.dumps([value, waited, forked]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no SIGALRM")
def test_a_signal_ends_the_wait_and_a_fork_does_not_wait(tmp_path):
    make_package(tmp_path)
    value, waited, forked = run(tmp_path / "cache", tmp_path, program=INTERRUPTED)
    assert value == 41
    assert waited < 30  # the lock is held until the alarm, so without it this would be `PATIENCE`
    assert forked < 30


def test_a_process_that_ends_while_it_compiles_leaves_no_lock(tmp_path):
    make_package(tmp_path)
    cache = tmp_path / "cache"
    program = PROGRAM.replace(
        "value =",
        "import convhub_numba.runtime.compile as c, os, signal\n"
        "c._compile = lambda *_: os.kill(os.getpid(), signal.SIGTERM)\nvalue =",
    )
    done = subprocess.run([sys.executable, "-c", program], env=variables(cache, tmp_path), timeout=240)
    assert done.returncode != 0
    assert len(list(cache.rglob("*.lock"))) == 1
    began = time.monotonic()
    value, lines = run(cache, tmp_path)
    assert (value, compilations(lines)) == (41, 1)
    assert not any("waiting" in line for line in lines)
    assert time.monotonic() - began < 100
    assert not list(cache.rglob("*.lock"))


def test_an_imported_kernel_is_loaded(tmp_path, monkeypatch):
    make_package(tmp_path)
    value, lines = run(tmp_path / "first", tmp_path)
    assert (value, compilations(lines)) == (41, 1)
    cache = convhub_numba.backend.kernel_cache
    try:
        contents = {}
        for folder in ("first", "second"):
            monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / folder))
            location.place.cache_clear()
            contents = contents or {entry.name: cache.read(entry.name) for entry in cache.entries()}
        for name, content in contents.items():
            cache.write(name, content)
    finally:
        location.place.cache_clear()
    assert run(tmp_path / "second", tmp_path) == [41, []]
