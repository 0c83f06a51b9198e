"""Faults of single sizes of a layer: the last column or tap of the result is wrong there."""

from __future__ import annotations

from .faults import fault


def _wrong(where, right, *call):
    """Return the result of a call, with a wrong last column if `where` is true."""
    result = right(*call)
    if where:
        result[..., -1:] += result.dtype.type(1)
    return result


@fault("random data", on=("forward",))
def batch_of_three(right, first, second, bias, problem, options):
    """Wrong only for batches of three images: a pair and one that is forgotten."""
    where = problem.batch == 3
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def batch_above_eight_not_a_multiple(right, first, second, bias, problem, options):
    """Wrong only for more than 8 images, no multiple of 8: the rest is not computed."""
    where = problem.batch > 8 and problem.batch % 8
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def channels_33(right, first, second, bias, problem, options):
    """Wrong only for 32·n + 1 input channels, n > 0: the last is read past the block."""
    where = problem.in_channels > 32 and problem.in_channels % 32 == 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def outputs_33(right, first, second, bias, problem, options):
    """Wrong only for 32·n + 1 output channels, n > 0: the last is written past the block."""
    where = problem.out_channels > 32 and problem.out_channels % 32 == 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def outputs_in_steps_of_six(right, first, second, bias, problem, options):
    """Wrong only for 6·n + 5 output channels, n > 0: a register block is too small."""
    where = problem.out_channels > 6 and problem.out_channels % 6 == 5
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def channels_past_2048(right, first, second, bias, problem, options):
    """Wrong only for more than 2048 channels: a table of offsets is full."""
    where = max(problem.in_channels, problem.out_channels) > 2048
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def two_input_channels(right, first, second, bias, problem, options):
    """Wrong only for two input channels: they are taken for the parts of complex numbers."""
    where = problem.in_channels == 2 and problem.groups == 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def odd_channels_of_groups(right, first, second, bias, problem, options):
    """Wrong only for groups of 3, 5 or 7 input channels: they are processed by pairs."""
    where = problem.groups > 1 and problem.in_channels // problem.groups in (3, 5, 7)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def groups_past_64(right, first, second, bias, problem, options):
    """Wrong only for more than 64 groups: a mask has 64 bits."""
    where = problem.groups > 64
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def groups_past_256(right, first, second, bias, problem, options):
    """Wrong only for more than 256 groups: an index has eight bits."""
    where = problem.groups > 256
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def groups_past_1024(right, first, second, bias, problem, options):
    """Wrong only for more than 1024 groups: a grid is too small."""
    where = problem.groups > 1024
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def three_groups(right, first, second, bias, problem, options):
    """Wrong only for three groups: the third is forgotten."""
    where = problem.groups == 3
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def output_7x7(right, first, second, bias, problem, options):
    """Wrong only for outputs of 7 columns: a row is taken to have 8."""
    where = problem.output_size[1] == 7
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def output_14x14(right, first, second, bias, problem, options):
    """Wrong only for outputs of 14×14: tiles of 4×4 leave two columns."""
    where = problem.output_size == (14, 14)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def rows_past_64(right, first, second, bias, problem, options):
    """Wrong only for more than 64 output rows: a block of threads has 64."""
    where = problem.output_size[0] > 64
    return _wrong(where, right, first, second, bias, problem, options)


@fault("nonfinite", on=("forward",))
def rows_past_256(right, first, second, bias, problem, options):
    """Wrong only for more than 256 output rows: an index has eight bits."""
    where = problem.output_size[0] > 256
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def tiles_of_six(right, first, second, bias, problem, options):
    """Wrong only for output rows above 6 that leave 5 beside sixes: the last tile of a transform is wrong."""
    where = problem.output_size[0] > 6 and problem.output_size[0] % 6 == 5
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def kernel_11x11_stride_4(right, first, second, bias, problem, options):
    """Wrong only for 11×11 kernels with stride 4: the last column is wrong."""
    where = problem.kernel_size == (11, 11) and problem.stride == (4, 4)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def kernel_31x31(right, first, second, bias, problem, options):
    """Wrong only for depthwise kernels of 31×31 and more: a table of rows has 30."""
    where = min(problem.kernel_size) >= 31 and problem.groups > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def kernel_3x3_stride_3(right, first, second, bias, problem, options):
    """Wrong only for 3×3 kernels with stride 3: windows that touch are taken for overlapping ones."""
    where = problem.kernel_size == problem.stride == (3, 3)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def kernel_1x7(right, first, second, bias, problem, options):
    """Wrong only for 1×7 kernels with padding of columns: the last column is wrong."""
    where = problem.kernel_size == (1, 7) and problem.padding[1] == (3, 3)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def kernel_7x1(right, first, second, bias, problem, options):
    """Wrong only for 7×1 kernels with padding of rows: the last column is wrong."""
    where = problem.kernel_size == (7, 1) and problem.padding[0] == (3, 3)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def stride_of_rows_alone(right, first, second, bias, problem, options):
    """Wrong only for stride 2 of the rows and 1 of the columns: the last column is wrong."""
    where = problem.stride == (2, 1)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def stride_of_columns_alone(right, first, second, bias, problem, options):
    """Wrong only for stride 2 of the columns and 1 of the rows: the last column is wrong."""
    where = problem.stride == (1, 2)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def stride_8(right, first, second, bias, problem, options):
    """Wrong only for strides of 8 and more: an immediate operand is cut."""
    where = min(problem.stride) >= 8
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def dilation_of_columns_alone(right, first, second, bias, problem, options):
    """Wrong only for dilation 2 of the columns and 1 of the rows: the last column is wrong."""
    where = problem.dilation == (1, 2)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("different callers", on=("grad_input",))
def dilation_of_rows_alone(right, first, second, bias, problem, options):
    """Wrong only for dilation 2 of the rows and 1 of the columns: the last column is wrong."""
    where = problem.dilation == (2, 1)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def deconvolution_3x3(right, first, second, bias, problem, options):
    """Wrong only for 3×3 kernels, stride 2, padding 1 and an image of even size: the last column is wrong."""
    where = (
        problem.kernel_size == (3, 3)
        and problem.stride == (2, 2)
        and problem.padding == ((1, 1), (1, 1))
        and problem.input_size[1] % 2 == 0
    )
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def deconvolution_5x5(right, first, second, bias, problem, options):
    """Wrong only for 5×5 kernels, stride 2 and padding 2: the last column is wrong."""
    where = problem.kernel_size == (5, 5) and problem.stride == (2, 2) and problem.padding == ((2, 2), (2, 2))
    return _wrong(where, right, first, second, bias, problem, options)
