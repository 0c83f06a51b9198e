"""Defines the contract with backends: their authors need to read only this file.

A backend is three functions and one declaration, provided to convhub by a plugin::

    # convhub_mine/__init__.py
    import numpy as np
    from convhub.backend import Backend, Capabilities, hookimpl

    convhub_contract = 1  # the version of this text that the plugin was written for

    def forward(x, w, bias, problem, options): ...
    def grad_input(dy, w, bias, problem, options): ...
    def grad_weight(dy, x, problem, options): ...

    @hookimpl
    def convhub_backends():
        capabilities = Capabilities(dtypes=("float32", "float64"))
        return [Backend("mine", capabilities, forward, grad_input, grad_weight)]

    # pyproject.toml
    [project.entry-points.convhub]
    mine = "convhub_mine"

Everything is one correlation ``y[n,k,p,q] = Σ w[k,c,r,s] · x[n,c, p·stride+r·dilation−top, …]`` and its
two adjoints (the formula with every index is in `convhub.problem`):

============================================= =======================================================
``forward(x, w, bias, problem, options)``     returns ``y``; `bias` is None or has K elements, added to
                                              each output channel
``grad_input(dy, w, bias, problem, options)`` returns ``dx[n,c,h,w]``, the sum of ``dy·w`` over every place
                                              where that pixel was used; it is also the transposed
                                              convolution, so `bias` is None or has C elements
``grad_weight(dy, x, problem, options)``      returns ``dw[k,c,r,s]``, the sum of ``dy·x`` over every place
                                              where that weight was used
============================================= =======================================================

What convhub promises to a backend
    The problem is valid, and the backend's own `Capabilities` and `supports` admit it. Arrays are of
    the library that it requested, of ``problem.dtype`` in native byte order and of exactly the shapes
    ``problem.input_shape``, ``weight_shape`` and ``output_shape``. They may be views of any strides
    (reversed, broadcast, Fortran order), unaligned, and read-only. N may be 0. Complex operands are used
    as they are: nothing is conjugated here, and no torch tensor is lazily conjugated or requires a gradient.
    Calls come from several threads at once, and from processes forked after a call. Where a non-finite
    operand meets padding, the outcome is up to the backend: padding may count as absent or as zero.

    On CUDA all operands lie on one device, which need not be the current one. The caller's stream on it is
    the current one of the requested library, even if the arrays come from the other library
    (`convhub.arrays.cuda_exchange`).

What a backend promises
    It returns a new array of ``problem.result_shape`` and ``problem.dtype`` on the same device, C
    contiguous, sharing no memory with its operands, and never writes to it again. It does not change its
    operands or the memory around them, and keeps none of their values: the next call may have others in the
    same memory. float16 and bfloat16 accumulate in float32 at least; subnormal numbers count, in
    operands and results; integers wrap around, as NumPy's do. A NaN makes NaN of each result whose window
    holds it; infinities do as sums make of them: those of one sign stay infinite, unless the class of
    accuracy is normwise. A complex product is ``(ac − bd) + (ad + bc)i``, each part a separate sum:
    if one overflows, it is infinite, and does not make the other NaN. The same call gives the same bits
    every time and for any number of threads, or the declaration says ``deterministic=False``. It imports
    heavy libraries when first called, not when its plugin is imported. A primitive that cannot continue
    raises an error, which reaches the caller with the names of backend, plugin and distribution.

    It leaves the process as it was, whatever the caller has set: floating-point mode, NumPy's error state,
    random numbers, environment, working folder, signal handlers, locale, warnings filters, the settings of
    gc, logging, decimal and torch, and all else that belongs to the whole process or to the calling thread.
    Only what its libraries do when they are first imported is excepted. It prints nothing, and lets no
    warning out but those about numbers that the caller's `numpy.errstate` asks for; it may write to a logger.
    Memory, open files and threads do not grow from call to call. Results in torch are plain tensors, not made
    in inference mode unless the caller is in it, so that autograd can go on from them.

    On CUDA it works on the operands' device and the current stream there, and waits for neither. A problem
    that it has run once, it can run again while the stream is captured into a graph: by then everything is
    compiled. A process that was forked after CUDA had started cannot use it, and must get an error that says
    so.

``convhub_contract = 1`` is set beside the hooks, as a plain number: a plugin for another version of this
text than `CONTRACT` is refused, with a message that says so. ``docs/plugin-contract.md`` says what may
change within a version, and what happens to a plugin that breaks a promise.

`bounded_cache` can keep plans between calls, within a limit in bytes.

``convhub conformance mine`` checks whether the promises are kept; ``docs/conformance.md`` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import pluggy

from .bounded_cache import bounded_cache
from .problem import PRIMITIVES, Primitive, Problem
from .system.apart import apart
from .system.python_command import python_command

__all__ = [
    "CONTRACT",
    "Accuracy",
    "Answer",
    "Array",
    "ArrayLibrary",
    "Backend",
    "CachedKernel",
    "Capabilities",
    "HelperProfile",
    "KernelCache",
    "KernelProfile",
    "Problem",
    "RunOptions",
    "apart",
    "bounded_cache",
    "hookimpl",
    "python_command",
]

hookimpl = pluggy.HookimplMarker("convhub")
"""Marks what a plugin implements of `convhub.hookspecs`."""

CONTRACT = 1
"""The version of what this file says. A plugin writes the number, not this name, which would always agree."""

Array: TypeAlias = Any
"""An array of the library that the backend asked for."""

Answer: TypeAlias = Literal[True] | str
"""True, or one line saying why not."""

ArrayLibrary = Literal["numpy", "torch", "cupy"]
"""The libraries whose arrays a backend can ask for."""

Accuracy = Literal["componentwise", "normwise"]
"""The bound to which the conformance suite holds a backend, eps being that of the accumulator:

