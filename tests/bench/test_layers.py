"""Reading layers, and what of them is timed."""

from __future__ import annotations

import csv
import pathlib

import pytest

import convhub.bench
from convhub.bench.layers import LISTS, Layer, built_in, of_problem, problems_of, read_file
from convhub.errors import ArgumentError
from convhub.problem import Problem

SHAPES = pathlib.Path(convhub.bench.__file__).parent / "shapes"


def test_every_row_of_the_lists_has_the_macs_that_it_says():
    texts = [(SHAPES / name).read_text(encoding="utf-8") for name in LISTS]
    rows = [row for text in texts for row in csv.DictReader(text.splitlines())]
    layers = built_in()
    assert len(layers) == len(rows) > 400
    for row, layer in zip(rows, layers, strict=True):
        assert layer.problem.macs == int(row["macs"]), layer
        assert layer.name == f"{row['source']} {row['name']}"


def test_a_transposed_row_is_the_convolution_that_it_is_the_adjoint_of(tmp_path):
    path = tmp_path / "one.csv"
    # (4 - 1)·2 - 2·1 + 2·(3 - 1) + 1 + 1 = 10 rows, and (5 - 1)·3 - 0 + 1·(2 - 1) + 0 + 1 = 14 columns.
    path.write_text(
        "name,n,c,h,w,k,r,s,stride_h,stride_w,pad_h,pad_w,dil_h,dil_w,groups,out_pad_h,out_pad_w\n"
        "up,2,6,4,5,9,3,2,2,3,1,0,2,1,3,1,0\n"
    )
    (layer,), are_texts = read_file(path)
    assert (layer.transposed, are_texts, layer.name) == (True, False, "up")
    assert layer.problem == Problem.parse(
        "grad_input_n2c9h10w14_k6r3s2_stride2x3_pad1x0_dilation2x1_groups3_out4x5"
    )
    assert layer.output_padding == (1, 0)
    assert layer.operation == "conv_transpose2d"


def test_a_table_may_leave_columns_out_and_a_file_of_problems_has_comments(tmp_path):
    table, texts = tmp_path / "table.csv", tmp_path / "texts.txt"
    table.write_text("w, s, k, n, c, h, r\n8, 2, 6, 1, 5, 9, 3\n\n")
    texts.write_text("# mine\n\nn1 c5 h9 w8, k6 r3 s2  # the first\ngrad_weight_float64_n1c5h9w8_k6r3s2\n")
    (layer,), are_texts = read_file(table)
    assert (str(layer.problem), are_texts) == ("forward_float32_n1c5h9w8_k6r3s2", False)
    layers, are_texts = read_file(texts)
    assert are_texts
    assert [str(layer.problem) for layer in layers] == [
        "forward_float32_n1c5h9w8_k6r3s2",
        "grad_weight_float64_n1c5h9w8_k6r3s2",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n,c,h,w,k,r,s\n1,5,9,8,6,3,3\n1,5,9,8,6,30,3\n", r"line 3: weight has a kernel of \(30, 3\)"),
        ("n,c,h,w,k,r,s\n1,5,9,8,6,3\n", "line 2: it has 6 fields; line 1 has 7 columns"),
        ("n,c,h,w,k,r,s\n1,5,9,-8,6,3,3\n", "line 2: w is '-8'; it must be a number"),
        ("n,c,h,w,k,r\n", "line 1: the table lacks the columns s"),
        ("n,c,h,w,k,r,s,strid_h\n", r"line 1: there is no column 'strid_h'.*Did you mean 'stride_h'\?"),
        ("n1c5h9w8_k6r3s3\n\nn1c5h9w8_k6r3s3_strude2\n", "line 3: .*'strude2'"),
        ("# nothing\n", "which has no layer in it"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(tmp_path, text, message):
    path = tmp_path / "shapes.csv"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=message):
        read_file(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ArgumentError, match=r"shapes is .*nothing.csv', which cannot be read"):
        read_file(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("wanted", "plain", "transposed"),
    [
        ("forward", ["forward"], ["grad_input"]),
        ("grad_input", ["grad_input"], ["grad_input"]),
        ("grad_weight", ["grad_weight"], ["grad_weight"]),
        ("all", ["forward", "grad_input", "grad_weight"], ["grad_input", "grad_weight"]),
    ],
)
def test_what_of_a_layer_is_timed(wanted, plain, transposed):
    problem = Problem.parse("n1c5h9w8_k6r3s2")
    for is_transposed, expected in ((False, plain), (True, transposed)):
        found = problems_of([Layer("", problem, is_transposed)], wanted, "float64")
        assert [layer.problem.primitive for layer in found] == expected
        assert {layer.problem.dtype for layer in found} == {"float64"}
        assert {layer.transposed for layer in found} == {is_transposed}


def test_an_output_smaller_than_fits_is_a_transposed_convolution_or_nothing():
    # At dilation 5 four of 9 rows fit. From one, conv_transpose2d makes 6; output padding adds 3.
    assert not of_problem(Problem.parse("n1c5h9w8_k6r2s2_dilation5x1_out4x7")).transposed
    smaller = of_problem(Problem.parse("grad_input_n1c5h9w8_k6r2s2_dilation5x1_out1x7"))
    assert (smaller.transposed, smaller.output_padding) == (True, (3, 0))
    for text in ("n1c5h9w8_k6r2s2_stride3_out2x2", "n1c5h9w8_k6r2s2_dilation5x1_pad1-0x0_out4x7"):
        with pytest.raises(ArgumentError, match="output is smaller than what fits"):
            of_problem(Problem.parse(text))


def test_a_layer_moves_to_a_device_unless_it_says_another():
    layer = of_problem(Problem.parse("n1c5h9w8_k6r3s3"))
    assert str(layer.on("cuda").problem) == "forward_float32_n1c5h9w8_k6r3s3_cuda"
    assert layer.on("cpu") == layer
    assert layer.on("cuda").on("cuda") == layer.on("cuda")
    with pytest.raises(ArgumentError, match="which is for cuda: add --device cuda"):
        layer.on("cuda").on("cpu")
