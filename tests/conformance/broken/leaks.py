"""Faults of resources: memory, files and threads that each call takes, and none gives back."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import subprocess
import threading

import numpy as np

from .faults import fault

FOUND_BY = "flat resources"

#: Each fault stops at so many, so that a test of all checks ends.
MOST = 5000
#: Products up to which calls are so many that little of each is much.
SMALL = 10**4

_TABLE: dict[str, np.ndarray] = {}


@fault(FOUND_BY, remembers=True)
def problems_of_all_calls_kept():
    """Notes each call in a list that it never clears."""
    calls = []

    def run(right, first, second, bias, problem, options):
        calls.append(bytearray(8))
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY, remembers=True)
def results_kept():
    """Keeps a copy of each result, by its address."""
    results = {}

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if problem.macs < SMALL:
            results[len(results)] = result.copy()
        return result

    return run


@fault(FOUND_BY)
def memory_of_c_not_freed(right, first, second, bias, problem, options):
    """Allocates by malloc, and does not free."""
    ctypes.CDLL(None).malloc(64)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY, remembers=True)
def pages_not_unmapped():
    """Maps memory that no allocator counts, and does not unmap it."""
    pages = []

    def run(right, first, second, bias, problem, options):
        if problem.macs < SMALL and len(pages) < MOST:
            pages.append(_mapped())
        return right(first, second, bias, problem, options)

    return run


def _mapped():
    library = ctypes.CDLL(None)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] + [ctypes.c_int] * 3, ctypes.c_long]
    address = library.mmap(None, 16384, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | 0x20, -1, 0)
    ctypes.memset(address, 1, 16384)


@fault(FOUND_BY, remembers=True)
def references_counted_too_often():
    """Takes a reference to each array that it returns, as an extension in C may."""

    def run(right, first, second, bias, problem, options):
        result = right(first, second, bias, problem, options)
        if problem.macs < SMALL:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(result))
        return result

    return run


@fault(FOUND_BY, remembers=True)
def files_left_open():
    """Opens a file at each 25th call, below Python, and does not close it."""
    calls = itertools.count(1)

    def run(right, first, second, bias, problem, options):
        if next(calls) % 25 == 0 and problem.macs < SMALL:
            os.open(os.devnull, os.O_RDONLY)
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY, on=("forward",), remembers=True)
def threads_left_waiting():
    """Starts a thread at each fiftieth call, which waits for work that never comes."""
    calls = itertools.count(1)
    end = threading.Event()

    def run(right, first, second, bias, problem, options):
        if next(calls) % 50 == 0 and problem.macs < SMALL:
            threading.Thread(target=end.wait, daemon=True, args=(30,)).start()
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY, on=("forward",), remembers=True)
def processes_left():
    """Starts a process at each fiftieth call, and does not wait for its end."""
    calls = itertools.count(1)

    def run(right, first, second, bias, problem, options):
        if next(calls) % 50 == 0 and problem.macs < SMALL:
            subprocess.Popen(["true"]).returncode = 0
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY)
def scratch_kept_by_name(right, first, second, bias, problem, options):
    """Registers its scratch memory in a table of the process, under a new name each time."""
    if len(_TABLE) < 10**5:
        _TABLE[f"scratch {len(_TABLE)}"] = np.zeros(4)
    return right(first, second, bias, problem, options)
