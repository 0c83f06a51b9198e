"""Faults of the process's state: settings of the caller that a call changes, and leaves changed."""

from __future__ import annotations

import ctypes
import decimal
import gc
import locale
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import warnings

import numpy as np

from .faults import fault

FOUND_BY = "process state"


@fault(FOUND_BY)
def numpy_errors_ignored(right, first, second, bias, problem, options):
    """Switches NumPy's warnings of invalid numbers off for good."""
    np.seterr(invalid="ignore")
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def numpy_errors_on_again(right, first, second, bias, problem, options):
    """Switches NumPy's warnings off, and afterwards on, although the caller may have had them off."""
    np.seterr(all="ignore")
    result = right(first, second, bias, problem, options)
    np.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
    return result


@fault(FOUND_BY)
def numpy_random_seeded(right, first, second, bias, problem, options):
    """Seeds NumPy's random numbers, so that its own are always the same."""
    np.random.seed(0)  # noqa: NPY002 - the fault
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def random_number_drawn(right, first, second, bias, problem, options):
    """Draws a random number from the caller's sequence, to choose between equal plans."""
    random.random()
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def torch_seeded(right, first, second, bias, problem, options):
    """Seeds torch's random numbers."""
    sys.modules["torch"].manual_seed(0)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def threads_set_by_environment(right, first, second, bias, problem, options):
    """Sets the number of threads in the environment, which programs that the caller starts inherit."""
    os.environ["OMP_NUM_THREADS"] = "1"
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def environment_of_c_changed(right, first, second, bias, problem, options):
    """Sets a variable by the C library, so that os.environ does not show it."""
    os.putenv("CONVHUB_BROKEN", str(random.SystemRandom().random()))
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def another_working_folder(right, first, second, bias, problem, options):
    """Changes into a folder for its files, and stays there."""
    os.chdir(os.path.join(tempfile.gettempdir(), os.pardir))
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def deprecations_hidden(right, first, second, bias, problem, options):
    """Hides every DeprecationWarning from now on."""
    warnings.simplefilter("ignore", DeprecationWarning)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def garbage_collector_off(right, first, second, bias, problem, options):
    """Switches the collector of garbage off, so that it does not interrupt."""
    gc.disable()
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def garbage_collector_on(right, first, second, bias, problem, options):
    """Wrong only if the caller has switched the collector off: switches it off and on again."""
    gc.disable()
    result = right(first, second, bias, problem, options)
    gc.enable()
    return result


@fault(FOUND_BY)
def deeper_recursion(right, first, second, bias, problem, options):
    """Raises the limit of recursion."""
    sys.setrecursionlimit(10_000)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def faster_switching(right, first, second, bias, problem, options):
    """Lets Python switch between threads more often."""
    sys.setswitchinterval(1e-4)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def own_folder_on_the_path(right, first, second, bias, problem, options):
    """Puts its folder before all others from which the caller imports."""
    folder = os.path.join(os.path.dirname(__file__), "plugins")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def interrupts_by_default(right, first, second, bias, problem, options):
    """Restores Python's handler of Ctrl-C, whatever handler the caller has."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def logging_configured(right, first, second, bias, problem, options):
    """Gives the root logger a handler, so that records of all libraries are printed."""
    logging.basicConfig()
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def root_logger_quiet(right, first, second, bias, problem, options):
    """Raises the root logger's level, so that it does not see its own records."""
    logging.getLogger().setLevel(logging.ERROR)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def output_lost(right, first, second, bias, problem, options):
    """Restores the standard output that Python began with, whatever the caller prints to."""
    sys.stdout = sys.__stdout__
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def decimals_of_the_caller(right, first, second, bias, problem, options):
    """Raises the precision of the caller's decimal numbers."""
    decimal.getcontext().prec = 50
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def locale_of_c(right, first, second, bias, problem, options):
    """Sets the locale to C, so that numbers of its files have points."""
    locale.setlocale(locale.LC_ALL, "C")
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def files_for_everyone(right, first, second, bias, problem, options):
    """Clears the umask, so that others can read its files."""
    os.umask(0)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def mode_that_flushes_subnormals(right, first, second, bias, problem, options):
    """Leaves the processor flushing subnormal numbers to zero."""
    result = right(first, second, bias, problem, options)
    sys.modules["torch"].set_flush_denormal(True)
    return result


@fault(FOUND_BY)
def rounding_upward(right, first, second, bias, problem, options):
    """Leaves the processor rounding upward, as interval arithmetic does."""
    result = right(first, second, bias, problem, options)
    ctypes.CDLL("libm.so.6").fesetround(0x800)
    return result


@fault(FOUND_BY)
def torch_on_one_thread(right, first, second, bias, problem, options):
    """Sets torch's number of threads, which all of the process has."""
    sys.modules["torch"].set_num_threads(options.threads)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def torch_in_double_precision(right, first, second, bias, problem, options):
    """Sets torch's default dtype."""
    sys.modules["torch"].set_default_dtype(sys.modules["torch"].float64)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY)
def gradients_off(right, first, second, bias, problem, options):
    """Switches gradients off while it computes, and on afterwards, although the caller may have them off."""
    torch = sys.modules["torch"]
    torch.set_grad_enabled(False)
    result = right(first, second, bias, problem, options)
    torch.set_grad_enabled(True)
    return result


@fault(FOUND_BY)
def torch_deterministic(right, first, second, bias, problem, options):
    """Has torch choose deterministic algorithms from now on, in all of the process."""
    sys.modules["torch"].use_deterministic_algorithms(True)
    return right(first, second, bias, problem, options)


@fault(FOUND_BY, remembers=True)
def limit_of_files_changed():
    """Changes the limit of open files when it plans a problem."""
    planned = set()

    def run(right, first, second, bias, problem, options):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if problem not in planned:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
        planned.add(problem)
        return right(first, second, bias, problem, options)

    return run


@fault(FOUND_BY)
def function_replaced(right, first, second, bias, problem, options):
    """Replaces one of NumPy's functions by its own, as some accelerators do."""
    own = np.tensordot

    def tensordot(*arguments, **named):
        return own(*arguments, **named)

    np.tensordot = tensordot
    return right(first, second, bias, problem, options)