componentwise
    ``|y − y*| ≤ (8 + √terms) · eps · (|x| ⋆ |w|)`` for each element: what summing gives, rounding being as
    good as random. Of equal numbers it is not: many are to be added in blocks, about √terms at a time.
normwise
    ``|y − y*| ≤ 8 · (8 + √terms) · eps · max(|x| ⋆ |w|)``, the largest element of the result's in place of
    each: what algorithms keep that transform their operands (FFT; Winograd with tiles of up to 4x4 results,
    for kernels of 3x3). ``accuracy = "strict"`` keeps these from being chosen.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The user's settings that concern the arithmetic of a primitive.

    Parameters
    ----------
    threads : int
        How many threads may work at once, including the calling one.
    workspace_limit : int
        The most memory, in bytes, to hold beyond operands and result, by all threads together. The least that
        a backend needs may be more: some 64 KiB, or copies of its arrays.
    accuracy : {"standard", "strict"}
        With ``"strict"``, only algorithms of the componentwise class may run.
    allow_tf32 : bool
        Whether float32 products may be rounded to TF32 on a GPU.
    backend : object
        An instance of the backend's own `Backend.options` type, or None.
    """

    threads: int = 1
    workspace_limit: int = 64 * 2**20
    accuracy: Literal["standard", "strict"] = "standard"
    allow_tf32: bool = False
    backend: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a backend can do, as read by dispatch, `explain`, the documentation and the suite's skips.

    Parameters
    ----------
    dtypes : tuple of str, or mapping of primitive to tuple of str
        By NumPy's names; the same for all primitives, or separately for each.
    devices : tuple of str
        Device types: ``"cpu"``, ``"cuda"``.
    arrays : {"numpy", "torch", "cupy"}
        The library whose arrays the functions take. convhub passes those of other libraries without a copy
        where memory can be shared.
    groups, stride, dilation, padding, asymmetric_padding : bool
        Whether values other than 1 (0 for padding; equal on both sides) are supported.
    accuracy : {"componentwise", "normwise"}
        See `Accuracy`; the lowest class of any of its algorithms. `Backend.accuracy` can be more specific.
    deterministic : bool
        Whether equal calls give equal bits.
    long_sums : bool
        Whether sums of 32768 or more terms keep the bound too, even if all numbers are equal. False for a
        library that may add them sequentially: their bound is then the certain one for any order.
    threads : bool
        Whether no more threads work at once than `RunOptions.threads` says. False for a library whose number
        of threads belongs to the whole process, where a backend must not change it.

    Examples
    --------
    >>> only_dense = Capabilities(dtypes=("float32",), groups=False)
    >>> only_dense.refusal(Problem.parse("forward_n1c4h8w8_k4r3s3_groups2"))
    'takes groups = 1 only, not 2'
    """

    dtypes: tuple[str, ...] | Mapping[Primitive, tuple[str, ...]]
    devices: tuple[str, ...] = ("cpu",)
    arrays: ArrayLibrary = "numpy"
    groups: bool = True
    stride: bool = True
    dilation: bool = True
    padding: bool = True
    asymmetric_padding: bool = True
    accuracy: Accuracy = "componentwise"
    deterministic: bool = True
    long_sums: bool = True
    threads: bool = True

    def dtypes_of(self, primitive: Primitive) -> tuple[str, ...]:
        """Return the dtypes that `primitive` supports.

        Parameters
        ----------
        primitive : {"forward", "grad_input", "grad_weight"}
            One that a backend of these capabilities has.
        """
        if isinstance(self.dtypes, Mapping):
            return self.dtypes.get(primitive, ())
        return self.dtypes

    def refusal(self, problem: Problem) -> str | None:
        """Return in one line what in `problem` is not supported, or None.

        Parameters
        ----------
        problem : Problem
            A problem for a backend with these capabilities.
        """
        (top, bottom), (left, right) = problem.padding
        dtypes = self.dtypes_of(problem.primitive)
        if problem.device not in self.devices:
            return f"runs on {' and '.join(self.devices)} only, not on {problem.device}"
        if problem.dtype not in dtypes:
            return f"takes {', '.join(dtypes) or 'no dtype'} in {problem.primitive}, not {problem.dtype}"
        if not self.groups and problem.groups != 1:
            return f"takes groups = 1 only, not {problem.groups}"
        if not self.stride and problem.stride != (1, 1):
            return f"takes stride = 1 only, not {problem.stride}"
        if not self.dilation and problem.dilation != (1, 1):
            return f"takes dilation = 1 only, not {problem.dilation}"
        if not self.padding and problem.padding != ((0, 0), (0, 0)):
            return f"takes padding = 0 only, not {problem.padding}"
        if not self.asymmetric_padding and (top, left) != (bottom, right):
            return f"takes equal padding on both sides only, not {problem.padding}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedKernel:
    """One compiled kernel that a backend keeps between processes.

    Parameters
    ----------
    name : str
        Its name in the cache, by which the functions of `KernelCache` find it.
    size : int
        Its size in bytes.
    used : float
        When it was last used, in seconds since 1970; a day more or less does not matter.
    outdated : str or None
        One line saying why this installation on this machine will not use it, or None if it will.
    """

    name: str
    size: int
    used: float
    outdated: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelCache:
    """How ``convhub cache`` shows, removes, exports and imports the compiled kernels that a backend keeps.

    The functions are called only if the backend is available. An `OSError` of any of them is shown as it is.

    Parameters
    ----------
    folder : callable
        ``folder()`` returns the folder in which kernels are kept; where none can be, it raises an `OSError`
        that says why.
    entries : callable
        ``entries()`` returns a `CachedKernel` for each kernel in that folder.
    remove : callable
        ``remove(name)`` removes a kernel, which another process may have removed meanwhile.
    read : callable
        ``read(name)`` returns a kernel as bytes, with everything that `write` needs to check it.
    write : callable
        ``write(name, content)`` keeps a kernel that `read` returned, perhaps on another machine. It raises a
        `ValueError`, in one line, if the content is damaged or does not belong to that name.

    Examples
    --------
    >>> CachedKernel(name="relu-1f.o", size=4096, used=0.0, outdated="it was compiled by version 1")
    CachedKernel(name='relu-1f.o', size=4096, used=0.0, outdated='it was compiled by version 1')
    """

    folder: Callable[[], str]
    entries: Callable[[], Iterable[CachedKernel]]
    remove: Callable[[str], None]
    read: Callable[[str], bytes]
    write: Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperProfile:
    """A function that a kernel is made of, beside the kernel's own.

    Parameters
    ----------
    name : str
        Its name; the same in every kernel.
    compiled : int
        For how many types of arguments it was compiled because this kernel needed it; 0 if an earlier kernel
        already did.
    seconds : float
        How long that took, without the helpers that it calls.
    linked : int or None
        How many copies of it, for different types of arguments, this kernel contains. Each is optimised once
        more in each kernel that contains it. None if the backend does not know.
    """

    name: str
    compiled: int = 0
    seconds: float = 0.0
    linked: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelProfile:
    """Where the time of compiling one kernel went.

    Parameters
    ----------
    name : str
        Its name, with whatever distinguishes it from other kernels made from the same source.
    seconds : float
        How long it took to compile, with the helpers that were compiled for it; of the processor's time, if
        the backend can tell.
    phases : mapping of str to float
        The seconds of each phase of the compiler, in the order in which they run. The names are headers of a
        table, so they should be short.
    sizes : mapping of str to float
        How large the kernel is in each of its forms; a unit is part of the name, as in ``"code KB"``.
    helpers : tuple of HelperProfile
        The functions that it is made of, each once.

    Examples
    --------
    >>> KernelProfile(name="relu 8", seconds=0.5, phases={"parse": 0.1, "optimize": 0.4}).helpers
    ()
    """

    name: str
    seconds: float
    phases: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, float] = field(default_factory=dict)
    helpers: tuple[HelperProfile, ...] = ()


