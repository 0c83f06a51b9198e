"""Which layers are chosen: by arithmetic alone, and always the same."""

from __future__ import annotations

import pytest

from convhub.bench.classes import CLASSES, class_of
from convhub.bench.layers import Layer, built_in, of_problem
from convhub.bench.selection import GPU, by_class, evenly, fitted, merged, usual_size
from convhub.problem import Problem


def layer(text, name=""):
    found = of_problem(Problem.parse(text))
    return Layer(name, found.problem, found.transposed)


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("n64c100h100w100_k100r1s1", 1),  # 100 million an image
        ("n64c100h50w100_k100r1s1", 3),  # 50 million
        ("n2c100h50w100_k100r1s1", 2),
        ("n64c100h100w100_k100r3s3_pad1", 1),  # 900 million
        ("n64c100h100w100_k100r3s3_pad1_groups100", 4),  # 9 million, of 40
        ("n64c100h100w100_k100r15s15_pad7_groups100", 1),  # 225 million, of 150
        ("n64c50h100w100_k50r13s13_pad6_groups50", 1),  # 84.5 million, of 150
        ("n64c100h100w100_k100r3s3_pad1_groups50", 8),  # 18 million, of 150
        ("n0c100h50w100_k100r1s1", 1),
    ],
)
def test_the_batch_is_made_smaller(text, batch):
    assert fitted(layer(text)).problem.batch == batch


@pytest.mark.parametrize(
    ("text", "batch"),
    [
        ("n1c100h100w100_k100r3s3_pad1", 11),  # 900 million an image, of 10 billion
        ("n1c100h10w10_k100r3s3_pad1", 256),  # 9 million
        ("n1c16h100w100_k16r1s1", 104),  # 1 280 000 bytes an image, of 128 MiB
        ("n1c32h100w100_k32r7s7_pad3_groups32", 52),  # 2 560 000 bytes
        ("n2c1000h400w400_k1000r3s3_pad1", 1),
    ],
)
def test_on_a_gpu_the_batch_grows_too(text, batch):
    assert fitted(layer(text), GPU).problem.batch == batch


def test_a_users_batch_does_not_grow():
    limits = GPU._replace(images=None)
    assert fitted(layer("n3c100h10w10_k100r3s3_pad1"), limits).problem.batch == 3
    assert fitted(layer("n64c100h100w100_k100r3s3_pad1"), limits).problem.batch == 11


@pytest.mark.parametrize(
    ("text", "is_usual"),
    [
        ("n1c20h100w100_k10r1s1", True),  # 2 million
        ("n1c20h100w99_k10r1s1", False),
        ("n1c100h75w1000_k100r1s1", True),  # 750 million
        ("n1c100h76w1000_k100r1s1", False),
        ("n1c100h200w1000_k100r3s3_pad1_groups100", True),  # 180 million, of 5 · 40
        ("n1c100h230w1000_k100r3s3_pad1_groups100", False),
    ],
)
def test_the_smallest_and_the_largest_are_left_out(text, is_usual):
    assert usual_size(layer(text)) == is_usual


def test_duplicates_are_merged_and_counted():
    a, b, c = (layer("n1c5h9w8_k6r3s3", name) for name in "abc")
    other = layer("n1c5h9w8_k6r3s2", "d")
    transposed = Layer("e", a.problem, transposed=True)
    assert merged([a, other, b, c, transposed]) == [Layer("a (+2)", a.problem), other, transposed]


@pytest.mark.parametrize(
    ("count", "most", "expected"),
    [(3, 8, [0, 1, 2]), (8, 2, [2, 6]), (10, 3, [1, 5, 8]), (9, 8, [0, 1, 2, 3, 5, 6, 7, 8]), (5, 1, [2])],
)
def test_the_choice_is_spread_evenly(count, most, expected):
    assert evenly(range(count), most) == expected


def test_classes_come_in_the_order_that_is_given_and_layers_from_large_images_to_small_ones():
    small, large = layer("n1c8h5w5_k6r1s1"), layer("n1c8h9w8_k6r1s1")
    few, many = layer("n1c8h9w8_k6r3s3"), layer("n1c8h9w8_k60r3s3")
    found = by_class([small, many, few, large], ("1x1", "3x3"), None)
    assert found == [large, small, few, many]
    assert by_class([small, many], ("3x3",), 8) == [many]


def test_on_a_gpu_layers_of_every_class_are_left():
    usual = [found for found in (fitted(one, GPU) for one in built_in()) if usual_size(found, GPU)]
    chosen = by_class(merged(usual), CLASSES, 8)
    counts = {name: sum(class_of(one) == name for one in chosen) for name in CLASSES}
    assert all(4 <= count <= 8 for count in counts.values()), counts


def test_the_choice_does_not_depend_on_the_order_of_the_lists():
    usual = merged(found for found in map(fitted, built_in()) if usual_size(found))
    chosen = by_class(usual, CLASSES, 8)
    assert [one.problem for one in by_class(usual[::-1], CLASSES, 8)] == [one.problem for one in chosen]
    assert len(chosen) == len(set(chosen)) <= 8 * len(CLASSES)
    counts = {name: sum(class_of(one) == name for one in chosen) for name in CLASSES}
    assert all(0 < count <= 8 for count in counts.values())
    assert counts["1x1"] == 8
