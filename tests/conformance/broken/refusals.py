"""Faults that refuse, when called, what the declaration promises."""

from __future__ import annotations

from .faults import fault


def _refuse(condition, message):
    if condition:
        raise NotImplementedError(message)


@fault("different callers", on=("grad_weight",))
def pointwise_with_dilation_refused(right, first, second, bias, problem, options):
    """Fails only for dilation of an axis with one tap, where it has no effect."""
    taps = zip(problem.kernel_size, problem.dilation, strict=True)
    _refuse(any(k == 1 < d for k, d in taps), "dilation of one tap")
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def padding_above_half_the_kernel_refused(right, first, second, bias, problem, options):
    """Fails only for padding above half of the kernel."""
    for sides, taps in zip(problem.padding, problem.kernel_size, strict=True):
        _refuse(max(sides) > taps // 2, "padding above half of the kernel")
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def padding_above_the_kernel_refused(right, first, second, bias, problem, options):
    """Fails only for padding of the dilated kernel's size and more."""
    for sides, taps, step in zip(problem.padding, problem.kernel_size, problem.dilation, strict=True):
        _refuse(max(sides) > (taps - 1) * step, "padding above the kernel")
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def kernel_larger_than_the_image_refused(right, first, second, bias, problem, options):
    """Fails only for kernels larger than the image before padding."""
    for taps, pixels in zip(problem.kernel_size, problem.input_size, strict=True):
        _refuse(taps > pixels, "a kernel larger than the image")
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def stride_with_dilation_refused(right, first, second, bias, problem, options):
    """Fails only for stride and dilation together."""
    _refuse(max(problem.stride) > 1 and max(problem.dilation) > 1, "stride with dilation")
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def stride_above_the_kernel_refused(right, first, second, bias, problem, options):
    """Fails only for strides above the kernel."""
    for step, taps in zip(problem.stride, problem.kernel_size, strict=True):
        _refuse(step > taps, "stride above the kernel")
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def float16_in_groups_refused(right, first, second, bias, problem, options):
    """Fails only for float16 in groups."""
    _refuse(problem.dtype == "float16" and problem.groups > 1, "float16 in groups")
    return right(first, second, bias, problem, options)


@fault("random data", on=("forward",))
def complex_in_groups_refused(right, first, second, bias, problem, options):
    """Fails only for complex numbers in groups."""
    _refuse(problem.dtype.startswith("complex") and problem.groups > 1, "complex groups")
    return right(first, second, bias, problem, options)


@fault("any thread count", on=("grad_input",))
def more_threads_than_rows_refused(right, first, second, bias, problem, options):
    """Fails only for more threads than rows of the result."""
    _refuse(options.threads > problem.result_shape[2] > 0, "more threads than rows")
    return right(first, second, bias, problem, options)


@fault("positive data", on=("grad_input",))
def integer_bias_refused(right, first, second, bias, problem, options):
    """Fails only for a bias of integers."""
    _refuse(bias is not None and bias.dtype.kind in "iu", "a bias of integers")
    return right(first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def unread_pixels_refused(right, dy, w, bias, problem, options):
    """Fails only where some pixels are never read, as with output padding."""
    sizes = zip(
        problem.input_size,
        problem.padding,
        problem.kernel_size,
        problem.dilation,
        problem.stride,
        strict=True,
    )
    for pixels, sides, taps, step, stride in sizes:
        _refuse((pixels + sum(sides) - step * (taps - 1) - 1) % stride, "output padding")
    return right(dy, w, bias, problem, options)
