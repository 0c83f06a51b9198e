"""Reads the layers to time: published lists in ``shapes/``, users' files, problems as texts.

A layer is a convolution or a transposed convolution with its sizes. In the lists it has no primitive and no
dtype; it becomes one problem for each primitive to time. For a transposed layer convhub's primitives change
roles: ``conv_transpose2d`` itself is the primitive grad_input of the convolution whose adjoint it is. It is
timed under that name, and its gradient for the weight under grad_weight; its gradient for the input is a
plain convolution, such as the other classes time, and is left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from ..errors import ArgumentError, did_you_mean
from ..problem import PRIMITIVES, Pair, Primitive, Problem, transposed_output_size, with_primitive

__all__ = ["LISTS", "Layer", "Wanted", "built_in", "of_problem", "problems_of", "read_file"]

#: The lists that come with convhub; see ``shapes/README.md``.
LISTS = ("conv.csv", "deconv.csv", "extra.csv")

#: A value of ``--primitive``; "forward" is a layer's operation in inference, transposed or not.
Wanted = str
_OF_CONVOLUTION: Mapping[Wanted, tuple[Primitive, ...]] = {
    "forward": ("forward",),
    "grad_input": ("grad_input",),
    "grad_weight": ("grad_weight",),
    "all": PRIMITIVES,
}
_OF_TRANSPOSED: Mapping[Wanted, tuple[Primitive, ...]] = {
    "forward": ("grad_input",),
    "grad_input": ("grad_input",),
    "grad_weight": ("grad_weight",),
    "all": ("grad_input", "grad_weight"),
}

_REQUIRED = ("n", "c", "h", "w", "k", "r", "s")
_DEFAULTS = {
    "stride_h": 1,
    "stride_w": 1,
    "pad_h": 0,
    "pad_w": 0,
    "dil_h": 1,
    "dil_w": 1,
    "groups": 1,
    "out_pad_h": 0,
    "out_pad_w": 0,
}
_TEXTS = ("source", "name", "macs")  # macs is for readers; a problem computes its own


@dataclass(frozen=True, slots=True)
class Layer:
    """One problem to time, and its source.

    If `transposed`, it is called as ``conv_transpose2d`` or its gradient, otherwise as ``conv2d`` or its
    gradient.
    """

    name: str
    problem: Problem
    transposed: bool = False

    @property
    def operation(self) -> str:
        """The timed call, in words."""
        function = "conv_transpose2d" if self.transposed else "conv2d"
        if self.problem.primitive == "grad_weight":
            return f"{function}, gradient for weight"
        if (self.problem.primitive == "grad_input") == self.transposed:
            return function
        return f"{function}, gradient for input"

    @property
    def output_padding(self) -> Pair:
        """The `output_padding` of `conv_transpose2d`; zero if the layer is no such call."""
        if not self.transposed:
            return (0, 0)
        problem = self.problem
        height, width = (
            problem.input_size[axis]
            - transposed_output_size(
                problem.output_size[axis],
                problem.kernel_size[axis],
                problem.stride[axis],
                problem.padding[axis][0],
                0,
                problem.dilation[axis],
            )
            for axis in (0, 1)
        )
        return height, width

    def on(self, device: str) -> Layer:
        """Return the same layer on a device type.

        Raises
        ------
        ArgumentError
            If its problem names another device; a problem that names none is for the CPU.
        """
        if self.problem.device not in ("cpu", device):
            raise ArgumentError(
                f"problem is {self.problem}, which is for {self.problem.device}: "
                f"add --device {self.problem.device}"
            )
        return replace(self, problem=self.problem.replace(device=device))

    def with_batch(self, batch: int) -> Layer:
        """Return the same layer with another number of images."""
        return replace(self, problem=self.problem.replace(batch=batch))


def problems_of(layers: Sequence[Layer], wanted: Wanted, dtype: str) -> list[Layer]:
    """Return each layer once for each of its wanted primitives, in `dtype`.

    Examples
    --------
    >>> layer = of_problem(Problem.parse("n1c4h9w9_k6r3s3"))
    >>> [str(found.problem) for found in problems_of([layer], "grad_weight", "float64")]
    ['grad_weight_float64_n1c4h9w9_k6r3s3']
    """
    return [
        replace(layer, problem=with_primitive(layer.problem, primitive).replace(dtype=dtype))
        for layer in layers
        for primitive in (_OF_TRANSPOSED if layer.transposed else _OF_CONVOLUTION)[wanted]
    ]


def of_problem(problem: Problem) -> Layer:
    """Return the layer of which `problem` is a call.

    The call is one of ``conv2d``, or of ``conv_transpose2d`` if the output is smaller than what fits, which
    happens only with an ``output_padding``.

    Raises
    ------
    ArgumentError
        If neither function of convhub computes it.
    """
    if problem.output_size == problem.full_output_size:
        return Layer("", problem)
    layer = Layer("", problem, transposed=True)
    most = tuple(max(pair) - 1 for pair in zip(problem.stride, problem.dilation, strict=True))
    if any(before != after for before, after in problem.padding) or any(
        extra > limit for extra, limit in zip(layer.output_padding, most, strict=True)
    ):
        raise ArgumentError(
            f"problem is {problem}, whose output is smaller than what fits; only conv_transpose2d has that, "
            f"for which padding must be equal on both sides, and output_padding at most {most}"
        )
    return layer


def built_in() -> list[Layer]:
    """Return every layer of convhub's own lists; each problem has the primitive of inference."""
    folder = resources.files(__package__) / "shapes"
    return [
        layer
        for name in LISTS
        for layer in _read_csv((folder / name).read_text(encoding="utf-8"), f"shapes/{name}")
    ]


