"""Has Numba compile this engine's functions without Python's lock, and without what only Python would call.

A function that Python can call costs as much to compile as a small kernel, and kernels are called by address.
Nothing allocates, so that Numba's reference counts are left out too, which would double each slice's code.
"""

from __future__ import annotations

import functools

from numba import njit

from .pipeline import compilers

__all__ = ["entry", "kernel", "part"]

_options = {"nogil": True, "error_model": "numpy", "_nrt": False}
_unseen = {**_options, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_part_compiler, _kernel_compiler = compilers()

#: Of what kernels call.
part = functools.partial(njit, **_unseen, pipeline_class=_part_compiler)

#: Of what is called by address; `compile` keeps it on disk.
kernel = functools.partial(njit, **_unseen, pipeline_class=_kernel_compiler)

#: Of what Python calls; `compile` keeps it on disk.
entry = functools.partial(njit, **_options, pipeline_class=_kernel_compiler)
