"""Backends with one fault each, made of the toy backend, and the checks that must find it.

A fault is in one primitive; where it is called `forward` it is found on a forward problem, and so on.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from typing import NamedTuple

import numpy as np
import toy_backend
from toy_backend import toy

from convhub.backend import Backend, hookimpl

PROBLEM = "n2c6h9w11_k4r3s2_stride2x1_pad1-0x0-2_dilation1x2_groups2"


class Broken(NamedTuple):
    """A faulty function in place of one of the toy's, the problem that shows it, and who must find it."""

    function: object
    problem: str
    checks: set[str]
    dtypes: tuple[str, ...] = toy_backend.DTYPES

    def backend(self, name: str) -> Backend:
        primitive = next(p for p in ("grad_input", "grad_weight", "forward") if p in self.problem)
        capabilities = dataclasses.replace(toy.capabilities, dtypes=self.dtypes)
        return dataclasses.replace(toy, name=name, capabilities=capabilities, **{primitive: self.function})


FAULTS: dict[str, Broken] = {}


def fault(problem, *checks, dtypes=toy_backend.DTYPES):
    def add(function):
        FAULTS[function.__name__] = Broken(function, problem, set(checks), dtypes)
        return function

    return add


def gathered(x, w, bias, problem, stride, dilation, before):
    """Convolve with parameters of one's own, reading a pixel of the edge where these leave the image."""
    C = problem.in_channels // problem.groups
    padded = np.pad(x, ((0, 0), (0, 0), *problem.padding))
    (P, Q), (R, S) = problem.output_size, problem.kernel_size
    y = np.zeros(problem.output_shape, x.dtype)
    shift = [before[i] - problem.padding[i][0] for i in (0, 1)]
    for k in range(problem.out_channels):
        group = k // (problem.out_channels // problem.groups)
        for r in range(R):
            rows = np.arange(P) * stride[0] + r * dilation[0] - shift[0]
            rows = np.clip(rows, 0, padded.shape[2] - 1)
            for s in range(S):
                columns = np.arange(Q) * stride[1] + s * dilation[1] - shift[1]
                columns = np.clip(columns, 0, padded.shape[3] - 1)
                window = padded[:, group * C : (group + 1) * C][:, :, rows[:, None], columns]
                y[:, k] += np.einsum("ncpq,c->npq", window, w[k, :, r, s])
    return y if bias is None else y + bias[:, None, None]


# --- geometry ---------------------------------------------------------------------------------------------


@fault(f"forward_float64_{PROBLEM}", "random data", "exact integers", "adjoint", "agrees with torch")
def stride_swapped(x, w, bias, problem, options):
    before = [side[0] for side in problem.padding]
    return gathered(x, w, bias, problem, problem.stride[::-1], problem.dilation, before)


@fault(f"forward_float64_{PROBLEM}", "random data", "exact integers", "adjoint", "agrees with torch")
def dilation_swapped(x, w, bias, problem, options):
    before = [side[0] for side in problem.padding]
    return gathered(x, w, bias, problem, problem.stride, problem.dilation[::-1], before)


@fault(f"grad_weight_float64_{PROBLEM}", "random data", "exact integers", "adjoint", "public functions")
def dilation_ignored(dy, x, problem, options):
    return toy.grad_weight(dy, x, problem.replace(dilation=(1, 1)), options)


@fault(f"forward_float64_{PROBLEM}", "random data", "exact integers", "adjoint", "public functions")
def padding_mirrored(x, w, bias, problem, options):
    after = [side[1] for side in problem.padding]
    return gathered(x, w, bias, problem, problem.stride, problem.dilation, after)


@fault(f"forward_float64_{PROBLEM}", "random data", "exact integers", "torch tensors")
def groups_all_the_first(x, w, bias, problem, options):
    C = problem.in_channels // problem.groups
    return toy.forward(np.tile(x[:, :C], (1, problem.groups, 1, 1)), w, bias, problem, options)


@fault("grad_input_float64_n1c2h10w9_k3r3s3_stride2x2_pad1x1", "random data", "exact integers", "adjoint")
def output_padding_ignored(dy, w, bias, problem, options):
    dx = toy.grad_input(dy, w, bias, problem, options)
    dx[:, :, -1] = 0  # the row that output_padding adds
    return dx


