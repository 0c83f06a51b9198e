"""Has Numba compile this engine's functions without Python's lock, and without wrappers for Python.

Such a wrapper costs as much to compile as a small kernel, and kernels are called by address. Nothing
allocates, so Numba's reference counts, which would double each slice's code, are left out too.
"""

from __future__ import annotations

import functools

from numba import njit

from .pipeline import compilers

__all__ = ["entry", "entry_with_lock", "kernel", "part"]

_options = {"nogil": True, "error_model": "numpy", "_nrt": False}
_unseen = {**_options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_part_compiler, _kernel_compiler = compilers()

#: Decorates functions that kernels call.
part = functools.partial(njit, **_unseen, pipeline_class=_part_compiler)

#: Decorates functions that are called by address; `compile` keeps them on disk.
kernel = functools.partial(njit, **_unseen, pipeline_class=_kernel_compiler)

#: Decorates functions that Python calls; `compile` keeps them on disk.
entry = functools.partial(njit, **_options, pipeline_class=_kernel_compiler)

#: The same, of functions that give Python's lock back themselves.
entry_with_lock = functools.partial(njit, **{**_options, "nogil": False}, pipeline_class=_kernel_compiler)
