"""Computes forward and both gradients with torch's operators.

torch pads both sides equally and computes every output that fits. Where a problem differs, the input is
copied into a frame that fits its outputs exactly: padded on each side as far as they read, and cut off where
they do not use all of it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from convhub.backend import Array, Problem, RunOptions

from .taps import forward_by_taps, input_by_taps, weight_by_taps

__all__ = ["forward", "grad_input", "grad_weight"]

_NARROW = (torch.float16, torch.bfloat16)
#: From so many taps on each axis gradients may be wrong: two fewer than where one was seen.
LARGE_TAPS = 12
_FLAGS_LOCK = threading.Lock()

# A forked child has none of the threads of torch's OpenMP, and waits for them forever when it computes on
# several. The child notes the fork here, and acts on it at its first call.
_forked = False


def _note_fork() -> None:
    global _forked, _FLAGS_LOCK
    _forked = True
    _FLAGS_LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``, (N, K, P, Q), as the contract in `convhub.backend` says."""
    with torch.no_grad(), _settings(problem, options):
        # Zeros that torch pads with, or puts between outputs, times a weight that is not finite make NaN.
        exact = problem.device == "cpu" and not _all_finite(w)
        y = _in_parts(forward_by_taps if exact else _forward, x, w, problem)
        return _finish(y, bias, x.dtype)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``, (N, C, H, W), as the contract in `convhub.backend` says."""
    with torch.no_grad(), _settings(problem, options):
        exact = problem.device == "cpu" and not _all_finite(w)
        dx = _in_parts(input_by_taps if exact else _grad_input, dy, w, problem)
        return _finish(dx, bias, dy.dtype)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``, (K, C / groups, R, S), as the contract in `convhub.backend` says."""
    with torch.no_grad(), _settings(problem, options):
        dw = _in_parts(weight_by_taps if _is_miscalculated(problem) else _grad_weight, dy, x, problem)
        if problem.device == "cpu" and _padded(problem) and not _all_finite(dw):
            dw = _in_parts(weight_by_taps, dy, x, problem)
        return _finish(dw, None, x.dtype)


def _is_miscalculated(problem: Problem) -> bool:
    """Return whether torch may return a wrong gradient of the weight, whatever the numbers are.

    torch 2.13 does in float32 on a processor with AVX-512, where outputs have one column and kernels at least
    15 rows and 14 to 19 columns: in 28 of 36,000 random problems of such sizes, and in none of others.
    """
    large = min(problem.kernel_size) >= LARGE_TAPS
    return problem.device == "cpu" and problem.output_size[1] == 1 and large


def _in_parts(
    function: Callable[[Array, Array, Problem], Array], a: Array, b: Array, problem: Problem
) -> Array:
    """Call `function` on types that torch computes correctly.

    Complex operands are multiplied as real and imaginary parts, in four products: torch's own complex
    convolution uses three, whose parts cancel, and it has no complex gradient on CPU. On CPU the 16-bit
    floats are summed in float32; torch's own sums are rounded to 16 bits on the way.
    """
    if a.is_complex():
        a_real, a_imag = torch.view_as_real(a.resolve_conj()).unbind(-1)
        b_real, b_imag = torch.view_as_real(b.resolve_conj()).unbind(-1)
        real = function(a_real, b_real, problem) - function(a_imag, b_imag, problem)
        imag = function(a_real, b_imag, problem) + function(a_imag, b_real, problem)
        return torch.complex(real, imag)
    if a.dtype in _NARROW and problem.device == "cpu":
        return function(a.float(), b.float(), problem)
    return function(a, b, problem)


def _finish(result: Array, bias: Array | None, dtype: torch.dtype) -> Array:
    if bias is not None:
        result = result + bias.reshape(-1, 1, 1)
    return result.to(dtype).contiguous()


def _forward(x: Array, w: Array, problem: Problem) -> Array:
    padding = _plain_padding(problem)
    if padding is None:
        x, padding = _framed(x, problem), (0, 0)
    return torch.nn.functional.conv2d(x, w, None, problem.stride, padding, problem.dilation, problem.groups)


