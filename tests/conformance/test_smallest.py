"""The search for the smallest problem that still fails."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from convhub.conformance.problems.layers import layers
from convhub.conformance.smallest import smaller, smallest
from convhub.conformance.verify import random_problems
from convhub.problem import Problem

LARGE = "grad_input_float64_n5c48h31w30_k36r5s4_stride2x3_pad3-1x0-2_dilation1x2_groups6_out12x5"


@pytest.mark.parametrize(
    ("fails", "text"),
    [
        (lambda p: True, "grad_input_float64_n1c1h1w1_k1r1s1"),
        (lambda p: p.batch >= 3, "grad_input_float64_n3c1h1w1_k1r1s1"),
        (lambda p: p.in_channels // p.groups > 5, "grad_input_float64_n1c6h1w1_k1r1s1"),
        (lambda p: p.groups > 2 and p.kernel_size[1] > 2, "grad_input_float64_n1c3h1w3_k3r1s3_groups3"),
        (lambda p: p.stride[1] > 1 and p.output_size[1] > 3, "grad_input_float64_n1c1h1w7_k1r1s1_stride1x2"),
        (lambda p: p.padding[0][1], "grad_input_float64_n1c1h1w1_k1r1s1_pad0-1x0_out1x1"),
        (lambda p: p.output_size != p.full_output_size, "grad_input_float64_n1c1h1w2_k1r1s1_out1x1"),
    ],
)
def test_what_does_not_matter_becomes_as_small_as_it_can_be(fails, text):
    assert fails(Problem.parse(LARGE))
    assert smallest(Problem.parse(LARGE), fails, 10) == Problem.parse(text)


def test_what_is_smaller_is_valid_and_ends():
    drawn = [*random_problems(60, 1), *(Problem.parse(f"forward_{text}") for text in layers("quick")[::9])]
    for problem in drawn:
        found = list(itertools.islice(smaller(problem), 60))
        assert problem not in found
        for one in found:
            assert Problem.parse(str(one)) == one
            assert one.macs <= problem.macs
            assert (one.primitive, one.dtype, one.device) == (
                problem.primitive,
                problem.dtype,
                problem.device,
            )


def test_the_search_ends_when_time_is_up():
    times = iter(range(100))
    tried = []
    found = smallest(Problem.parse(LARGE), lambda p: tried.append(p) or True, 3, lambda: next(times))
    assert len(tried) == 2
    assert found == tried[-1]


def test_what_fails_by_chance_is_still_one_that_failed():
    rng = np.random.default_rng(0)
    failed = []

    def fails(problem):
        if rng.random() < 0.3:
            failed.append(problem)
            return True
        return False

    assert smallest(Problem.parse(LARGE), fails, 10) == failed[-1]
