"""CUDA's run-time compiler, NVRTC, as far as a kernel needs it to be compiled where there is no GPU.

The library is the wheel's own, whatever else the machine has: its version decides what a
kernel becomes.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
from typing import NamedTuple

DISTRIBUTION = "nvidia-cuda-nvrtc"
INSTALL = f"python -m pip install --constraint constraints.txt '{DISTRIBUTION}==13.*'"


class Compiled(NamedTuple):
    """What NVRTC made of a source, and what it said."""

    cubin: bytes
    log: str


class CompileError(Exception):
    """NVRTC refuses a source; the text is its log."""


def version() -> str | None:
    """Return the version of the installed wheel, such as ``"13.5.37"``; None where there is none."""
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing() -> str | None:
    """Return why nothing can be compiled here, with the command that helps; None where it can."""
    if version() is None:
        return f"NVRTC is not installed: {INSTALL}"
    try:
        library()
    except OSError as error:
        return f"NVRTC is installed, but cannot be loaded ({error}): {INSTALL}"
    return None


@functools.cache
def library() -> ctypes.CDLL:
    """Load NVRTC from the wheel; OSError where that fails."""
    files = importlib.metadata.files(DISTRIBUTION) or []
    # The builtins that lie beside it are found by itself.
    paths = [file.locate() for file in files if file.name.startswith("libnvrtc.so")]
    if not paths:
        raise OSError(f"{DISTRIBUTION} {version()} has no libnvrtc.so")
    loaded = ctypes.CDLL(str(paths[0]))
    loaded.nvrtcGetErrorString.restype = ctypes.c_char_p
    return loaded


def compile_cubin(text: str, name: str, options: list[str], architecture: int) -> Compiled:
    """Compile a source to machine code for one architecture.

    Parameters
    ----------
    text : str
        The source.
    name : str
        What the log calls it.
    options : list of str
        Options of NVRTC's.
    architecture : int
        The compute capability, such as 80.

    Returns
    -------
    Compiled
        The cubin and the log, which tells the resources of each kernel.
    """
    program = ctypes.c_void_p()
    _check(library().nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), 0, None, None))
    # A compilation that NVRTC had in a cache of its own might come without the log that is read here.
    all_options = [*options, f"-arch=sm_{architecture}", "--ptxas-options=-v", "--no-cache"]
    try:
        arguments = (ctypes.c_char_p * len(all_options))(*(option.encode() for option in all_options))
        status = library().nvrtcCompileProgram(program, len(all_options), arguments)
        # The log ends in a zero byte; machine code is as long as NVRTC says, its last bytes included.
        log = _read("ProgramLog", program).rstrip(b"\0").decode()
        if status:
            command = " ".join([name, *all_options])
            raise CompileError(f"{_message(status)}: {command}\n{log}")
        return Compiled(_read("CUBIN", program), log)
    finally:
        _check(library().nvrtcDestroyProgram(ctypes.byref(program)))


def _read(what: str, program: ctypes.c_void_p) -> bytes:
    """Return the log or the machine code of a program."""
    size = ctypes.c_size_t()
    _check(library()[f"nvrtcGet{what}Size"](program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(library()[f"nvrtcGet{what}"](program, buffer))
    return buffer.raw


def _check(status: int) -> None:
    if status:
        raise RuntimeError(_message(status))


def _message(status: int) -> str:
    return str(library().nvrtcGetErrorString(status).decode())
