"""What was probably meant, wherever a word is refused."""

from __future__ import annotations

import numpy as np
import pytest

import convhub
from convhub.errors import did_you_mean, slips
from convhub.problem import ITEM_BYTES, PRIMITIVES

SIZES = "n1c3h8w8_k4r3s3"


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("", "abc", 3),
        ("abc", "abc", 0),
        ("acb", "abc", 1),
        ("ca", "abc", 3),
        ("kitten", "sitting", 3),
        ("a", "b", 1),
    ],
)
def test_slips(one, other, count):
    assert slips(one, other) == slips(other, one) == count


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("float33", ITEM_BYTES, "'float32'"),
        ("flaot64", ITEM_BYTES, "'float64'"),
        ("float", ITEM_BYTES, "'float16', 'float32' or 'float64'"),
        ("grad_inptu", PRIMITIVES, "'grad_input'"),
        ("Grad-Weight", PRIMITIVES, "'grad_weight'"),
        ("grad", PRIMITIVES, "'grad_input' or 'grad_weight'"),
        ("numby", ["numba", "numpy", "torch"], "'numba' or 'numpy'"),
        ("workspace", ["workspace_limit", "threads"], "'workspace_limit'"),
        ("ture", ["true", "false"], "'true'"),
    ],
)
def test_good_ones(word, known, meant):
    assert did_you_mean(word, known) == f" Did you mean {meant}?"


@pytest.mark.parametrize("word", ["", "x", "backward", "nope", "numba" * 1000])
def test_none_where_nothing_is_near(word):
    assert did_you_mean(word, ["numba", "numpy", "naive", "torch", *PRIMITIVES]) == ""


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"grad_inptu_float32_{SIZES}", "grad_input"),
        (f"gradinput_{SIZES}", "grad_input"),
        (f"frward_float32_{SIZES}", "forward"),
        (f"forward_float33_{SIZES}", "float32"),
        (f"forward_{SIZES}_strid2x2", "stride"),
        (f"forward_{SIZES}_padding1x1", "pad"),
        (f"forward_{SIZES}_gpu", "cuda"),
    ],
)
def test_in_the_text_of_a_problem(text, meant):
    with pytest.raises(convhub.ArgumentError) as caught:
        convhub.Problem.parse(text)
    assert str(caught.value).endswith(f" Did you mean '{meant}'?")


def test_in_a_problem_and_a_call():
    with pytest.raises(convhub.ArgumentError, match="Did you mean 'float32'"):
        convhub.Problem("forward", 1, 1, 1, (4, 4), (3, 3), dtype="float33")
    with pytest.raises(convhub.UnknownBackendError, match="Did you mean 'numpy'"):
        convhub.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), backend="nmupy")
