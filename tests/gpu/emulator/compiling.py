"""From a kernel's file to a loaded library: compiled once for all processes, and kept in the user's cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import platformdirs

HERE = Path(__file__).parent
#: Found at import, since tests point the user's folders elsewhere, again for each process.
USERS_CACHE = platformdirs.user_cache_path("convhub") / "cuda-emulator"
#: Libraries that nobody has loaded for as many seconds are deleted.
KEPT = 30 * 24 * 3600

#: -march=native: fmaf is one instruction, not a call. -ffp-contract=off: no other product and sum is fused,
#: on no machine, so that a kernel shows what it computes when it leaves the choice to the compiler.
#: -fno-strict-aliasing: kernels read floats as float4. -fwhole-program: the other kernels of the file, and
#: their shared memory, are left out. -fno-ipa-reference*: shared memory that is never written is no constant.
FLAGS = (
    *("-std=gnu++17", "-O2", "-march=native", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-exceptions"),
    *("-fno-rtti", "-fPIC", "-shared", "-fvisibility=hidden", "-fwhole-program", "-fno-ipa-reference"),
    *("-fno-ipa-reference-addressable", "-w", "-I", str(HERE / "include")),
)
#: Local variables without a value get one that shows; not known to every g++.
UNINITIALIZED = "-ftrivial-auto-var-init=pattern"
#: -g1 for the lines in reports, and red zones around static shared memory too.
SANITIZE = (
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fsanitize-sections=convhub_shared"),
    *("-g1", "-fno-omit-frame-pointer"),
)


class EmulatorError(RuntimeError):
    """A kernel that does not compile, a launch that hardware would refuse, or a fault while it ran."""


class Compiler(NamedTuple):
    path: str
    flags: tuple[str, ...]
    #: Its version, and what -march=native means on this machine.
    identity: bytes


class Library(NamedTuple):
    handle: ctypes.CDLL
    #: Its state is static: one launch at a time.
    lock: Lock


def compiler_environment() -> dict[str, str]:
    """Return the environment for g++, which must not run under ASan itself."""
    return {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"} | {"LC_ALL": "C"}


@functools.cache
def find_compiler() -> Compiler | str:
    """Return the compiler, or why there is none."""
    if sys.platform != "linux":
        return f"the CUDA emulator counts on Linux's linker, and this is {sys.platform}"
    path = shutil.which("g++")
    if path is None:
        return "the CUDA emulator needs g++, which is not installed"
    problem = ""
    for flags in ((*FLAGS, UNINITIALIZED), FLAGS):
        command = [path, *flags, "-E", "-v", "-x", "c++", os.devnull, "-o", os.devnull]
        done = subprocess.run(command, capture_output=True, env=compiler_environment())
        if done.returncode == 0:
            return Compiler(path, flags, done.stderr)
        problem = done.stderr.decode(errors="replace").strip().splitlines()[-1]
    return f"the CUDA emulator's flags are not known to {path}: {problem}"


@functools.cache
def default_cache() -> Path:
    """Return the folder of compiled kernels: the user's, or one for this process where that is read-only."""
    try:
        USERS_CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=USERS_CACHE):
            return USERS_CACHE
    except OSError:
        return Path(tempfile.mkdtemp(prefix="convhub-cuda-emulator-"))


def prune(cache: Path) -> None:
    """Delete what nobody has used for a month."""
    for path in cache.glob("*.so"):
        try:
            if path.stat().st_mtime < time.time() - KEPT:
                path.unlink()
        except FileNotFoundError:  # another process was faster
            continue


def load(path: Path) -> Library:
    """Return the library at `path`, the same to all threads: its lock has it run one launch at a time."""
    with _loading:
        return _loaded(path)


_loading = Lock()


@functools.cache
def _loaded(path: Path) -> Library:
    """Return a library with its entry points declared."""
    handle = ctypes.CDLL(str(path))
    handle.convhub_launch.restype = ctypes.c_char_p
    handle.convhub_launch.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    handle.convhub_static_shared.restype = ctypes.c_uint
    return Library(handle, Lock())


def compiled(file: Path, name: str, options: tuple[str, ...], sanitize: bool, cache: Path | None) -> Library:
    """Return the library of the kernel `name` of `file`; compile it unless some process has."""
    compiler = find_compiler()
    if isinstance(compiler, str):
        raise EmulatorError(compiler)
    flags = (*compiler.flags, *(SANITIZE if sanitize else ()), *options)
    # The folder is not part of the text: two checkouts, and the files of a test's runs, share a library.
    kernels = f'#line 1 "{file.name}"\n{file.read_text()}'
    text = f'#include "{HERE / "emulator.h"}"\n{kernels}\nCONVHUB_LAUNCHES({name})\n'
    headers = sorted((*file.parent.glob("*.cuh"), *file.parent.glob("*.h"), *HERE.glob("*.h")))
    digest = hashlib.sha256(compiler.identity)
    for part in (kernels, name, *flags, *(path.name + path.read_text() for path in headers)):
        digest.update(part.encode() + b"\0")
    folder = default_cache() if cache is None else cache
    path = folder / f"{file.stem}-{name}-{digest.hexdigest()[:24]}.so"
    if path.exists():
        os.utime(path)
    else:
        build([compiler.path, *flags, "-iquote", str(file.parent)], text, path)
    return load(path)


def build(command: list[str], text: str, path: Path) -> None:
    """Compile `text` to `path`, which is either absent or whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prune(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [*command, "-x", "c++", "-", "-o", f"{folder}/library.so"]
        environment = compiler_environment()
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=folder, env=environment
        )
        if done.returncode != 0:
            raise EmulatorError(f"it does not compile:\n{' '.join(command)}\n{done.stderr[:6000]}")
        os.replace(f"{folder}/library.so", path)
