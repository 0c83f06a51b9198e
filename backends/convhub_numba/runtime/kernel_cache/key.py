"""Names all that a compiled kernel depends on, from which follow the name and the header of its file.

Nothing of it tells where this package, the interpreter or an environment is installed: the same sources
compiled by the same versions for the same processor have the same key everywhere.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import llvmlite
import numba
from llvmlite.binding import llvm_version_info
from numba import types
from numba.core import config

from .files import FOREIGN
from .sources import source_digest

__all__ = ["SUFFIX", "KernelKey", "current_settings", "current_target", "current_versions", "kernel_key"]

SUFFIX = ".nbc"

#: The settings of Numba that change what a kernel compiles to, but the processor, which is the target's.
SETTINGS = (
    "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "DISABLE_INTEL_SVML", "ENABLE_AVX", "ENABLE_PROFILING",
    "EXTEND_VARIABLE_LIFETIMES", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE",
)  # fmt: skip


class KernelKey(NamedTuple):
    """What the machine code of one kernel depends on, as values of JSON.

    Parameters
    ----------
    module, name : str
        The function's module, and its qualified name there.
    line : int
        The line where the function begins, as a module may define several of one name.
    types : list of str
        The types of its arguments.
    fields : dict
        The fields of each named tuple among them, in order, by the name of the class.
    sources : str
        The digest of the sources that it is made of.
    versions : list of str
        The versions of Python, Numba, llvmlite and LLVM.
    target : list of str
        LLVM's triple, and the name and the features of the processor.
    settings : list of str
        Numba's settings that change code.
    """

    module: str
    name: str
    line: int
    types: list[str]
    fields: dict[str, list[str]]
    sources: str
    versions: list[str]
    target: list[str]
    settings: list[str]

    def encoded(self) -> bytes:
        """Return the key as bytes; equal keys give equal bytes."""
        return json.dumps(self._asdict(), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def decoded(cls, encoded: bytes) -> KernelKey:
        """Return the key that `encoded` has made bytes of.

        Raises
        ------
        ValueError
            If the bytes are none of a key.
        """
        try:
            key = cls(**json.loads(encoded))
            again = key.encoded()
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(FOREIGN) from error
        texts = (key.module, key.name, key.sources, *key.types, *key.versions, *key.target, *key.settings)
        if again != encoded or not all(type(text) is str for text in texts):
            raise ValueError(FOREIGN)
        return key

    @property
    def file_name(self) -> str:
        """The name of the file that keeps the kernel."""
        digest = hashlib.sha256(self.encoded()).hexdigest()[:32]
        return f"{self.module}.{self.name.rpartition('.')[2]}-{digest}{SUFFIX}"


def kernel_key(kernel: Any, signature: tuple[Any, ...]) -> KernelKey:
    """Return the key of a kernel for arguments of these types.

    Raises
    ------
    SourceError
        If the sources of the kernel cannot be read.
    """
    function = kernel.py_func
    return KernelKey(
        module=kernel.__module__,
        name=function.__qualname__,
        line=function.__code__.co_firstlineno,
        types=[str(kind) for kind in signature],
        fields=dict(_named_tuples(signature)),
        sources=source_digest(kernel.__module__),
        versions=current_versions(),
        target=current_target(kernel.targetctx),
        settings=current_settings(),
    )


def _named_tuples(kinds: Iterable[Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each class of named tuples in these types; its type's text has the class's name, and no more."""
    for kind in kinds:
        tuple_class = getattr(kind, "instance_class", None)
        if tuple_class is not None:
            yield f"{tuple_class.__module__}:{tuple_class.__qualname__}", list(tuple_class._fields)
        if isinstance(kind, types.Tuple | types.UniTuple):
            yield from _named_tuples(kind)


@functools.cache
def current_versions() -> list[str]:
    """Return the versions of everything that compiles."""
    python = ".".join(str(part) for part in sys.version_info)
    return [
        f"{sys.implementation.name}{getattr(sys, 'abiflags', '')} {python}",
        f"numba {numba.__version__}",
        f"llvmlite {llvmlite.__version__}",
        f"llvm {'.'.join(str(part) for part in llvm_version_info)}",
    ]


def current_target(target_context: Any) -> list[str]:
    """Return what is compiled for: LLVM's triple, and the name and the features of the processor."""
    return [str(part) for part in target_context.codegen().magic_tuple()]


def current_settings() -> list[str]:
    """Return Numba's settings that change code."""
    return [f"{name}={getattr(config, name, None)}" for name in SETTINGS]
