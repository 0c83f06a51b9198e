"""Sums up where the time of compiling went: over kernels, and for each function that kernels are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..backend import KernelProfile

__all__ = ["HELPER_HEADERS", "Helper", "headers_of", "helpers_of", "rows_of"]

#: Shown in place of a missing number.
NONE = "–"


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that kernels are made of, and what compiling it took over all kernels.

    Parameters
    ----------
    name : str
        Its name.
    compiled : int
        For how many types of arguments it was compiled.
    seconds : float
        How long that took, without the helpers that it calls.
    kernels : int
        How many kernels contain it.
    linked : int or None
        How many copies of it they contain, each of which is optimised separately; None if the backend does
        not know.
    """

    name: str
    compiled: int
    seconds: float
    kernels: int
    linked: int | None

    @property
    def cells(self) -> tuple[str, ...]:
        """Its row in a table, below `HELPER_HEADERS`."""
        linked = NONE if self.linked is None else str(self.linked)
        return (self.name, f"{self.seconds:.2f}", str(self.compiled), str(self.kernels), linked)


HELPER_HEADERS = ("Helper", "Seconds", "Compiled", "Kernels", "Copies")


def helpers_of(kernels: Sequence[KernelProfile]) -> list[Helper]:
    """Return the functions that kernels are made of, slowest first.

    Examples
    --------
    >>> from convhub.backend import HelperProfile
    >>> first = HelperProfile(name="pack", compiled=1, seconds=0.2, linked=1)
    >>> later = HelperProfile(name="pack", linked=3)
    >>> helpers_of([KernelProfile(name=n, seconds=1, helpers=(h,)) for n, h in (("a", first), ("b", later))])
    [Helper(name='pack', compiled=1, seconds=0.2, kernels=2, linked=4)]
    """
    found: dict[str, Helper] = {}
    for kernel in kernels:
        for one in kernel.helpers:
            known = found.get(one.name, Helper(one.name, 0, 0.0, 0, 0))
            unknown = one.linked is None or known.linked is None
            found[one.name] = Helper(
                one.name,
                known.compiled + one.compiled,
                known.seconds + one.seconds,
                known.kernels + (one.linked != 0),
                None if unknown else (known.linked or 0) + (one.linked or 0),
            )
    return sorted(found.values(), key=lambda helper: (-helper.seconds, -(helper.linked or 0), helper.name))


def headers_of(kernels: Sequence[KernelProfile]) -> list[str]:
    """Return the headers of a table of kernels: their names, all seconds, phases and sizes."""
    return ["Kernel", "all", *_names(kernels, "phases"), *_names(kernels, "sizes")]


def rows_of(kernels: Sequence[KernelProfile]) -> list[tuple[str, ...]]:
    """Return the rows of a table of kernels, slowest first, and one of their sums.

    Examples
    --------
    >>> parse = KernelProfile(name="parse", seconds=1, phases={"read": 1}, sizes={"lines": 9})
    >>> for row in (headers_of([parse]), *rows_of([parse, KernelProfile(name="add", seconds=2)])):
    ...     print(*row)
    Kernel all read lines
    add 2.00 – –
    parse 1.00 1.00 9
    2 in all 3.00 1.00 9
    """
    phases, sizes = _names(kernels, "phases"), _names(kernels, "sizes")
    rows = [*sorted(kernels, key=lambda kernel: -kernel.seconds), _sum(kernels)]
    columns = [
        [kernel.name for kernel in rows],
        [f"{kernel.seconds:.2f}" for kernel in rows],
        *([_text(kernel.phases.get(name), 2) for kernel in rows] for name in phases),
    ]
    for name in sizes:
        values = [kernel.sizes.get(name) for kernel in rows]
        digits = 0 if all(value is None or value == int(value) for value in values) else 1
        columns.append([_text(value, digits) for value in values])
    return list(zip(*columns, strict=True))


def _sum(kernels: Sequence[KernelProfile]) -> KernelProfile:
    """Return all kernels as one."""
    return KernelProfile(
        name=f"{len(kernels)} in all",
        seconds=sum(kernel.seconds for kernel in kernels),
        phases=_summed([kernel.phases for kernel in kernels]),
        sizes=_summed([kernel.sizes for kernel in kernels]),
    )


def _summed(mappings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the sum for each name."""
    found: dict[str, float] = {}
    for mapping in mappings:
        for name, value in mapping.items():
            found[name] = found.get(name, 0) + value
    return found


def _names(kernels: Sequence[KernelProfile], field: str) -> list[str]:
    """Return the names in a mapping of every kernel, in the order of their kernels."""
    return list(dict.fromkeys(name for kernel in kernels for name in getattr(kernel, field)))


def _text(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
