r"""Describes one convolution with all its sizes.

Everything convhub computes is one correlation and its two adjoints. With ``g = k // (K / groups)``
the group of output channel ``k``:

.. math::

    y[n,k,p,q] = \sum_{c,r,s} w[k,c,r,s] \cdot x[n, g C/groups + c,\;
                 p \cdot stride_h + r \cdot dilation_h - top,\;
                 q \cdot stride_w + s \cdot dilation_w - left]

A `Problem` always describes that correlation: ``x`` is its input, ``y`` its output, whichever of the
three is being computed. `convhub.problem.sizes` has the formulas that relate their sizes.
"""

from __future__ import annotations

import dataclasses
import functools
import math

from ..errors import ArgumentError, ShapeError, did_you_mean, short_repr
from .sizes import ITEM_BYTES, MAX_ELEMENTS, PRIMITIVES, Pair, Primitive, full_output_size
from .text import parse_fields, print_fields

__all__ = ["Problem", "with_primitive"]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Problem:
    """One convolution, or one of its adjoints, with every size.

    Parameters
    ----------
    primitive : {"forward", "grad_input", "grad_weight"}
        Which of the three operands ``y``, ``x`` and ``w`` is computed from the other two.
    batch : int
        N, zero or more images.
    in_channels, out_channels : int
        C and K, the channels of ``x`` and of ``y``, over all groups.
    input_size : (int, int)
        H and W, the rows and columns of ``x``.
    kernel_size : (int, int)
        R and S.
    stride : (int, int)
        Rows and columns from one window to the next, one or more.
    padding : ((int, int), (int, int))
        Zeros at (top, bottom) and (left, right) of ``x``.
    dilation : (int, int)
        Rows and columns from one element of the kernel to the next, one or more.
    groups : int
        Divides both C and K.
    dtype : str
        The type of every operand, by NumPy's name, or ``"bfloat16"``.
    device : str
        Device type: ``"cpu"`` or ``"cuda"``.
    output_size : (int, int), optional
        P and Q, the rows and columns of ``y``; by default as many as fit. There are fewer if a transposed
        convolution has an `output_padding` of its stride or more.

    Raises
    ------
    ArgumentError
        If a size is negative, zero where it may not be, or the parts do not fit.

    Examples
    --------
    >>> problem = Problem("forward", 1, 3, 8, (32, 32), (3, 3), padding=((1, 1), (1, 1)))
    >>> problem
    Problem.parse('forward_float32_n1c3h32w32_k8r3s3_pad1x1')
    >>> problem.output_size
    (32, 32)
    >>> print(problem)
    forward_float32_n1c3h32w32_k8r3s3_pad1x1
    >>> Problem.parse(str(problem)) == problem
    True
    """

    primitive: Primitive
    batch: int
    in_channels: int
    out_channels: int
    input_size: Pair
    kernel_size: Pair
    stride: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    groups: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    output_size: Pair = (0, 0)

    def __post_init__(self) -> None:
        _check_values(self)
        full = self.full_output_size
        if self.output_size == (0, 0):
            object.__setattr__(self, "output_size", full)
        for axis, name in enumerate(("height", "width")):
            if full[axis] < 1:
                raise ShapeError(_kernel_too_large(self, axis, name))
            if not 1 <= self.output_size[axis] <= full[axis]:
                raise ShapeError(
                    f"output_size {self.output_size} has a {name} outside 1..{full[axis]}, "
                    f"which is what fits an input of {self.input_size}"
                )
        for operand in ("input", "weight", "output"):
            if math.prod(getattr(self, f"{operand}_shape")) > MAX_ELEMENTS:
                raise ShapeError(
                    f"{operand} of shape {getattr(self, f'{operand}_shape')} has more than "
                    "2**63 - 1 elements, which no 64-bit offset can address"
                )

    @property
    def full_output_size(self) -> Pair:
        """Rows and columns of ``y`` if there are as many as fit."""
        return (self._full_output_size(0), self._full_output_size(1))

    def _full_output_size(self, axis: int) -> int:
        return full_output_size(
            self.input_size[axis],
            self.kernel_size[axis],
            self.stride[axis],
            self.padding[axis],
            self.dilation[axis],
        )

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``x``: (N, C, H, W)."""
        return (self.batch, self.in_channels, *self.input_size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``w``: (K, C / groups, R, S)."""
        return (self.out_channels, self.group_channels[0], *self.kernel_size)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``y``: (N, K, P, Q)."""
        return (self.batch, self.out_channels, *self.output_size)

    @property
    def result_shape(self) -> tuple[int, int, int, int]:
        """Shape of the primitive's result."""
        return {
            "forward": self.output_shape,
            "grad_input": self.input_shape,
            "grad_weight": self.weight_shape,
        }[self.primitive]

    @property
    def operand_shapes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Shapes of the primitive's two operands, in the order in which a backend gets them."""
        return {
            "forward": (self.input_shape, self.weight_shape),
            "grad_input": (self.output_shape, self.weight_shape),
            "grad_weight": (self.output_shape, self.input_shape),
        }[self.primitive]

    @property
    def bias_shape(self) -> tuple[int] | None:
        """Shape of the bias that may be added to the result; None for a primitive that takes none."""
        return None if self.primitive == "grad_weight" else (self.result_shape[1],)

    @property
    def group_channels(self) -> Pair:
        """Channels of one group, of ``x`` and of ``y``: (C / groups, K / groups)."""
        return (self.in_channels // self.groups, self.out_channels // self.groups)

    @property
    def itemsize(self) -> int:
        """Size of one element in bytes."""
        return ITEM_BYTES[self.dtype]

    @property
    def macs(self) -> int:
        """Multiply-accumulates, including those on padding; each is two floating-point operations."""
        return math.prod(self.output_shape) * math.prod(self.weight_shape[1:])

    @property
    def terms(self) -> int:
        """The most products that are summed for one element of the result."""
        if self.primitive == "forward":
            return math.prod(self.weight_shape[1:])
        if self.primitive == "grad_input":
            return self.group_channels[1] * math.prod(self.kernel_size)
        return self.batch * math.prod(self.output_size)

    @property
    def input_bytes(self) -> int:
        """Size of ``x`` in bytes."""
        return math.prod(self.input_shape) * self.itemsize

    @property
    def weight_bytes(self) -> int:
        """Size of ``w`` in bytes."""
        return math.prod(self.weight_shape) * self.itemsize

    @property
    def output_bytes(self) -> int:
        """Size of ``y`` in bytes."""
        return math.prod(self.output_shape) * self.itemsize

    def replace(self, **changes: object) -> Problem:
        """Return the same problem with some fields changed, as `dataclasses.replace` does.

        Parameters
        ----------
        **changes : object
            New values of fields, by their names.
        """
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        """Return Python code that makes this problem, with its text form."""
        return f"Problem.parse({str(self)!r})"

    def __str__(self) -> str:
        """Return the text form, which `parse` reads back."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.output_size == self.full_output_size:
            del fields["output_size"]
        return print_fields(fields)

    @classmethod
    def parse(cls, text: str) -> Problem:
        """Read a problem from its text form.

        Parts may be in any order, separated by underscores, spaces or commas; omitted parts have their
        defaults (``forward``, ``float32``, ``cpu``, stride 1, no padding …). A single number applies to both
        axes: ``stride2`` is ``stride2x2``.

        Parameters
        ----------
        text : str
            For example ``"grad_input_float64_n2c4h9w8_k6r3s2_stride2x1_pad1-2x0_dilation1x2_groups2"``:
            two images of 4 channels, 9 by 8 pixels; 6 output channels, kernel 3 by 2; 1 row of padding
            above, 2 below, none at the sides.

        Raises
        ------
        ArgumentError
            If a part is not understood or occurs twice, or the sizes do not fit.
        """
        return cls(**parse_fields(text))


def _check_values(problem: Problem) -> None:
    for name, known in (("primitive", PRIMITIVES), ("dtype", ITEM_BYTES), ("device", ("cpu", "cuda"))):
        value = getattr(problem, name)
        # Check the type first: other objects may be unhashable, or raise when they are compared.
        if type(value) is not str or value not in known:
            near = did_you_mean(value[:60], known) if type(value) is str else ""
            raise ArgumentError(f"{name} is {short_repr(value)}; it must be one of {', '.join(known)}.{near}")
    pairs = {
        n: getattr(problem, n) for n in ("input_size", "kernel_size", "stride", "dilation", "output_size")
    }
    if type(problem.padding) is tuple and len(problem.padding) == 2:
        pairs |= {f"padding[{axis}]": problem.padding[axis] for axis in (0, 1)}
    else:
        pairs["padding"] = ()
    for name, value in pairs.items():
        if type(value) is not tuple or len(value) != 2:
            whole = problem.padding if name == "padding" else value
            raise ArgumentError(
                f"{name} is {short_repr(whole)}; it must be a pair, and padding "
                "((top, bottom), (left, right))"
            )
    for name, value, least in (
        ("batch", problem.batch, 0),
        ("in_channels", problem.in_channels, 1),
        ("out_channels", problem.out_channels, 1),
        ("groups", problem.groups, 1),
        *((f"input_size[{i}]", problem.input_size[i], 1) for i in (0, 1)),
        *((f"kernel_size[{i}]", problem.kernel_size[i], 1) for i in (0, 1)),
        *((f"output_size[{i}]", problem.output_size[i], 0) for i in (0, 1)),
        *((f"stride[{i}]", problem.stride[i], 1) for i in (0, 1)),
        *((f"dilation[{i}]", problem.dilation[i], 1) for i in (0, 1)),
        *((f"padding[{i}][{j}]", problem.padding[i][j], 0) for i in (0, 1) for j in (0, 1)),
    ):
        if type(value) is not int or not least <= value <= MAX_ELEMENTS:
            raise ArgumentError(
                f"{name} is {short_repr(value)}; it must be an integer from {least} to 2**63 - 1"
            )
    for name, channels in (
        ("in_channels", problem.in_channels),
        ("out_channels", problem.out_channels),
    ):
        if channels % problem.groups:
            raise ArgumentError(
                f"{name} is {channels}; it must be a multiple of groups, which is {problem.groups}"
            )


def _kernel_too_large(problem: Problem, axis: int, name: str) -> str:
    reach = problem.dilation[axis] * (problem.kernel_size[axis] - 1) + 1
    padded = problem.input_size[axis] + sum(problem.padding[axis])
    return (
        f"weight has a kernel of {problem.kernel_size}, which with dilation {problem.dilation} spans "
        f"{reach} in {name}; the padded input {problem.input_size} with padding {problem.padding} "
        f"has only {padded}, and must have {reach} or more"
    )


@functools.lru_cache(maxsize=4096)
def with_primitive(problem: Problem, primitive: Primitive) -> Problem:
    """Return the same convolution, with another of its three operands computed from the other two."""
    return problem.replace(primitive=primitive)
