"""Has Numba compile kernels with less work than functions in general need.

- **Once**: by default Numba optimises every function and compiles it to machine code, then optimises it again
  in each function that calls it. Here parts of kernels stay as they were lowered, and only kernels become
  machine code. Inlining starts from the same functions, so the code is as good.
- **Loops as they are**: LLVM neither unrolls nor vectorizes them. The loops that take time consist of vector
  instructions already; the others, over short lists and rows, only became longer code, and mostly slower.
- **Fewer passes**: those for features of Python that no kernel uses are left out.
- **Types**: the signature of a call is looked up once for the same types of arguments.
- **Shorter code** for LLVM: see `lowering`.

The last three save a third to two fifths of the processor time; `convhub bench --start` shows what a first
call takes.

The classes rely on Numba's internals, so `compilers` returns them only for versions that are known to have
these; with others Numba compiles in its own way, slower but just as correctly.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import _dynfunc, types
from numba.core import config, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import FunctionPass, PassManager, register_pass
from numba.core.imputils import builtin_registry
from numba.core.ir_utils import raise_on_unsupported_feature
from numba.core.postproc import PostProcessor
from numba.core.typed_passes import NativeLowering, NopythonTypeInference
from numba.core.typeinfer import TypeInferer

from .lowering import KernelLower

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
        options = llvm.create_pipeline_tuning_options()
        options.speed_level = config.OPT
        options.loop_vectorization = options.slp_vectorization = False
        options.loop_interleaving = options.loop_unrolling = False
        builder = llvm.create_pass_builder(self._codegen._tm, options)
        builder.getModulePassManager().run(self._final_module, builder)


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Lower a part as Numba does without making machine code, and make it known to its callers."""

    _name = "convhub_part_lowering"
    lowering_class = KernelLower

    def run_pass(self, state: Any) -> bool:
        """Leave the lowered function in ``state.cr``."""
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        with _quick_refresh(state.targetctx):
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
    lowering_class = KernelLower

    def run_pass(self, state: Any) -> bool:
        """Leave the compiled kernel in ``state.cr``."""
        state.library = KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        with _quick_refresh(state.targetctx):
            return bool(super().run_pass(state))


@contextlib.contextmanager
def _quick_refresh(context: Any) -> Iterator[None]:
    """Keep Numba from importing all of its libraries of functions again each time that a look-up fails.

    It tries special cases of most operators first, and those fail. What has been declared meanwhile, it must
    still find.
    """
    context.refresh()
    context.refresh = lambda: context.install_registry(builtin_registry)
    try:
        yield
    finally:
        del context.refresh


class Inferer(TypeInferer):
    """Infers types as Numba does, and looks each call up once.

    Numba looks every call up again in each round, until no type changes any more. Most are of operators, and
    the types of the operands determine the answer.
    """

    def resolve_call(self, fnty: Any, pos_args: Any, kw_args: Any) -> Any:
        """Return the signature of a call."""
        if not isinstance(fnty, types.Function) or kw_args:
            return super().resolve_call(fnty, pos_args, kw_args)
        key = (fnty, *pos_args)
        found = _signatures.get(key)
        if found is None:
            found = super().resolve_call(fnty, pos_args, kw_args)
            if len(_signatures) >= MOST_SIGNATURES:
                _signatures.clear()
            if found is not None:
                _signatures[key] = found
        return found


MOST_SIGNATURES = 4096
_signatures: dict[Any, Any] = {}


class _ModuleOfInferer:
    """What `typed_passes` uses of Numba's module with the class that infers types."""

    TypeInferer = Inferer


@register_pass(mutates_CFG=True, analysis_only=False)
class Inference(NopythonTypeInference):
    """Infer types by `Inferer`."""

    _name = "convhub_type_inference"

    def run_pass(self, state: Any) -> bool:
        """Leave the types in `state`; Numba's lock is held, so that nobody else finds the class replaced."""
        numbas = typed_passes.typeinfer
        typed_passes.typeinfer = _ModuleOfInferer
        try:
            return bool(super().run_pass(state))
        finally:
            typed_passes.typeinfer = numbas


@register_pass(mutates_CFG=True, analysis_only=False)
class Legalization(FunctionPass):
    """Prepare a function for lowering as Numba does, without marking where values are no longer needed.

    Numba clears each there, for the sake of reference counts.
    """

    _name = "convhub_legalization"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        """Leave the lifetimes of variables in the function."""
        raise_on_unsupported_feature(state.func_ir, state.typemap)
        PostProcessor(state.func_ir).run()
        return True


def compilers() -> tuple[type[Compiler], type[Compiler]]:
    """Return the compiler of parts and the compiler of kernels."""
    if numba.version_info.short not in KNOWN_VERSIONS:
        return Compiler, Compiler
    return _compiler(PartLowering), _compiler(KernelLowering)


def _compiler(lowering: type[NativeLowering]) -> type[Compiler]:
    """Return a compiler with those of Numba's passes that kernels need.

    The others are for closures, comprehensions, ``with`` blocks, unrolled tuples, inlined functions and
    expressions of whole arrays, which kernels do not have; each reads the whole function.
    """
    passes = (
        untyped_passes.TranslateByteCode,
        untyped_passes.FixupArgs,
        untyped_passes.IRProcessing,
        untyped_passes.GenericRewrites,
        untyped_passes.ReconstructSSA,
        untyped_passes.DeadBranchPrune,
        Inference,
        typed_passes.PreLowerStripPhis,
        Legalization,
        typed_passes.AnnotateTypes,
        lowering,
        typed_passes.NoPythonBackend,
    )

    class KernelCompiler(Compiler):
        def define_pipelines(self) -> list[Any]:
            manager = PassManager("convhub")
            for each in passes:
                manager.add_pass(each, each.__name__)
            manager.finalize()
            return [manager]

    return KernelCompiler
