"""Faults of noise: what is printed by Python or below it, and warnings that reach the caller."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import warnings

import numpy as np

from .faults import fault

FOUND_BY = "silent"


@fault(FOUND_BY)
def progress_printed(right, first, second, bias, problem, options):
    """Prints the problem."""
    print(problem)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY, remembers=True)
def first_call_announced():
    """Writes one line at the first call of each problem, to the standard error."""
    known = set()

    def run(right, first, second, bias, problem, options):
        if problem not in known:
            known.add(problem)
            sys.stderr.write(f"compiling for {problem}\n")
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY)
def printed_below_python(right, first, second, bias, problem, options):
    """Writes to file descriptor 2, as libraries in C do."""
    os.write(2, b"warning: slow path\n")
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def printed_by_the_c_library(right, first, second, bias, problem, options):
    """Prints by the C library, whose buffer is written when it is full."""
    ctypes.CDLL(None).puts(b"slow path")
    return right(first, second, bias, problem, options)


@fault(FOUND_BY, on=("forward",))
def printed_by_another_process(right, first, second, bias, problem, options):
    """Starts a program, and does not catch what it prints."""
    subprocess.run(["echo", "compiled"], check=True)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def printed_where_not_finite(right, first, second, bias, problem, options):
    """Wrong only for NaN and infinity: prints that it has found some."""
    if first.dtype.kind in "fc" and not np.isfinite(first).all():
        print("operand is not finite", file=sys.__stderr__, flush=True)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def fallback_warned_of(right, first, second, bias, problem, options):
    """Warns at every call that another algorithm would be faster."""
    warnings.warn("this layer runs without tensor cores", stacklevel=2)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def deprecated_function_called(right, first, second, bias, problem, options):
    """Lets a DeprecationWarning out, which Python does not show to users by default."""
    warnings.warn("this name will be removed", DeprecationWarning, stacklevel=1)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def torch_warns_of_read_only_memory(right, first, second, bias, problem, options):
    """Wrong only for read-only operands: torch warns, once in a process, that they cannot be written."""
    if first.flags.c_contiguous:
        sys.modules["torch"].from_numpy(first.view(np.uint8))
    return right(first, second, bias, problem, options)
