"""Defines the four functions: each checks its arguments, chooses a backend and returns its result."""

from __future__ import annotations

import functools
from sys import modules
from types import ModuleType
from typing import Any, Generic, NamedTuple, SupportsIndex

from . import arguments, arrays, opaque
from .arguments import Call
from .dispatch import execute
from .dispatch.dispatcher import current_dispatcher
from .dispatch.expect import expect
from .dispatch.invoke import Operands
from .dispatch.names import check_name
from .dispatch.request import BackendRequest, make_request
from .parameters import mask_of_three
from .problem import Problem, with_primitive
from .system.float_mode import in_usual_mode
from .system.out_of_memory import as_memory_error
from .typing import ArrayT, Mask, Padding, Steps

__all__ = ["Gradients", "conv2d", "conv2d_backward", "conv_transpose2d", "conv_transpose2d_backward"]


class Gradients(NamedTuple, Generic[ArrayT]):
    """Gradients for input, weight and bias; None where `output_mask` is False.

    Parameters
    ----------
    input : array or None
        Of the shape of the input.
    weight : array or None
        Of the shape of the weight.
    bias : array, shape (K,), or None
        The sum of the incoming gradient over batch and space.
    """

    input: ArrayT | None
    weight: ArrayT | None
    bias: ArrayT | None


@opaque.opaque
def conv2d(
    input: ArrayT,
    weight: ArrayT,
    bias: ArrayT | None = None,
    stride: Steps = 1,
    padding: Padding = 0,
    dilation: Steps = 1,
    groups: SupportsIndex = 1,
    *,
    backend: str | None = None,
) -> ArrayT:
    """Correlate a batch of images with a bank of filters, as `torch.nn.functional.conv2d` does.

    Parameters
    ----------
    input : array, shape (N, C, H, W) or (C, H, W)
        Of NumPy, torch or CuPy; any strides. N may be 0.
    weight : array, shape (K, C / groups, R, S)
        The filters; of the library, dtype and device of `input`.
    bias : array, shape (K,), optional
        Added to each output channel.
    stride : int or (int, int)
        Rows and columns from one window to the next.
    padding : int, (int, int), ((int, int), (int, int)), 'same' or 'valid'
        Zeros around the image: on all sides; at the top and bottom, and at the left and right; at
        ((top, bottom), (left, right)); as many as keep the size at stride 1 (an odd one at the end); none.
    dilation : int or (int, int)
        Rows and columns from one element of the kernel to the next.
    groups : int
        Channels are split into this many parts, each convolved separately; with ``groups = C`` depthwise.
    backend : str, optional
        The backend to run this, or ``"auto"``; by default as configured.
        See `convhub.available_backends`.

    Returns
    -------
    array, shape (N, K, P, Q) or (K, P, Q)
        Of the library, dtype and device of `input`; with
        ``P = (H + top + bottom - dilation * (R - 1) - 1) // stride + 1``, and Q likewise. A torch tensor
        takes part in autograd, to any order.

    Raises
    ------
    ArgumentError, ArgumentTypeError, MixedArraysError
        If an argument is wrong; these are `ValueError` and `TypeError`.
    BackendError
        If the named backend, or every backend, cannot run it; the message says why.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> image = np.arange(12.0).reshape(1, 1, 3, 4)
    >>> edges = np.array([[[[-1.0, 1.0]]]])
    >>> convhub.conv2d(image, edges, padding=((0, 0), (1, 0)))[0, 0]
    array([[0., 1., 1., 1.],
           [4., 1., 1., 1.],
           [8., 1., 1., 1.]])
    """
    if "torch" in modules and not opaque.is_hidden:
        opaque.hide_from_dynamo()
    request = make_request(backend)
    call, info = arguments.conv2d_call(
        {"input": input, "weight": weight, "bias": bias}, stride, padding, dilation, groups
    )
    return _result(call, info.library, input, weight, bias, request)