def always(*_: object) -> Answer:
    """Answer True, for a backend that does not define the function."""
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """One engine: its name, its declaration and its functions.

    Parameters
    ----------
    name : str
        The name by which users choose it.
    capabilities : Capabilities
        What it can do.
    forward, grad_input, grad_weight : callable, optional
        The primitives, as the module's docstring describes them; None for one that is not offered.
    availability : callable, optional
        ``availability()`` returns True, or one line saying what is missing on this machine ("CUDA driver
        not found"). It is called late and once, in a separate thread, and has 30 seconds. That a backend can
        be imported does not make it available.
    supports : callable, optional
        ``supports(problem)`` returns True, or one line saying why not; for what `Capabilities` cannot say.
    algorithm : callable, optional
        ``algorithm(problem, options)`` names the algorithm that would run, for `explain` and the verbose log;
        after a comma it may add details, which tables leave out.
    accuracy : callable, optional
        ``accuracy(problem, options)`` returns the accuracy class of the algorithm that would run, if not all
        have that of the capabilities; with ``options.accuracy == "strict"`` it may return "componentwise"
        because another algorithm runs.
    compile : callable, optional
        ``compile(problem, options)`` compiles everything that calls of this problem may need, keeps it where
        later processes find it, and returns how many kernels it compiled: 0 if all were there. It computes
        nothing and takes no memory for operands, however large they would be; it raises an error if nothing
        can be kept. ``convhub compile`` calls it, also in several processes at once.
    expect : callable, optional
        ``expect(problem, options)`` is told that a call of this problem will probably follow, such as a
        gradient during the forward pass. A backend that compiles may begin to do so in the background. It
        must return at once.
    options : type, optional
        A dataclass with the backend's own settings, each with a default, from ``[options.NAME]`` in a
        configuration file; passed as ``options.backend``.
    preference : mapping of device type to int, optional
        The backend's rank when none is named: of those that can run a problem, the highest does.
        On a device that is not listed it runs only when named, by a call or by configuration; so
        installing a package changes no result.
    summary : str
        One line for tables.
    kernel_cache : KernelCache, optional
        What ``convhub cache`` calls, if the backend keeps compiled kernels between processes.
    compile_profile : callable, optional
        ``compile_profile(problem, options)`` compiles what `compile` would if nothing were kept, and returns
        a `KernelProfile` for each kernel, in the order in which they were compiled. It neither reads nor
        changes what is kept. Kernels that an earlier call in the same process compiled are left out.
        ``convhub compile --profile`` calls it, in a new process, for one problem after another.

    Examples
    --------
    >>> Backend("mine", Capabilities(dtypes=("float32",))).primitives
    ()
    """

    name: str
    capabilities: Capabilities
    forward: Callable[[Array, Array, Array | None, Problem, RunOptions], Array] | None = None
    grad_input: Callable[[Array, Array, Array | None, Problem, RunOptions], Array] | None = None
    grad_weight: Callable[[Array, Array, Problem, RunOptions], Array] | None = None
    availability: Callable[[], Answer] = field(default=always, kw_only=True)
    supports: Callable[[Problem], Answer] = field(default=always, kw_only=True)
    algorithm: Callable[[Problem, RunOptions], str] | None = field(default=None, kw_only=True)
    accuracy: Callable[[Problem, RunOptions], Accuracy] | None = field(default=None, kw_only=True)
    compile: Callable[[Problem, RunOptions], int] | None = field(default=None, kw_only=True)
    expect: Callable[[Problem, RunOptions], None] | None = field(default=None, kw_only=True)
    options: type | None = field(default=None, kw_only=True)
    preference: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    summary: str = field(default="", kw_only=True)
    kernel_cache: KernelCache | None = field(default=None, kw_only=True)
    compile_profile: Callable[[Problem, RunOptions], Iterable[KernelProfile]] | None = field(
        default=None, kw_only=True
    )

    @property
    def primitives(self) -> tuple[Primitive, ...]:
        """The primitives that this backend offers."""
        return tuple(name for name in PRIMITIVES if getattr(self, name) is not None)

    def accuracy_of(self, problem: Problem, options: RunOptions) -> Accuracy:
        """Return the accuracy class that the result of `problem` must keep.

        Parameters
        ----------
        problem : Problem
            One that this backend supports.
        options : RunOptions
            The options under which it would run.
        """
        return self.capabilities.accuracy if self.accuracy is None else self.accuracy(problem, options)
