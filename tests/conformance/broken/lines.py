"""Faults of images that are lines: one row, one column, thousands of columns, much higher than wide."""

from __future__ import annotations

from .faults import fault


@fault("random data", on=("forward", "grad_input"))
def kernel_of_a_row_flipped(right, first, w, bias, problem, options):
    """Wrong only for images of one row: the one-dimensional routine convolves instead of correlating."""
    if problem.input_size[0] == 1:
        w = w[..., ::-1]
    return right(first, w, bias, problem, options)


@fault("random data", on=("forward", "grad_weight"))
def one_column_stored_by_rows(right, first, second, bias, problem, options):
    """Wrong only for images of one column: the last row is stored as the first."""
    result = right(first, second, bias, problem, options)
    if problem.input_size[1] == 1 and result.shape[2] > 1:
        result[..., 0, :] = result[..., -1, :]
    return result


@fault("any size", on=("grad_input",))
def columns_past_2000_of_the_second_block(right, first, second, bias, problem, options):
    """Wrong only for lines of more than 2000 elements: the last pixel is never stored."""
    result = right(first, second, bias, problem, options)
    if result.shape[3] > 2000:
        result[..., -1] = 0
    return result


@fault("nonfinite", on=("forward",))
def rows_past_1024_dropped(right, first, second, bias, problem, options):
    """Wrong only for images of more than 1024 rows: those beyond are not computed."""
    result = right(first, second, bias, problem, options)
    result[:, :, 1024:] = 0
    return result


@fault("random data", on=("grad_weight",))
def long_rows_summed_in_part(right, dy, x, bias, problem, options):
    """Wrong only for outputs of more than 512 columns: the sum of a row ends after 512."""
    dy = dy.copy()
    dy[..., 512:] = 0
    return right(dy, x, bias, problem, options)


@fault("long sums", on=("grad_weight",))
def long_columns_summed_in_part(right, dy, x, bias, problem, options):
    """Wrong only for outputs of more than 512 rows: the sum over rows ends after 512."""
    dy = dy.copy()
    dy[:, :, 512:] = 0
    return right(dy, x, bias, problem, options)


@fault("random data")
def lines_without_padding(right, first, second, bias, problem, options):
    """Wrong only for one-row kernels on one-row images: the padding of the left side is not skipped."""
    result = right(first, second, bias, problem, options)
    if problem.kernel_size[0] == problem.input_size[0] == 1 and problem.padding[1][0]:
        result[..., 0] *= 2
    return result


@fault("random data")
def stride_of_a_line_applied_to_its_row(right, first, second, bias, problem, options):
    """Wrong only for one-row images with a stride: the second pixel is that of stride one."""
    result = right(first, second, bias, problem, options)
    if problem.input_size[0] == 1 and problem.stride[1] > 1 and result.shape[3] > 1:
        result[..., 1] = result[..., 0]
    return result


@fault("any size", on=("grad_weight",))
def dilation_of_a_line_lost(right, first, second, bias, problem, options):
    """Wrong only for one-row images with dilated columns: the last pixel is not computed."""
    result = right(first, second, bias, problem, options)
    if problem.input_size[0] == 1 and problem.dilation[1] > 1:
        result[..., -1] = 0
    return result


@fault("random data")
def higher_than_wide(right, first, second, bias, problem, options):
    """Wrong only for images at least eight times as high as wide: a tile has as many rows as columns."""
    result = right(first, second, bias, problem, options)
    if problem.input_size[0] >= 8 * problem.input_size[1]:
        result[..., -1, :] = 0
    return result


@fault("random data")
def wider_than_high(right, first, second, bias, problem, options):
    """Wrong only for images of several rows, at least eight times as wide: the last column is missing."""
    height, width = problem.input_size
    result = right(first, second, bias, problem, options)
    if height > 1 and width >= 8 * height:
        result[..., -1] = 0
    return result


@fault("random data", on=("forward",))
def one_column_of_outputs(right, x, w, bias, problem, options):
    """Wrong only for outputs of one column and several rows: the last row is not stored."""
    result = right(x, w, bias, problem, options)
    if result.shape[2] > 1 == result.shape[3]:
        result[..., -1, :] = 0
    return result


@fault("random data", on=("forward",))
def one_row_of_outputs(right, x, w, bias, problem, options):
    """Wrong only for outputs of one row and several columns: the last column is not stored."""
    result = right(x, w, bias, problem, options)
    if result.shape[3] > 1 == result.shape[2]:
        result[..., -1] = 0
    return result