@opaque.opaque
def conv2d_backward(
    grad_output: ArrayT,
    input: ArrayT,
    weight: ArrayT,
    stride: Steps = 1,
    padding: Padding = 0,
    dilation: Steps = 1,
    groups: SupportsIndex = 1,
    *,
    output_mask: Mask = (True, True, True),
    backend: str | None = None,
) -> Gradients[ArrayT]:
    """Return the gradients of `conv2d` for its input, weight and bias.

    Parameters
    ----------
    grad_output : array, shape (N, K, P, Q) or (K, P, Q)
        The gradient for what `conv2d` returned.
    input, weight, stride, padding, dilation, groups : as for `conv2d`
        As they were given to it.
    output_mask : three bools
        Which of the gradients are wanted; the others are not computed.
    backend : str, optional
        As for `conv2d`.

    Returns
    -------
    Gradients
        `input` and `weight` of the shapes of these; `bias` of shape (K,), the sum of `grad_output` over
        batch and space. For complex arrays they are conjugate Wirtinger derivatives, as torch's are.

    Raises
    ------
    ArgumentError, ArgumentTypeError, MixedArraysError, BackendError
        As for `conv2d`.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> image, weight = np.ones((1, 1, 3, 3)), np.full((1, 1, 2, 2), 2.0)
    >>> grads = convhub.conv2d_backward(np.ones((1, 1, 2, 2)), image, weight)
    >>> grads.input[0, 0]
    array([[2., 4., 2.],
           [4., 8., 4.],
           [2., 4., 2.]])
    >>> grads.weight[0, 0, 0, 0], grads.bias[0]
    (np.float64(4.0), np.float64(4.0))
    """
    if "torch" in modules and not opaque.is_hidden:
        opaque.hide_from_dynamo()
    request = make_request(backend)
    mask = mask_of_three(output_mask)
    call, info = arguments.conv2d_call(
        {"input": input, "weight": weight, "grad_output": grad_output}, stride, padding, dilation, groups
    )
    return _gradients(call, info.library, grad_output, input, weight, mask, request)


@opaque.opaque
def conv_transpose2d(
    input: ArrayT,
    weight: ArrayT,
    bias: ArrayT | None = None,
    stride: Steps = 1,
    padding: Steps = 0,
    output_padding: Steps = 0,
    groups: SupportsIndex = 1,
    dilation: Steps = 1,
    *,
    backend: str | None = None,
) -> ArrayT:
    """Spread each pixel by a filter, as `torch.nn.functional.conv_transpose2d` does.

    This is the adjoint of the `conv2d` that takes ``K = weight.shape[1] * groups`` channels to C; it is
    also called fractionally strided convolution, and, wrongly, deconvolution.

    Parameters
    ----------
    input : array, shape (N, C, H, W) or (C, H, W)
        Of NumPy, torch or CuPy; any strides. N may be 0.
    weight : array, shape (C, K / groups, R, S)
        The filters; of the library, dtype and device of `input`.
    bias : array, shape (K,), optional
        Added to each output channel.
    stride : int or (int, int)
        Rows and columns between the filters that two neighbouring pixels spread.
    padding : int or (int, int)
        Rows and columns cut off on each side of the result.
    output_padding : int or (int, int)
        Rows and columns added at the bottom and right; smaller than stride or dilation.
    groups : int
        Channels are split into this many parts, each convolved separately.
    dilation : int or (int, int)
        Rows and columns from one element of the kernel to the next.
    backend : str, optional
        As for `conv2d`.

    Returns
    -------
    array, shape (N, K, P, Q) or (K, P, Q)
        With ``P = (H - 1) * stride - 2 * padding + dilation * (R - 1) + output_padding + 1``, and Q likewise.

    Raises
    ------
    ArgumentError, ArgumentTypeError, MixedArraysError, BackendError
        As for `conv2d`.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> convhub.conv_transpose2d(np.array([[[1.0, 2.0]]]), np.ones((1, 1, 1, 2)), stride=(1, 3))
    array([[[1., 1., 0., 2., 2.]]])
    """
    if "torch" in modules and not opaque.is_hidden:
        opaque.hide_from_dynamo()
    request = make_request(backend)
    call, info = arguments.conv_transpose2d_call(
        {"input": input, "weight": weight, "bias": bias}, stride, padding, output_padding, groups, dilation
    )
    return _result(call, info.library, input, weight, bias, request)