@fault(f"forward_float64_{PROBLEM}", "random data", "exact integers")
def last_row_dropped(x, w, bias, problem, options):
    y = toy.forward(x, w, bias, problem, options)
    y[:, :, -1] = 0
    return y


@fault("forward_float32_n1c2h5w37_k3r3s3_pad1x1", "random data", "nonfinite")
def tail_of_vector_dropped(x, w, bias, problem, options):
    y = toy.forward(x, w, bias, problem, options)
    Q = problem.output_size[1]
    y[..., Q - Q % 8 :] = 0
    return y


@fault("forward_float32_n0c2h5w5_k3r3s3", "random data", "public functions")
def empty_batch_refused(x, w, bias, problem, options):
    _ = 1 // len(x)
    return toy.forward(x, w, bias, problem, options)


@fault("forward_float32_n2c33h20w20_k33r3s3_pad1x1", "random data", "exact integers")
def large_ones_wrong(x, w, bias, problem, options):
    y = toy.forward(x, w, bias, problem, options)
    if problem.macs > 10**6:
        y[-1, -1, -1, -1] *= 2
    return y


# --- gradients and bias -----------------------------------------------------------------------------------


@fault(f"grad_input_float64_{PROBLEM}", "random data", "adjoint")
def gradient_of_ones_only(dy, w, bias, problem, options):
    return toy.grad_input(np.ones_like(dy), w, bias, problem, options)


@fault(f"grad_input_float64_{PROBLEM}", "random data", "adjoint", "torch tensors")
def gradient_never_computed(dy, w, bias, problem, options):
    return np.zeros(problem.input_shape, dy.dtype)


@fault(f"forward_float64_{PROBLEM}", "positive data", "exact integers", "public functions")
def bias_for_the_first_image(x, w, bias, problem, options):
    y = toy.forward(x, w, None, problem, options)
    if bias is not None:
        y[:1] += bias[:, None, None]
    return y


@fault(f"grad_input_float64_{PROBLEM}", "positive data", "exact integers")
def bias_of_transposed_lost(dy, w, bias, problem, options):
    return toy.grad_input(dy, w, None, problem, options)


@fault(f"grad_input_complex64_{PROBLEM}", "random data", "exact integers", "agrees with torch")
def conjugated(dy, w, bias, problem, options):
    return toy.grad_input(dy, w.conj(), bias, problem, options)


# --- arithmetic -------------------------------------------------------------------------------------------


@fault(f"forward_float64_{PROBLEM}", "random data", "positive data", "agrees with torch")
def float32_inside(x, w, bias, problem, options):
    narrow = [None if o is None else o.astype(np.float32) for o in (x, w, bias)]
    return toy.forward(*narrow, problem, options).astype(np.float64)


@fault("forward_float16_n1c40h5w5_k3r3s3", "random data", "positive data", dtypes=("float16",))
def float16_inside(x, w, bias, problem, options):
    return toy.forward(x, w, bias, problem, options)


@fault(f"forward_float32_{PROBLEM}", "random data", "positive data")
def tensor_float_32(x, w, bias, problem, options):
    """Drop the 13 last bits of each operand, as TF32 does."""

    def rounded(array):
        bits = np.ascontiguousarray(array).view(np.int32) & np.int32(-(2**13))
        return bits.view(np.float32)

    return toy.forward(rounded(x), rounded(w), bias, problem, options)


@fault(f"forward_int64_{PROBLEM}", "random data")
def integers_as_floats(x, w, bias, problem, options):
    wide = [None if o is None else o.astype(np.float64) for o in (x, w, bias)]
    with np.errstate(invalid="ignore"):
        return toy.forward(*wide, problem, options).astype(np.int64)


@fault(f"forward_float64_{PROBLEM}", "random data")
def a_few_bits_lost(x, w, bias, problem, options):
    return toy.forward(x, w, bias, problem, options) * (1 + 2.0**-44)


@fault(f"forward_float64_{PROBLEM}", "nonfinite")
def nan_swallowed(x, w, bias, problem, options):
    return toy.forward(np.nan_to_num(x), w, bias, problem, options)


@fault(f"forward_float64_{PROBLEM}", "nonfinite")
def infinity_clipped(x, w, bias, problem, options):
    return toy.forward(np.clip(x, -1e300, 1e300), w, bias, problem, options)


