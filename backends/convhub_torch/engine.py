"""The three primitives by torch's own convolutions.

torch pads both sides alike and always computes as many outputs as fit. Where a problem differs, the image
is first cut or padded to exactly the rows and columns that its windows cover.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from convhub.backend import Problem, RunOptions

__all__ = ["forward", "grad_input", "grad_weight"]


@contextlib.contextmanager
def _settings(problem: Problem, options: RunOptions) -> Iterator[None]:
    """Record nothing for autograd, and let GPUs round to TF32 only where the user does.

    The number of threads is torch's own and global to the process, so it is left as it is.
    """
    with torch.no_grad():
        if problem.device != "cuda":
            yield
            return
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=options.allow_tf32
        ):
            yield


def forward(x: Tensor, w: Tensor, bias: Tensor | None, problem: Problem, options: RunOptions) -> Tensor:
    """Return ``y``; see `convhub.backend`."""
    with _settings(problem, options):
        image, padding = _fitting(x, problem)
        y = functional.conv2d(image, w, bias, problem.stride, padding, problem.dilation, problem.groups)
        return y.contiguous()


def grad_input(dy: Tensor, w: Tensor, bias: Tensor | None, problem: Problem, options: RunOptions) -> Tensor:
    """Return ``dx``; see `convhub.backend`."""
    with _settings(problem, options):
        spread = functional.conv_transpose2d(
            dy, w, None, problem.stride, 0, 0, problem.groups, problem.dilation
        )
        # A negative padding cuts; pixels that no window covers are zero.
        right = [-a for a in _pad_of_covered(problem)]
        dx = functional.pad(spread, right).contiguous()
        if dx.data_ptr() == dy.data_ptr():
            dx = dx.clone()
        return dx if bias is None else dx.add_(bias[:, None, None])


def grad_weight(dy: Tensor, x: Tensor, problem: Problem, options: RunOptions) -> Tensor:
    """Return ``dw``; see `convhub.backend`."""
    with _settings(problem, options):
        image, padding = _fitting(x, problem)
        if not dy.is_complex():
            return _real_grad_weight(dy, image, padding, problem)
        # torch has none for complex tensors, and the primitive conjugates nothing.
        parts = [
            [_real_grad_weight(g, i, padding, problem) for i in (image.real, image.imag)]
            for g in (dy.real, dy.imag)
        ]
        return torch.complex(parts[0][0] - parts[1][1], parts[0][1] + parts[1][0])


def _real_grad_weight(dy: Tensor, x: Tensor, padding: tuple[int, int], problem: Problem) -> Tensor:
    weight = x.new_empty(1).expand(problem.weight_shape)  # only its shape is looked at
    _, dw, _ = torch.ops.aten.convolution_backward(
        dy.contiguous(),
        x.contiguous(),
        weight,
        None,
        problem.stride,
        padding,
        problem.dilation,
        False,
        [0, 0],
        problem.groups,
        [False, True, False],
    )
    return dw.contiguous()


def _pad_of_covered(problem: Problem) -> list[int]:
    """Return the padding, in the order of `functional.pad`, that makes the image what the windows cover."""
    pads = []
    for axis in (1, 0):
        stride, dilation = problem.stride[axis], problem.dilation[axis]
        covered = (problem.output_size[axis] - 1) * stride + dilation * (problem.kernel_size[axis] - 1) + 1
        before = problem.padding[axis][0]
        pads += [before, covered - before - problem.input_size[axis]]
    return pads


def _fitting(x: Tensor, problem: Problem) -> tuple[Tensor, tuple[int, int]]:
    """Return an image and a padding with which torch computes exactly the wanted outputs."""
    (top, bottom), (left, right) = problem.padding
    fits = problem.output_size == problem.replace(output_size=(0, 0)).output_size
    if fits and (top, left) == (bottom, right):
        return x, (top, left)
    return functional.pad(x, _pad_of_covered(problem)), (0, 0)
