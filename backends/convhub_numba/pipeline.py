"""Has Numba optimise each function's code once, in the kernel that it ends in.

By default Numba optimises every function and compiles it to machine code, then optimises it again in each
function that calls it. Here parts of kernels stay as they were lowered, and only kernels become machine code,
in a quarter to a third less processor time. Inlining starts from the same functions, so the code is as good.

The classes rely on Numba's internals, so `compilers` returns them only for versions that are known to have
these; with others Numba compiles in its own way, slower but just as correctly.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

__all__ = ["KNOWN_VERSIONS", "compilers"]

#: The versions of Numba whose internals this engine knows.
KNOWN_VERSIONS = ((0, 68),)


def _leave_functions(library: JITCodeLibrary, ll_module: Any) -> None:
    """Replace Numba's passes over single functions, which the one over the whole kernel makes redundant."""
    ll_module.data_layout = library._codegen._data_layout


class PartLibrary(JITCodeLibrary):
    """The code of a function that kernels call: linked into theirs as it is, and never into the process."""

    _optimize_functions = _leave_functions

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return zero: there is no machine code."""
        return 0


class KernelLibrary(JITCodeLibrary):
    """The code of a kernel, with that of its parts: optimised as a whole, once."""

    _optimize_functions = _leave_functions

    def _optimize_final_module(self) -> None:
        # Numba runs cheaper passes first for the sake of reference counts, but here there are none.
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Lower a part as Numba does without making machine code, and make it known to its callers."""

    _name = "convhub_part_lowering"

    def run_pass(self, state: Any) -> bool:
        """Leave the lowered function in ``state.cr``."""
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        descriptor = lowered.fndesc
        # Dispatchers need something to call, though nothing calls it: parts have no wrappers.
        name = descriptor.qualname.rpartition(".")[2]
        uncalled = _dynfunc.make_function(
            descriptor.lookup_module(), name, "a part", 0, lowered.env, (state.library,)
        )
        state.targetctx.insert_user_function(uncalled, descriptor, [state.library])
        state["cr"] = lowered._replace(cfunc=uncalled)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class KernelLowering(NativeLowering):
    """Lower a kernel, whose machine code can be kept in a file."""

    _name = "convhub_kernel_lowering"

    def run_pass(self, state: Any) -> bool:
        """Leave the compiled kernel in ``state.cr``."""
        state.library = KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


def compilers() -> tuple[type[Compiler], type[Compiler]]:
    """Return the compiler of parts and the compiler of kernels."""
    if numba.version_info.short not in KNOWN_VERSIONS:
        return Compiler, Compiler
    return _compiler(PartLowering), _compiler(KernelLowering)


def _compiler(lowering: type[NativeLowering]) -> type[Compiler]:
    """Return Numba's compiler with another pass for lowering."""

    class WithLowering(Compiler):
        def define_pipelines(self) -> list[Any]:
            passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
            passes.passes = [
                (lowering if step is NativeLowering else step, why) for step, why in passes.passes
            ]
            passes.finalize()
            return [passes]

    return WithLowering
