from __future__ import annotations

import numpy as np
import pytest

import convhub

X, W, G = np.ones((2, 4, 7, 6)), np.ones((6, 4, 3, 2)), np.ones((2, 6, 5, 5))


def test_a_call_is_explained_without_being_made(toy, monkeypatch):
    monkeypatch.setattr("convhub.dispatch.execute.invoke", None)  # a call would raise
    explanation = convhub.explain(convhub.conv2d, X, W, stride=2, backend="naive")
    (part,) = explanation.parts
    assert str(part.problem) == "forward_float64_n2c4h7w6_k6r3s2_stride2x2"
    assert (explanation.backend, part.source, part.refusal) == ("naive", "argument", "")
    text = str(explanation)
    assert "would run on naive" in text
    assert "\n  toy:   could run it, but only when it is named" in text
    assert "\n  numpy: could run it, but is not chosen" in text
    assert "cupy:  runs on cuda only, not on cpu" in text


def test_gradients_have_a_part_for_each_primitive():
    parts = convhub.explain(convhub.conv2d_backward, G, X, W).parts
    assert [part.problem.primitive for part in parts] == ["grad_input", "grad_weight"]
    parts = convhub.explain(convhub.conv_transpose2d_backward, X, G, W, output_mask=(True, False, True)).parts
    assert [part.problem.primitive for part in parts] == ["forward"]
    assert parts[0].problem == convhub.explain(convhub.conv2d, X, W).parts[0].problem
    parts = convhub.explain(convhub.conv2d_backward, G, X, W, output_mask=(False, True, True)).parts
    assert [part.problem.primitive for part in parts] == ["grad_weight"]


def test_a_transposed_convolution_is_the_gradient_of_a_convolution():
    (part,) = convhub.explain(convhub.conv_transpose2d, G, W).parts
    assert part.problem.primitive == "grad_input"
    assert part.problem.input_shape == X.shape


def test_refusals_are_explained_too(monkeypatch):
    explanation = convhub.explain("forward_float32_n1c1h4w4_k1r3s3_cuda", backend="naive")
    assert explanation.backend == ""
    assert "runs on cpu only, not on cuda" in explanation.parts[0].refusal
    assert "would be refused" in str(explanation)
    assert "nobody" not in str(explanation)
    assert "registered backends:" in str(convhub.explain("n1c1h4w4_k1r3s3", backend="nobody"))


def test_wrong_questions():
    with pytest.raises(convhub.ArgumentTypeError, match="one of convhub's four functions"):
        convhub.explain(np.convolve, X, W)
    with pytest.raises(convhub.ArgumentTypeError, match="takes only backend="):
        convhub.explain("n1c1h4w4_k1r3s3", X)
    with pytest.raises(convhub.ShapeError):
        convhub.explain(convhub.conv2d, X, W[:, :1])
    with pytest.raises(TypeError, match="missing a required argument"):
        convhub.explain(convhub.conv2d, X)
