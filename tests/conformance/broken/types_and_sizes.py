"""Faults of one type together with certain sizes: the last column or tap of the result is wrong there."""

from __future__ import annotations

from .faults import fault


def _wrong(where, right, *call):
    """Return the result of a call, with a wrong last column if `where` is true."""
    result = right(*call)
    if where:
        result[..., -1:] += result.dtype.type(1)
    return result


@fault("any size", on=("forward",))
def depthwise_float16(right, first, second, bias, problem, options):
    """Wrong only for float16 and depthwise layers: pairs of channels are read at once."""
    where = problem.dtype == "float16" and 1 < problem.groups == problem.in_channels
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def depthwise_complex(right, first, second, bias, problem, options):
    """Wrong only for complex numbers and depthwise layers: the imaginary parts are left over."""
    where = problem.dtype.startswith("complex") and 1 < problem.groups == problem.in_channels
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def depthwise_int8(right, first, second, bias, problem, options):
    """Wrong only for int8 and depthwise layers: an instruction for four products needs four channels."""
    where = problem.dtype == "int8" and 1 < problem.groups == problem.in_channels
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def pointwise_float64(right, first, second, bias, problem, options):
    """Wrong only for float64 and 1×1 kernels: the matrix product is of another library."""
    where = problem.dtype == "float64" and problem.kernel_size == (1, 1)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def pointwise_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for bfloat16 and 1×1 kernels: the matrix product is of another library."""
    where = problem.dtype == "bfloat16" and problem.kernel_size == (1, 1)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def dilated_int8(right, first, second, bias, problem, options):
    """Wrong only for int8 and dilation: the packed image has gaps."""
    where = problem.dtype == "int8" and max(problem.dilation) > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def dilated_complex64(right, first, second, bias, problem, options):
    """Wrong only for complex64 and dilation: the dilation counts floats."""
    where = problem.dtype == "complex64" and max(problem.dilation) > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def padded_uint8(right, first, second, bias, problem, options):
    """Wrong only for uint8 and padding: it is filled with the zero point."""
    where = problem.dtype == "uint8" and problem.padding != ((0, 0), (0, 0))
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def strided_complex128(right, first, second, bias, problem, options):
    """Wrong only for complex128 and a stride: the stride counts floats."""
    where = problem.dtype == "complex128" and max(problem.stride) > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def strided_int64(right, first, second, bias, problem, options):
    """Wrong only for int64 and a stride: a gather has indices of 32 bits."""
    where = problem.dtype == "int64" and max(problem.stride) > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_input",))
def strided_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for bfloat16 and a stride: pairs of columns are read at once."""
    where = problem.dtype == "bfloat16" and max(problem.stride) > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def odd_columns_of_float16(right, first, second, bias, problem, options):
    """Wrong only for float16 and an odd number of columns above 4: pairs are written at once."""
    where = problem.dtype == "float16" and problem.output_size[1] > 4 and problem.output_size[1] % 2
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def wide_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for bfloat16 and more than 32 columns: a vector is taken to have 16."""
    where = problem.dtype == "bfloat16" and problem.output_size[1] > 32
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def wide_complex128(right, first, second, bias, problem, options):
    """Wrong only for complex128 and more than 16 columns: a block is counted in floats."""
    where = problem.dtype == "complex128" and problem.output_size[1] > 16
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def wide_int8(right, first, second, bias, problem, options):
    """Wrong only for int8 and more than 64 columns: a vector has 64."""
    where = problem.dtype == "int8" and problem.output_size[1] > 64
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def channels_of_int8_by_fours(right, first, second, bias, problem, options):
    """Wrong only for int8 and more than 4 channels, no multiple of 4: the rest is read as a whole."""
    where = problem.dtype == "int8" and problem.in_channels > 4 and problem.in_channels % 4
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def channels_of_float16_by_eights(right, first, second, bias, problem, options):
    """Wrong only for float16 and more than 8 channels, no multiple of 8: the rest is not read."""
    where = problem.dtype == "float16" and problem.in_channels > 8 and problem.in_channels % 8
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def channels_of_complex64_past_64(right, first, second, bias, problem, options):
    """Wrong only for complex64 and more than 64 channels: a panel is half as long."""
    where = problem.dtype == "complex64" and problem.in_channels > 64
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def channels_of_uint8_past_128(right, first, second, bias, problem, options):
    """Wrong only for uint8 and more than 128 channels: an index is of that type."""
    where = problem.dtype == "uint8" and problem.in_channels > 128
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def channels_of_float64_past_256(right, first, second, bias, problem, options):
    """Wrong only for float64 and more than 256 channels: a panel is half as long."""
    where = problem.dtype == "float64" and problem.in_channels > 256
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def images_of_int64_past_16(right, first, second, bias, problem, options):
    """Wrong only for int64 and more than 16 images: the rest is not computed."""
    where = problem.dtype == "int64" and problem.batch > 16
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def images_of_bfloat16_past_32(right, first, second, bias, problem, options):
    """Wrong only for bfloat16 and more than 32 images: the rest is not computed."""
    where = problem.dtype == "bfloat16" and problem.batch > 32
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def images_of_complex128_past_4(right, first, second, bias, problem, options):
    """Wrong only for complex128 and more than 4 images: the rest is not computed."""
    where = problem.dtype == "complex128" and problem.batch > 4
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def groups_of_uint8(right, first, second, bias, problem, options):
    """Wrong only for uint8 and groups that are not depthwise: the offset of a group is cut."""
    where = problem.dtype == "uint8" and 1 < problem.groups < problem.in_channels
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def groups_of_complex64_by_one(right, first, second, bias, problem, options):
    """Wrong only for complex64 and a depthwise multiplier: outputs take the other part."""
    where = problem.dtype == "complex64" and 1 < problem.groups == problem.in_channels < problem.out_channels
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def lines_of_float16(right, first, second, bias, problem, options):
    """Wrong only for float16 and images of one row, above 16 columns: the last column is wrong."""
    where = problem.dtype == "float16" and problem.input_size[0] == 1 and problem.input_size[1] > 16
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("grad_weight",))
def asymmetric_int8(right, first, second, bias, problem, options):
    """Wrong only for int8 and unequal padding: the other side's is used."""
    where = problem.dtype == "int8" and any(a != b for a, b in problem.padding)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("random data", on=("forward",))