def _grad_input(dy: Array, w: Array, problem: Problem) -> Array:
    if problem.batch == 0:
        return dy.new_zeros(problem.input_shape)
    padding = _plain_padding(problem)
    if padding is not None:
        return _backward(dy, _of_shape(problem.input_shape, dy), w, padding, problem, 0)
    rows, cols = _frame(problem, 0), _frame(problem, 1)
    shape = (*problem.input_shape[:2], rows.size, cols.size)
    framed = _backward(dy, _of_shape(shape, dy), w, (0, 0), problem, 0)
    dx = dy.new_zeros(problem.input_shape)
    dx[..., rows.taken, cols.taken] = framed[..., rows.inner, cols.inner]
    return dx


def _grad_weight(dy: Array, x: Array, problem: Problem) -> Array:
    if problem.batch == 0:
        return x.new_zeros(problem.weight_shape)
    padding = _plain_padding(problem)
    if padding is None:
        x, padding = _framed(x, problem), (0, 0)
    return _backward(dy, x, _of_shape(problem.weight_shape, dy), padding, problem, 1)


def _backward(dy: Array, x: Array, w: Array, padding: tuple[int, int], problem: Problem, which: int) -> Array:
    mask = [which == 0, which == 1, False]
    gradients = torch.ops.aten.convolution_backward(
        dy, x, w, None, problem.stride, padding, problem.dilation, False, (0, 0), problem.groups, mask
    )
    return gradients[which]


def _of_shape(shape: tuple[int, ...], like: Array) -> Array:
    """Return a tensor of which only the shape matters; it takes no memory."""
    return like.new_empty(1).expand(shape)


def _plain_padding(problem: Problem) -> tuple[int, int] | None:
    """Return the padding as torch takes it, or None if torch cannot express it."""
    (top, bottom), (left, right) = problem.padding
    if top == bottom and left == right and problem.output_size == problem.full_output_size:
        return top, left
    return None


class _Frame(NamedTuple):
    """The part of a padded input that outputs use along one axis: `size` places.

    The part `taken` of the input is at `inner` in it; the rest is padding.
    """

    size: int
    taken: slice
    inner: slice


def _frame(problem: Problem, axis: int) -> _Frame:
    reach = problem.dilation[axis] * (problem.kernel_size[axis] - 1) + 1
    used = (problem.output_size[axis] - 1) * problem.stride[axis] + reach
    before = problem.padding[axis][0]
    begin = min(before, used)
    end = max(begin, min(used, before + problem.input_size[axis]))
    return _Frame(used, slice(0, end - begin), slice(begin, end))


def _framed(x: Array, problem: Problem) -> Array:
    """Return the part of `x` that the outputs use, with its padding."""
    rows, cols = _frame(problem, 0), _frame(problem, 1)
    framed = x.new_zeros((*problem.input_shape[:2], rows.size, cols.size))
    framed[..., rows.inner, cols.inner] = x[..., rows.taken, cols.taken]
    return framed


def _padded(problem: Problem) -> bool:
    return any(side > 0 for sides in problem.padding for side in sides)


def _all_finite(tensor: Array) -> bool:
    return bool(torch.isfinite(tensor).all())


@contextlib.contextmanager
def _settings(problem: Problem, options: RunOptions) -> Iterator[None]:
    """On CUDA, let cuDNN choose only deterministic algorithms, and TF32 only where that is allowed.

    In a forked child, limit torch to one thread, as the workers of torch's DataLoader do. cuDNN's settings
    belong to the whole process. They are restored, and a lock keeps calls from several threads from restoring
    each other's.
    """
    global _forked
    if _forked:
        torch.set_num_threads(1)
        _forked = False
    if problem.device != "cuda":
        yield
        return
    with (
        _FLAGS_LOCK,
        torch.backends.cudnn.flags(
            enabled=torch.backends.cudnn.enabled,
            benchmark=False,
            deterministic=True,
            allow_tf32=options.allow_tf32,
        ),
    ):
        yield
