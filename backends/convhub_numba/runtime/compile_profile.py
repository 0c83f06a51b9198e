"""Measures where the time of compiling kernels goes, for ``convhub compile --profile``.

Numba announces when it begins and ends to compile a function, and to run a pass on one. All time between two
such events belongs to the phase and to the function that the first one began. For the versions of Numba whose
internals `pipeline` knows, the steps of LLVM are told apart too; with others they count as lowering.

Functions that kernels call are compiled while the types of their caller are inferred, and are optimised with
each kernel, into which they are linked. Nothing here runs unless `profiled` does.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numba
from llvmlite.binding import ObjectFileRef
from numba import types
from numba.core import event
from numba.core.registry import cpu_target

from convhub.backend import HelperProfile, KernelProfile

from ..pipeline import KNOWN_VERSIONS, KernelLibrary
from . import kernel_cache

__all__ = ["profiled"]

#: The phases, in the order in which a kernel passes through them. PREPARE reads bytecode, and is all of
#: Numba's own work that no other phase has; LINK joins the code of functions, and loads machine code.
PREPARE, TYPES, LOWER, LINK, LLVM, CODE = "prepare", "types", "lower", "link", "LLVM", "code"


def profiled(compile_all: Callable[[], object]) -> list[KernelProfile]:
    """Run a function that compiles kernels, and measure each that it compiles.

    Files of kernels are neither read nor written meanwhile. Kernels that this process has compiled or loaded
    before are left out. Only one thread may compile.
    """
    # Once in a process, the first kernel would have to wait for all that Numba imports here.
    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()
    recorder = _Recorder()
    with contextlib.ExitStack() as stack:
        stack.enter_context(kernel_cache.no_files())
        stack.enter_context(event.install_listener("numba:compile", _Functions(recorder)))
        stack.enter_context(event.install_listener("numba:run_pass", _Passes(recorder)))
        if numba.version_info.short in KNOWN_VERSIONS:
            stack.enter_context(_steps_of_llvm(recorder))
        compile_all()
    return recorder.kernels


class _Helper:
    """What a kernel needs of one function that it calls."""

    def __init__(self) -> None:
        self.compiled = 0
        self.seconds = 0.0
        self.linked = 0


class _Recorder:
    """Charges the time of the thread that compiles to phases and to functions."""

    def __init__(self) -> None:
        self.kernels: list[KernelProfile] = []
        self._functions: list[Any] = []
        self._phases: list[str] = []
        self._last = 0.0
        self._seconds: dict[str, float] = {}
        self._sizes: dict[str, float] = {}
        self._helpers: dict[str, _Helper] = {}
        self._knows_links = False

    def begin_function(self, dispatcher: Any) -> None:
        """Charge what follows to a function: a kernel, or a helper of the kernel that is being compiled."""
        if not self._functions:
            self._last = time.thread_time()
            self._seconds, self._sizes, self._helpers = {}, {}, {}
        else:
            self._charge()
            _dispatchers.add(dispatcher)
            self._helper(_name(dispatcher)).compiled += 1
        self._functions.append(dispatcher)
        self._phases.append(PREPARE)

    def end_function(self, arguments: tuple[Any, ...]) -> None:
        """Charge what follows to the caller; a kernel, which has none, is done."""
        self._charge()
        self._phases.pop()
        dispatcher = self._functions.pop()
        if not self._functions:
            self.kernels.append(self._kernel(dispatcher, arguments))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge the block to a phase."""
        self.begin_phase(name)
        try:
            yield
        finally:
            self.end_phase()

    def begin_phase(self, name: str) -> None:
        """Charge what follows to a phase, until its end."""
        self._charge()
        self._phases.append(name)

    def end_phase(self) -> None:
        """Charge what follows to the phase before."""
        self._charge()
        self._phases.pop()

    def measure_ir(self, library: Any) -> None:
        """Note the size of a kernel before it is optimised, and what it is linked from; charge no time."""
        self._charge()
        self._sizes["IR lines"] = str(library._final_module).count("\n")
        self._knows_links = True
        names = {
            id(result.library): _name(dispatcher)
            for dispatcher in _dispatchers
            for result in dispatcher.overloads.values()
        }
        for each in _linked(library):
            self._helper(names.get(id(each), f"numba's {each.name}")).linked += 1
        self._last = time.thread_time()

    def measure_code(self, machine_code: bytes) -> None:
        """Note the size of a kernel's machine code, without tables; charge no time."""
        self._charge()
        sections = ObjectFileRef.from_data(machine_code).sections()
        size = sum(section.size() for section in sections if section.is_text())
        self._sizes["code KB"] = round(size / 1000, 1)
        self._last = time.thread_time()

    def _charge(self) -> None:
        """Charge the time since the last event to the phase and the function that have run since."""
        now = time.thread_time()
        if self._functions:
            phase = self._phases[-1]
            self._seconds[phase] = self._seconds.get(phase, 0.0) + now - self._last
        if len(self._functions) > 1:
            self._helper(_name(self._functions[-1])).seconds += now - self._last
        self._last = now

    def _helper(self, name: str) -> _Helper:
        return self._helpers.setdefault(name, _Helper())

    def _kernel(self, dispatcher: Any, arguments: tuple[Any, ...]) -> KernelProfile:
        order = (PREPARE, TYPES, LOWER, LINK, LLVM, CODE)
        return KernelProfile(
            name=_kernel_name(dispatcher, arguments),
            seconds=sum(self._seconds.values()),
            phases={name: self._seconds[name] for name in order if name in self._seconds},
            sizes=self._sizes,
            helpers=tuple(
                HelperProfile(
                    name=name,
                    compiled=helper.compiled,
                    seconds=helper.seconds,
                    linked=helper.linked if self._knows_links else None,
                )
                for name, helper in self._helpers.items()
            ),
        )