def read_file(path: Path) -> tuple[list[Layer], bool]:
    """Return the layers of a file, and whether these are texts, which give their own primitive and dtype.

    A file whose first line has the columns n, c, h, w, k, r and s is a table like those in ``shapes/``; with
    a column ``out_pad_h`` its layers are transposed. Any other file has a problem's text in each line; empty
    lines and comments after a ``#`` are skipped.

    Raises
    ------
    ArgumentError
        If it cannot be read; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"shapes is {str(path)!r}, which cannot be read: {error}") from error
    header = {field.strip() for field in text.partition("\n")[0].split(",")}
    is_table = len(header & set(_REQUIRED)) > 1
    found = list(_read_csv(text, str(path)) if is_table else _read_texts(text, str(path)))
    if not found:
        raise ArgumentError(f"shapes is {str(path)!r}, which has no layer in it")
    return found, not is_table


def _read_texts(text: str, where: str) -> Iterator[Layer]:
    for number, line in enumerate(text.splitlines(), 1):
        written = line.partition("#")[0].strip()
        if written:
            try:
                yield of_problem(Problem.parse(written))
            except ArgumentError as error:
                raise ArgumentError(f"{where}, line {number}: {error}") from error


def _read_csv(text: str, where: str) -> Iterator[Layer]:
    rows = csv.reader(io.StringIO(text), skipinitialspace=True)
    columns = [column.strip() for column in next(rows)]
    known = (*_REQUIRED, *_DEFAULTS, *_TEXTS)
    for column in columns:
        if column not in known:
            raise ArgumentError(
                f"{where}, line 1: there is no column {column!r}; there are {', '.join(known)}."
                + did_you_mean(column, known)
            )
    missing = [column for column in _REQUIRED if column not in columns]
    if missing or len(set(columns)) < len(columns):
        wrong = f"lacks the columns {', '.join(missing)}" if missing else "has a column twice"
        raise ArgumentError(f"{where}, line 1: the table {wrong}")
    for row in rows:
        if not row:
            continue
        try:
            if len(row) != len(columns):
                raise ArgumentError(f"it has {len(row)} fields; line 1 has {len(columns)} columns")
            yield _of_row(dict(zip(columns, row, strict=True)))
        except ArgumentError as error:
            raise ArgumentError(f"{where}, line {rows.line_num}: {error}") from error


def _of_row(row: dict[str, str]) -> Layer:
    sizes = dict(_DEFAULTS)
    for column in (*_REQUIRED, *_DEFAULTS):
        if column in row:
            if not row[column].strip().isdecimal():
                raise ArgumentError(f"{column} is {row[column]!r}; it must be a number, zero or more")
            sizes[column] = int(row[column])
    name = " ".join(filter(None, (row.get("source", ""), row.get("name", ""))))
    transposed = "out_pad_h" in row or "out_pad_w" in row
    problem = _transposed_problem(sizes) if transposed else _problem(sizes)
    return Layer(name, problem, transposed)


def _pair(sizes: Mapping[str, int], name: str) -> tuple[int, int]:
    return sizes[f"{name}_h"], sizes[f"{name}_w"]


def _problem(sizes: Mapping[str, int]) -> Problem:
    (down, across) = _pair(sizes, "pad")
    return Problem(
        "forward",
        batch=sizes["n"],
        in_channels=sizes["c"],
        out_channels=sizes["k"],
        input_size=(sizes["h"], sizes["w"]),
        kernel_size=(sizes["r"], sizes["s"]),
        stride=_pair(sizes, "stride"),
        padding=((down, down), (across, across)),
        dilation=_pair(sizes, "dil"),
        groups=sizes["groups"],
    )


def _transposed_problem(sizes: Mapping[str, int]) -> Problem:
    """Return the convolution whose adjoint the layer is: its output has the size of the layer's input."""
    size, kernel = (sizes["h"], sizes["w"]), (sizes["r"], sizes["s"])
    stride, padding, dilation = (_pair(sizes, name) for name in ("stride", "pad", "dil"))
    extra = _pair(sizes, "out_pad")
    height, width = (
        transposed_output_size(
            size[axis], kernel[axis], stride[axis], padding[axis], extra[axis], dilation[axis]
        )
        for axis in (0, 1)
    )
    return Problem(
        "grad_input",
        batch=sizes["n"],
        in_channels=sizes["k"],
        out_channels=sizes["c"],
        input_size=(height, width),
        kernel_size=kernel,
        stride=stride,
        padding=((padding[0], padding[0]), (padding[1], padding[1])),
        dilation=dilation,
        groups=sizes["groups"],
        output_size=size,
    )