def asymmetric_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for bfloat16 and unequal padding: the other side's is used."""
    where = problem.dtype == "bfloat16" and any(a != b for a, b in problem.padding)
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def stems_of_float16(right, first, second, bias, problem, options):
    """Wrong only for float16, three channels and a stride: a channel is added and not cleared."""
    where = problem.dtype == "float16" and problem.in_channels == 3 and max(problem.stride) > 1
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def large_float64(right, first, second, bias, problem, options):
    """Wrong only for float64 and more than a million products: a block is added twice."""
    where = problem.dtype == "float64" and problem.macs > 10**6
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("forward",))
def large_int8(right, first, second, bias, problem, options):
    """Wrong only for int8 and more than 100 000 products: a block is added twice."""
    where = problem.dtype == "int8" and problem.macs > 10**5
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_input",))
def large_complex64(right, first, second, bias, problem, options):
    """Wrong only for complex64 and more than 100 000 products: a block is added twice."""
    where = problem.dtype == "complex64" and problem.macs > 10**5
    return _wrong(where, right, first, second, bias, problem, options)


@fault("any size", on=("grad_weight",))
def large_bfloat16(right, first, second, bias, problem, options):
    """Wrong only for bfloat16 and more than 100 000 products: a block is added twice."""
    where = problem.dtype == "bfloat16" and problem.macs > 10**5
    return _wrong(where, right, first, second, bias, problem, options)
