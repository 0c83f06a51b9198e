"""The bound of the class normwise: what an honest transform with large tiles keeps, a wrong one does not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conformance import correct
from conformance.correct import winograd

from convhub import plugins
from convhub.conformance.problems.layers import layers
from convhub.conformance.verify import verify
from convhub.problem import Problem
from convhub.reference.bounds import NORMWISE_FACTOR

MATRICES = ("IMAGE", "KERNEL", "RESULT")
ENTRIES = [(name, *place) for name in MATRICES for place in np.argwhere(getattr(winograd, name))]


@pytest.fixture(scope="module", autouse=True)
def _backends():
    plugins.register(correct, "correct")
    yield
    plugins.unregister("correct")


def worst(*texts, checks=("random data", "positive data")):
    found = itertools.chain(*(verify(Problem.parse(text), "winograd", checks=checks) for text in texts))
    return max(finding.ratio for finding in found if finding.ratio is not None)


def test_the_factor_is_less_than_what_independent_errors_grow_by():
    """The largest sum of absolute values through the three matrices, over the largest of the products."""
    image, kernel, result = (np.abs(getattr(winograd, name)) for name in MATRICES)
    amplified = (result * image.sum(axis=1) * kernel.sum(axis=1)).sum(axis=1) / winograd.TAPS
    assert amplified.max() == pytest.approx(16)
    assert amplified.max() >= NORMWISE_FACTOR  # of two axes, and the root of it


@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
def test_tiles_of_4x4_in_float32_keep_it_with_room(primitive):
    texts = [
        text for text in layers("full") if "r3s3" in text and "stride" not in text and "dilation" not in text
    ]
    # The fewer the terms, the less room: the tenth part of the layers is of groups of few channels.
    few = sorted(texts, key=lambda text: Problem.parse(f"{primitive}_{text}").terms)[: len(texts) // 10]
    assert len(few) >= 8
    assert 0.1 < worst(*(f"{primitive}_{text}" for text in few)) < 0.5


@pytest.mark.parametrize(("name", "row", "column"), ENTRIES)
def test_no_entry_of_a_matrix_may_be_wrong_by_a_thousandth(monkeypatch, name, row, column):
    wrong = getattr(winograd, name).astype(np.float64)
    wrong[row, column] *= 1.001
    monkeypatch.setattr(winograd, name, wrong)
    assert worst("forward_n1c16h14w14_k16r3s3_pad1x1", "forward_n1c1h4w4_k1r3s3") > 3
