"""Sorts layers into classes, so that a mean does not depend on how often a list has each kind.

The first matching rule decides:

==================  ======================================================================================
transposed          the layer is a transposed convolution, whatever its sizes
large depthwise     depthwise, with a kernel of 13 or more in height or width
depthwise           as many groups as input channels, and more than one
grouped             more than one group
dilated             dilation above 1 along an axis on which the kernel is longer than 1
stem                at most 4 input channels, and a kernel of 3 or more in height or width
1x1                 a kernel of one pixel, at any stride
3x3                 a kernel of 3 by 3 at stride 1
3x3 strided         … at any other stride
5x5 and 7x7         a kernel of 5 by 5 or 7 by 7, at any stride
odd                 the rest: 1x7, 7x1, 2x2, 11x11 …
==================  ======================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import ArgumentError, did_you_mean
from .layers import Layer

__all__ = ["CLASSES", "LARGE_KERNEL", "class_of", "parse_classes"]

#: The classes, in the order of tables.
CLASSES = (
    "3x3",
    "1x1",
    "3x3 strided",
    "5x5 and 7x7",
    "stem",
    "depthwise",
    "large depthwise",
    "grouped",
    "dilated",
    "transposed",
    "odd",
)

#: From this height or width on, a depthwise kernel is large.
LARGE_KERNEL = 13

_STEM_CHANNELS = 4


def class_of(layer: Layer) -> str:
    """Return the class of a layer, by the rules in this module's docstring.

    Examples
    --------
    >>> from convhub.bench.layers import of_problem
    >>> from convhub.problem import Problem
    >>> class_of(of_problem(Problem.parse("n1c3h32w32_k8r7s7_stride2")))
    'stem'
    """
    problem = layer.problem
    largest = max(problem.kernel_size)
    if layer.transposed:
        return "transposed"
    if problem.groups > 1:
        if problem.groups < problem.in_channels:
            return "grouped"
        return "large depthwise" if largest >= LARGE_KERNEL else "depthwise"
    if any(d > 1 and k > 1 for d, k in zip(problem.dilation, problem.kernel_size, strict=True)):
        return "dilated"
    if problem.in_channels <= _STEM_CHANNELS and largest >= 3:
        return "stem"
    if problem.kernel_size == (1, 1):
        return "1x1"
    if problem.kernel_size == (3, 3):
        return "3x3" if problem.stride == (1, 1) else "3x3 strided"
    if problem.kernel_size in ((5, 5), (7, 7)):
        return "5x5 and 7x7"
    return "odd"


def parse_classes(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the named classes; each text is one name or several with commas, and no text means all classes.

    Raises
    ------
    ArgumentError
        If there is no such class.

    Examples
    --------
    >>> parse_classes(["depthwise,1x1"])
    ('1x1', 'depthwise')
    """
    named = [name.strip() for text in texts for name in text.split(",")]
    for name in named:
        if name not in CLASSES:
            raise ArgumentError(
                f"classes is {name!r}; it must be of {', '.join(CLASSES)}." + did_you_mean(name, CLASSES)
            )
    return tuple(name for name in CLASSES if name in named) if named else CLASSES