@opaque.opaque
def conv_transpose2d_backward(
    grad_output: ArrayT,
    input: ArrayT,
    weight: ArrayT,
    stride: Steps = 1,
    padding: Steps = 0,
    output_padding: Steps = 0,
    groups: SupportsIndex = 1,
    dilation: Steps = 1,
    *,
    output_mask: Mask = (True, True, True),
    backend: str | None = None,
) -> Gradients[ArrayT]:
    """Return the gradients of `conv_transpose2d` for its input, weight and bias.

    Parameters
    ----------
    grad_output : array, shape (N, K, P, Q) or (K, P, Q)
        The gradient for what `conv_transpose2d` returned.
    input, weight, stride, padding, output_padding, groups, dilation : as for `conv_transpose2d`
        As they were given to it.
    output_mask : three bools
        Which of the gradients are wanted; the others are not computed.
    backend : str, optional
        As for `conv2d`.

    Returns
    -------
    Gradients
        As for `conv2d_backward`.

    Raises
    ------
    ArgumentError, ArgumentTypeError, MixedArraysError, BackendError
        As for `conv2d`.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> pixels, weight = np.array([[[1.0, 2.0]]]), np.ones((1, 1, 1, 2))
    >>> grad_output = np.array([[[1.0, 10.0, 100.0]]])
    >>> grads = convhub.conv_transpose2d_backward(grad_output, pixels, weight)
    >>> grads.input, grads.weight.ravel(), grads.bias
    (array([[[ 11., 110.]]]), array([ 21., 210.]), array([111.]))
    """
    if "torch" in modules and not opaque.is_hidden:
        opaque.hide_from_dynamo()
    request = make_request(backend)
    mask = mask_of_three(output_mask)
    call, info = arguments.conv_transpose2d_call(
        {"input": input, "weight": weight, "grad_output": grad_output},
        stride,
        padding,
        output_padding,
        groups,
        dilation,
    )
    return _gradients(call, info.library, grad_output, input, weight, mask, request)


def _run(problem: Problem, operands: Operands, request: BackendRequest, library: str) -> Any:
    """Return the result of one primitive, recorded for autograd if a torch operand requires it."""
    if library == "torch":
        return _autograd().run(problem, operands, request)
    return execute.execute(problem, operands, request, library)


@functools.cache
def _autograd() -> ModuleType:
    """Return the module that imports torch, cached since an import statement costs time at each call."""
    from .torch import autograd

    return autograd


def _result(
    call: Call, library: str, input: ArrayT, weight: ArrayT, bias: ArrayT | None, request: BackendRequest
) -> ArrayT:
    if not call.unbatched:
        result: ArrayT = _run(call.problem, (input, weight, bias), request, library)
        return result
    image: ArrayT = _run(call.problem, (input[None], weight, bias), request, library)[0]
    return image


def _gradients(
    call: Call,
    library: str,
    grad_output: ArrayT,
    input: ArrayT,
    weight: ArrayT,
    mask: tuple[bool, bool, bool],
    request: BackendRequest,
) -> Gradients[ArrayT]:
    """Return the gradients of a convolution or, with the roles of its arrays swapped, of its transpose."""
    problem, unbatched = call
    transposed = problem.primitive == "grad_input"
    arguments.check_grad_output(grad_output, problem.result_shape, unbatched)
    image = input
    if unbatched:
        grad_output, image = grad_output[None], input[None]
    grad_input = grad_weight = grad_bias = None
    if mask[0]:
        adjoint = with_primitive(problem, "forward" if transposed else "grad_input")
        if mask[1]:
            expect(adjoint, request, ("grad_weight",))
        grad_input = _run(adjoint, (grad_output, arrays.conjugate(weight), None), request, library)
        if unbatched:
            grad_input = grad_input[0]
    if mask[1]:
        other = arrays.conjugate(image)
        operands = (other, grad_output) if transposed else (grad_output, other)
        grad_weight = _run(with_primitive(problem, "grad_weight"), operands, request, library)
    if mask[2]:
        if not (mask[0] or mask[1]) and request.name is not None:
            check_name(request.name, request.source, current_dispatcher())  # nothing else checks it
        try:
            grad_bias = in_usual_mode(arrays.channel_sum, grad_output)
        except RuntimeError as error:
            lacking = as_memory_error(error, "the gradient of the bias could not be computed")
            if lacking is None:
                raise
            raise lacking from error
    return Gradients(grad_input, grad_weight, grad_bias)