@fault(f"grad_input_float64_{PROBLEM}", "nonfinite")
def nan_everywhere(dy, w, bias, problem, options):
    return toy.grad_input(dy, w, bias, problem, options) + 0 * dy.sum()


# --- memory -----------------------------------------------------------------------------------------------


@fault(f"forward_float64_{PROBLEM}", "every element")
def last_row_never_written(x, w, bias, problem, options):
    right = toy.forward(x, w, bias, problem, options)
    y = np.empty_like(right)
    y[:, :, :-1] = right[:, :, :-1]
    return y


@fault(f"forward_float64_{PROBLEM}", "any layout", "unchanged operands")
def input_modified(x, w, bias, problem, options):
    y = toy.forward(x, w, bias, problem, options)
    if x.flags.writeable:
        x[0, 0] += 1
    return y


@fault(f"grad_weight_float64_{PROBLEM}", "any layout")
def strides_ignored(dy, x, problem, options):
    return toy.grad_weight(dy.ravel(order="K").reshape(dy.shape), x, problem, options)


@fault(f"grad_input_float64_{PROBLEM}", "any layout")
def read_only_refused(dy, w, bias, problem, options):
    dy += 0
    return toy.grad_input(dy, w, bias, problem, options)


@fault(f"forward_float32_{PROBLEM}", "random data")
def wider_result(x, w, bias, problem, options):
    return toy.forward(x, w, bias, problem, options).astype(np.float64)


@fault(f"forward_float32_{PROBLEM}", "random data")
def fortran_result(x, w, bias, problem, options):
    return np.asfortranarray(toy.forward(x, w, bias, problem, options))


_scratch: dict[object, np.ndarray] = {}


@fault(f"forward_float64_{PROBLEM}", "no stale state", "every element")
def stale_scratch(x, w, bias, problem, options):
    scratch = _scratch.setdefault(problem, np.zeros(problem.output_shape, x.dtype))
    scratch += toy.forward(x, w, bias, problem, options)
    return scratch.copy()


@fault(f"forward_float64_{PROBLEM}", "small workspace")
def workspace_needed(x, w, bias, problem, options):
    y = toy.forward(x, w, bias, problem, options)
    return y if options.workspace_limit >= 2**20 else y * 0


# --- threads ----------------------------------------------------------------------------------------------

_shared: dict[object, np.ndarray] = {}


@fault(f"forward_float64_{PROBLEM}", "many callers")
def scratch_shared_by_threads(x, w, bias, problem, options):
    scratch = _shared.setdefault(problem, np.empty(problem.input_shape, x.dtype))
    scratch[...] = x
    time.sleep(0)  # another thread may come now
    return toy.forward(scratch, w, bias, problem, options)


@fault("forward_float32_n1c40h9w9_k3r3s3", "any thread count")
def reduction_split_by_threads(x, w, bias, problem, options):
    parts = np.array_split(np.arange(problem.in_channels), options.threads)
    total = np.zeros(problem.output_shape, x.dtype)
    for part in parts:
        total += toy.forward(x[:, part], w[:, part], None, problem.replace(in_channels=len(part)), options)
    return total if bias is None else total + bias[:, None, None]


_calls = [0]
_count = threading.Lock()


@fault("forward_float32_n1c40h9w9_k3r3s3", "no stale state", "every element")
def order_of_sums_changes(x, w, bias, problem, options):
    with _count:
        _calls[0] += 1
    order = np.random.default_rng(_calls[0]).permutation(problem.in_channels)
    # Summed in two halves that differ from call to call.
    y = np.zeros(problem.output_shape, x.dtype)
    for half in np.array_split(order, 2):
        y += toy.forward(x[:, half], w[:, half], None, problem.replace(in_channels=len(half)), options)
    return y if bias is None else y + bias[:, None, None]


_owner: list[int] = []


@fault(f"forward_float64_{PROBLEM}", "after fork")
def bound_to_its_process(x, w, bias, problem, options):
    _owner.append(os.getpid())
    if _owner[0] != os.getpid():
        raise RuntimeError("my threads are gone")
    return toy.forward(x, w, bias, problem, options)


@hookimpl
def convhub_backends():
    return [broken.backend(name) for name, broken in FAULTS.items()]
