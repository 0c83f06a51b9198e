"""Which class a layer has."""

from __future__ import annotations

import pytest

from convhub.bench.classes import CLASSES, class_of, parse_classes
from convhub.bench.layers import Layer, built_in, of_problem
from convhub.errors import ArgumentError
from convhub.problem import Problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n1c8h9w8_k6r3s3", "3x3"),
        ("n1c8h9w8_k6r3s3_stride1x2", "3x3 strided"),
        ("n1c8h9w8_k6r1s1", "1x1"),
        ("n1c3h9w8_k6r1s1_stride2", "1x1"),
        ("n1c8h9w8_k6r5s5_stride2", "5x5 and 7x7"),
        ("n1c8h9w8_k6r7s7", "5x5 and 7x7"),
        ("n1c8h9w8_k6r5s7", "odd"),
        ("n1c8h9w8_k6r1s7", "odd"),
        ("n1c8h9w8_k6r2s2", "odd"),
        ("n1c8h19w18_k6r13s13", "odd"),
        ("n1c3h9w8_k6r7s7_stride2", "stem"),
        ("n1c4h9w8_k6r1s3", "stem"),
        ("n1c5h9w8_k6r3s3", "3x3"),
        ("n1c4h9w8_k6r2s2", "odd"),
        ("n1c3h9w8_k6r3s3_dilation2", "dilated"),
        ("n1c8h9w8_k6r3s3_dilation1x2", "dilated"),
        ("n1c8h9w8_k6r1s1_dilation2", "1x1"),
        ("n1c8h9w8_k6r3s1_dilation1x2", "odd"),
        ("n1c8h9w8_k8r3s3_groups8", "depthwise"),
        ("n1c8h9w8_k16r5s5_dilation2_pad4_groups8", "depthwise"),
        ("n1c8h19w18_k8r12s12_groups8", "depthwise"),
        ("n1c8h19w18_k8r1s13_groups8", "large depthwise"),
        ("n1c8h9w8_k8r3s3_groups4", "grouped"),
        ("n1c8h19w18_k8r13s13_groups4", "grouped"),
        ("n1c1h9w8_k8r3s3", "stem"),
    ],
)
def test_the_first_rule_that_holds(text, expected):
    assert class_of(of_problem(Problem.parse(text))) == expected


def test_a_transposed_layer_is_transposed_whatever_its_sizes():
    problem = Problem.parse("grad_input_n1c8h9w8_k8r3s3_groups8_dilation2")
    assert class_of(Layer("", problem, transposed=True)) == "transposed"
    assert class_of(Layer("", problem)) == "depthwise"


def test_the_lists_have_layers_of_every_class():
    assert {class_of(layer) for layer in built_in()} == set(CLASSES)


def test_classes_by_name():
    assert parse_classes([]) == CLASSES
    assert parse_classes(["odd, 3x3", "3x3"]) == ("3x3", "odd")
    with pytest.raises(ArgumentError, match=r"classes is 'depthwize'; .* Did you mean 'depthwise'\?"):
        parse_classes(["3x3,depthwize"])
