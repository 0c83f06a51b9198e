"""Run Python with the emulated kernels under ASan and UBSan, which must be there before anything else.

    PYTHONPATH=tests python -m gpu.emulator.sanitized -m pytest tests/backends/cupy/test_kernels.py
    PYTHONPATH=tests python -m gpu.emulator.sanitized script.py

In that process `EmulatedRuntime(sanitize=True)` works, and `sanitize=None` means it. The first fault ends it,
with a code that is not zero and a report on standard error.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .compiling import compiler_environment
from .runtime import why_not

#: Python itself leaks; its and pytest's own handlers would hide a report; a report must end the process.
ASAN_OPTIONS = (
    "detect_leaks=0:detect_stack_use_after_return=0:alloc_dealloc_mismatch=0:"
    "handle_segv=1:handle_sigbus=1:allow_user_segv_handler=0:halt_on_error=1:exitcode=86"
)
UBSAN_OPTIONS = "print_stacktrace=1:halt_on_error=1:exitcode=86"


@functools.cache
def sanitizers() -> str | None:
    """Return the path of ASan's library, or None where g++ has none."""
    if why_not() is not None:
        return None
    command = ["g++", "-print-file-name=libasan.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=compiler_environment())
    path = done.stdout.strip()
    # g++ answers with the bare name where it finds nothing, and the file may be a linker's script.
    if not os.path.isabs(path) or not Path(path).resolve().read_bytes().startswith(b"\x7fELF"):
        return None
    return path


def run(arguments: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments` under the sanitizers; `options` are those of subprocess.run."""
    library = sanitizers()
    if library is None:
        raise RuntimeError(why_not() or "g++ has no libasan.so")
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": ASAN_OPTIONS,
        "UBSAN_OPTIONS": UBSAN_OPTIONS,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)]),
    }
    arguments = list(arguments)
    if arguments[:2] == ["-m", "pytest"]:  # which would capture the report, and take over its signal
        arguments[2:2] = ["--capture=sys", "-p", "no:faulthandler"]
    return subprocess.run([sys.executable, *arguments], text=True, env=environment, **options)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]).returncode)