class _Functions(event.Listener):
    """Tells the recorder which function is being compiled."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    def on_start(self, event: Any) -> None:
        """Begin a function."""
        self._recorder.begin_function(event.data["dispatcher"])

    def on_end(self, event: Any) -> None:
        """End it."""
        self._recorder.end_function(event.data["args"])


class _Passes(event.Listener):
    """Tells the recorder which pass is running."""

    def __init__(self, recorder: _Recorder) -> None:
        self._recorder = recorder

    def on_start(self, event: Any) -> None:
        """Begin the phase that a pass belongs to; its name is followed by that of the function."""
        name = event.data["name"].partition(" ")[0]
        phase = TYPES if name.endswith("type_inference") else LOWER if name.endswith("lowering") else PREPARE
        self._recorder.begin_phase(phase)

    def on_end(self, event: Any) -> None:
        """End it."""
        self._recorder.end_phase()


@contextlib.contextmanager
def _steps_of_llvm(recorder: _Recorder) -> Iterator[None]:
    """Tell the recorder which step of LLVM is running on a kernel."""
    finalize = KernelLibrary.finalize
    optimize = KernelLibrary._optimize_final_module
    generate = KernelLibrary._finalize_final_module

    def finalized(library: Any) -> None:
        with recorder.phase(LINK):
            finalize(library)

    def optimized(library: Any) -> None:
        recorder.measure_ir(library)
        with recorder.phase(LLVM):
            optimize(library)

    def generated(library: Any) -> None:
        engine, own = library._codegen._engine, type(library)

        def written(module: Any, machine_code: bytes) -> None:
            own._object_compiled_hook(module, machine_code)
            recorder.measure_code(machine_code)
            recorder.end_phase()
            recorder.begin_phase(LINK)  # what is left is to load it

        engine.set_object_cache(written, own._object_getbuffer_hook)
        try:
            with recorder.phase(CODE):
                generate(library)
        finally:
            engine.set_object_cache(own._object_compiled_hook, own._object_getbuffer_hook)

    with (
        _replaced("finalize", finalized),
        _replaced("_optimize_final_module", optimized),
        _replaced("_finalize_final_module", generated),
    ):
        yield


@contextlib.contextmanager
def _replaced(name: str, method: Callable[[Any], None]) -> Iterator[None]:
    """Have the libraries of kernels use another method within this block."""
    own = vars(KernelLibrary).get(name)
    setattr(KernelLibrary, name, method)
    try:
        yield
    finally:
        if own is None:
            delattr(KernelLibrary, name)
        else:
            setattr(KernelLibrary, name, own)


#: The helpers that were compiled while something was profiled: later kernels link what earlier ones needed.
_dispatchers: set[Any] = set()

#: How many kernels have had each name.
_named: Counter[str] = Counter()


def _linked(library: Any) -> list[Any]:
    """Return the libraries of the functions that a kernel calls, and of those that these call, each once."""
    found: dict[int, Any] = {}
    waiting = list(library._linking_libraries)
    while waiting:
        each = waiting.pop()
        if id(each) not in found:
            found[id(each)] = each
            waiting += each._linking_libraries
    return list(found.values())


def _name(dispatcher: Any) -> str:
    """Return a function's name within the engine."""
    module = dispatcher.__module__.removeprefix(f"{__package__.partition('.')[0]}.").removeprefix(
        "algorithms."
    )
    return f"{module}.{dispatcher.__name__}"


def _kernel_name(dispatcher: Any, arguments: tuple[Any, ...]) -> str:
    """Return a kernel's name, the type of its first array, and its literal arguments; a number if need be."""
    arrays = [str(each.dtype) for each in arguments if isinstance(each, types.Array)]
    literals = [str(each.literal_value) for each in arguments if isinstance(each, types.Literal)]
    name = " ".join([_name(dispatcher), *arrays[:1], *literals])
    _named[name] += 1
    return name if _named[name] == 1 else f"{name} #{_named[name]}"
