"""Defines types for checkers such as mypy: arrays of any library, and the parameters of the four functions.

An array is any object with the attributes that arrays of NumPy, torch and CuPy have in common, so that none
of these needs to be installed to check types. A function returns arrays of the type that it gets: a
`torch.Tensor` for tensors.

Examples
--------
::

    import numpy as np
    import convhub
    from convhub.typing import ArrayT, Steps

    def blur(image: ArrayT, weight: ArrayT, stride: Steps = 1) -> ArrayT:
        return convhub.conv2d(image, weight, stride=stride, padding="same")
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, SupportsIndex, TypeAlias, TypeVar

__all__ = ["Array", "ArrayT", "Mask", "Padding", "Steps"]


class Array(Protocol):
    """An array of NumPy, torch or CuPy, but not a list or a NumPy scalar."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its dimensions."""

    @property
    def dtype(self) -> Any:
        """The type of its elements."""

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""

    def __getitem__(self, key: Any, /) -> Any: ...

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


ArrayT = TypeVar("ArrayT", bound=Array)
"""The type of the arrays of a call, and so of its result."""

Steps: TypeAlias = SupportsIndex | tuple[SupportsIndex, ...] | list[int]
"""An integer, or one for rows and one for columns."""

Padding: TypeAlias = (
    Steps
    | tuple[tuple[SupportsIndex, SupportsIndex], tuple[SupportsIndex, SupportsIndex]]
    | list[tuple[int, int]]
    | list[list[int]]
    | Literal["same", "valid"]
)
"""`Steps`, ((top, bottom), (left, right)), or a name."""

Mask: TypeAlias = tuple[bool, bool, bool] | list[bool]
"""Whether each of the gradients for input, weight and bias is wanted."""
