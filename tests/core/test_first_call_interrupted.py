"""What a signal's handler raises reaches the caller from a process's first call too.

Python's import system takes any `OSError` for the answer that a file is missing, and the `TimeoutError` of a
handler is one. So nothing of convhub's is imported where handlers run once a call has begun.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no alarms")

#: Strikes each time that anything is looked up in the file system, until a call comes through unharmed.
PROGRAM = """
import posix, signal, sys, time
import numpy as np
import convhub

x, w = np.ones((1, 4, 8, 8), "float32"), np.ones((4, 4, 3, 3), "float32")
stat, armed, strikes = posix.stat, False, 0

def late(number, frame):
    raise TimeoutError("time is up")

def noticed(*arguments, **options):
    global armed, strikes
    if armed:
        armed, strikes = False, strikes + 1
        signal.raise_signal(signal.SIGALRM)
    return stat(*arguments, **options)

signal.signal(signal.SIGALRM, late)
posix.stat = noticed
end = time.monotonic() + 100
while time.monotonic() < end:
    armed, before = True, strikes
    try:
        convhub.conv2d(x, w, backend=sys.argv[1])
    except TimeoutError:
        continue
    if strikes > before:
        sys.exit("the handler's error was swallowed")
    sys.exit(0 if strikes else "nothing was looked up")
sys.exit("no call came through")
"""


@pytest.mark.parametrize("backend", ["naive", "numpy", "numba"])
def test_an_alarm_during_imports_reaches_the_caller(backend, tmp_path):
    pytest.importorskip("numba" if backend == "numba" else "numpy")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"HOME": str(tmp_path)},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


#: A package that calls convhub while it is imported, and is a plugin.
PLUGIN = """
import numpy as np
import convhub
from convhub.backend import hookimpl

assert convhub.conv2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), backend="numpy") == 4
print("imported")

@hookimpl
def convhub_backends():
    return []
"""


def test_a_plugin_that_calls_convhub_while_it_is_imported_waits_for_nobody(install):
    folder = install("convhub_calls", PLUGIN)
    ran = subprocess.run(
        [sys.executable, "-c", "import convhub_calls"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        check=False,
    )
    assert ran.stdout == "imported\n", ran.stderr
