"""Autograd of first and second order against finite differences, by `torch.autograd.gradcheck`."""

from __future__ import annotations

from typing import Any

import pytest

import convhub
from convhub.conformance.calls import refused
from convhub.conformance.subjects import Subject
from convhub.problem import PRIMITIVES, Problem


@pytest.mark.parametrize("transposed", [False, True], ids=["conv2d", "conv_transpose2d"])
def test_gradients(subject: Subject, transposed: bool) -> None:
    """Have derivatives that finite differences confirm, and derivatives of these."""
    torch: Any = pytest.importorskip("torch", reason="torch is not installed")
    problem = Problem(
        "forward",
        batch=2,
        in_channels=2,
        out_channels=4,
        input_size=(5, 6),
        kernel_size=(3, 2),
        stride=(2, 1),
        padding=((1, 1), (2, 2)),
        dilation=(1, 2),
        groups=2,
        dtype="float64",
        device=subject.device,
    )
    for primitive in PRIMITIVES:
        reason = refused(subject.backend, problem.replace(primitive=primitive))
        if reason is not None:
            pytest.skip(f"{subject}: {reason}")

    def function(image: Any, weight: Any, bias: Any) -> Any:
        if transposed:
            return convhub.conv_transpose2d(
                image, weight, bias, (2, 1), (1, 2), 0, 2, (1, 2), backend=subject.backend
            )
        return convhub.conv2d(image, weight, bias, (2, 1), (1, 2), (1, 2), 2, backend=subject.backend)

    random = torch.Generator().manual_seed(0)
    shapes = [problem.output_shape if transposed else problem.input_shape, problem.weight_shape]
    channels = problem.in_channels if transposed else problem.out_channels
    operands = [
        torch.randn(shape, generator=random, dtype=torch.float64).to(subject.device).requires_grad_()
        for shape in (*shapes, (channels,))
    ]
    assert torch.autograd.gradcheck(function, operands, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, operands, fast_mode=True)
