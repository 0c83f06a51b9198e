"""Children that are forked while other threads import, load plugins or call, and then call themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from convhub.system import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")

#: Forks children while `busy` runs in another thread; each has some seconds to run `task`.
FORKING = """
import os, random, signal, sys, threading, time, warnings
import numpy as np, convhub
warnings.simplefilter("ignore")

{definitions}

def forked(task, count, pause):
    for i in range(count):
        time.sleep(random.random() * pause)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            try:
                task(i)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == 0, f"child {{i}} of {{count}}: status {{status}}"

def work():
    while not stopped.is_set():
        busy()

stopped = threading.Event()
thread = threading.Thread(target=work)
thread.start()
try:
    forked(task, {count}, {pause})
finally:
    stopped.set()
    thread.join()
"""


def run(definitions, count, pause, **environment):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    code = FORKING.format(definitions=definitions, count=count, pause=pause)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_a_fork_while_another_thread_imports(tmp_path):
    (tmp_path / "slow_library.py").write_text("import time\ntime.sleep(0.3)\nanswer = 42\n")
    definitions = f"""
sys.path.insert(0, {str(tmp_path)!r})

def busy():
    import slow_library
    stopped.wait(0.01)

def task(i):
    import slow_library
    assert slow_library.answer == 42
"""
    run(definitions, count=3, pause=0.05)


@pytest.mark.parametrize("backend", ["naive", "numpy"])
def test_a_fork_while_another_thread_makes_its_first_call(backend):
    definitions = f"""
def busy():
    convhub.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), backend={backend!r})

def task(i):
    busy()
"""
    run(definitions, count=8, pause=0.05)


def test_a_fork_while_another_thread_calls_under_changing_settings():
    definitions = """
def busy():
    os.environ["CONVHUB_THREADS"] = str(1 + int(time.time() * 100) % 3)
    n = 8 + int(time.time() * 1000) % 50
    convhub.conv2d(np.ones((1, 4, 8, n), "f4"), np.ones((4, 4, 3, 3), "f4"), backend="numpy")

def task(i):
    os.environ["CONVHUB_THREADS"] = "4"
    convhub.conv2d(np.ones((1, 4, 8, 100 + i), "f4"), np.ones((4, 4, 3, 3), "f4"), backend="numpy")
"""
    run(definitions, count=40, pause=0.01)


def test_what_is_imported_for_ever_is_waited_for_once(tmp_path, monkeypatch):
    (tmp_path / "endless_library.py").write_text(
        "import threading\nended = threading.Event()\nended.wait(20)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(forks, "SECONDS", 0.2)
    monkeypatch.setattr(forks, "_endless", set())
    thread = threading.Thread(target=__import__, args=("endless_library",))
    thread.start()
    try:
        while "endless_library" not in sys.modules or not hasattr(sys.modules["endless_library"], "ended"):
            time.sleep(0.001)
        start = time.monotonic()
        forks.wait_for_imports()
        assert time.monotonic() - start >= 0.2
        start = time.monotonic()
        forks.wait_for_imports()
        assert time.monotonic() - start < 0.2
    finally:
        sys.modules["endless_library"].ended.set()
        thread.join()
        del sys.modules["endless_library"]


def test_what_the_forking_thread_itself_imports_is_not_waited_for(tmp_path, monkeypatch):
    (tmp_path / "forking_library.py").write_text(
        "import time\nfrom convhub.system import forks\n"
        "start = time.monotonic()\nforks.wait_for_imports()\ntaken = time.monotonic() - start\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import forking_library

    assert forking_library.taken < 5
