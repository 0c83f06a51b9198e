"""Full checks accuse nobody that is right, whatever the data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support import toy_backend
from support.changed_toy import after, registered, run

import convhub
from convhub.conformance.verify import random_problems
from convhub.dispatch.candidates import verdicts
from convhub.dispatch.dispatcher import current_dispatcher
from convhub.problem import Problem
from convhub.reference.operands import operands


@pytest.fixture(autouse=True)
def _checked(monkeypatch):
    monkeypatch.setenv("CONVHUB_CHECK", "1")


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "complex64", "complex128", "int8", "uint16"]
)
def test_backends_that_are_right_pass(dtype):
    ran = 0
    for problem in random_problems(6, seed=5, dtype=dtype):
        able = [name for name, reason in verdicts(problem, current_dispatcher()) if reason is None]
        for name in {"naive", "numpy", "torch"} & set(able):
            run(problem, operands(problem, 0, bias=True), name)
            ran += 1
    assert ran >= 6


HARD = {
    "NaN and infinities": lambda a: np.where(np.arange(a.size).reshape(a.shape) % 11 == 3, np.inf, a),
    "sums that overflow": lambda a: a * 2.0**100,
    "products that underflow": lambda a: a * 2.0**-80,
    "sums that cancel": lambda a: np.where(np.arange(a.size).reshape(a.shape) % 2, 1, -1) * (1 + a * 1e-6),
    "one huge value": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 7, 1e30, a),
    "nothing but zeros": lambda a: a * 0,
}


@pytest.mark.parametrize("data", HARD.values(), ids=HARD)
@pytest.mark.parametrize("primitive", ["forward", "grad_input", "grad_weight"])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_hard_data_are_no_fault_of_a_backend(backend, primitive, data):
    pytest.importorskip(backend, reason="the backend is this library's")
    _run_hard(backend, primitive, data)


@pytest.mark.parametrize("data", HARD.values(), ids=HARD)
def test_hard_data_are_no_fault_of_a_transform(data, monkeypatch):
    pytest.importorskip("numba", reason="the backend is this library's")
    monkeypatch.setenv("CONVHUB_OPTIONS", "numba.winograd='always'")
    assert "winograd" in convhub.explain("forward_float32_n2c6h12w11_k5r3s3_pad1x1").parts[0].algorithm
    _run_hard("numba", "forward", data)


def test_what_meets_the_padding_is_nobodys_fault():
    """A NaN of the weights times a zero of the padding: the toy backend multiplies them, others do not."""
    problem = Problem.parse("forward_float64_n1c1h4w4_k1r3s3_pad1x1")
    given = operands(problem, 0)
    given.second[0, 0, 0, 0] = np.nan
    for name in ("mine", "naive"):
        with registered():
            run(problem, given, name)
            assert np.isnan(run(problem, given, name)[0, 0, 0]).all() == (name == "mine")


def test_sums_too_large_for_the_type_that_is_stored_are_nobodys_fault():
    problem = Problem.parse("forward_float16_n1c1h4w4_k1r3s3")
    given = operands(problem, 0).map(lambda array: np.full_like(array, 200))
    with np.errstate(over="ignore"):
        assert np.isposinf(run(problem, given, "naive")).all()
    smaller = given.map(lambda array: np.full_like(array, 80))
    infinite = dataclasses.replace(toy_backend.toy.capabilities, dtypes=("float16",))
    with (
        registered(**after(lambda y, *_: y + np.float16(np.inf)), capabilities=infinite),
        pytest.raises(convhub.BackendContractError, match="it is inf, and must be within .* of 57600.0"),
    ):
        run(problem, smaller)


def _run_hard(backend, primitive, data):
    problem = Problem.parse(f"{primitive}_float32_n2c6h12w11_k5r3s3_pad1x1")
    with np.errstate(all="ignore"):
        given = operands(problem, 0, bias=True).map(lambda array: data(array).astype("f4"))
        run(problem, given, backend)


def test_torch_tensors_views_and_gradients_pass():
    torch = pytest.importorskip("torch", reason="the arrays of this test are torch's")
    x = torch.randn(2, 6, 9, 8).double()[:, ::2].detach().requires_grad_()
    w = torch.randn(4, 3, 3, 3).double().requires_grad_()
    with registered():
        found = torch.autograd.grad(convhub.conv2d(x, w, backend="mine").square().sum(), (x, w))
        complex_input = torch.randn(1, 3, 5, 5, dtype=torch.complex128).conj()
        convhub.conv2d(complex_input, torch.randn(2, 3, 3, 3, dtype=torch.complex128), backend="mine")
        empty = convhub.conv2d(x[:0], w, backend="mine")
    assert empty.shape == (0, 4, 7, 6)
    right = torch.autograd.grad(torch.conv2d(x, w).square().sum(), (x, w))
    assert all(torch.allclose(one, other) for one, other in zip(found, right, strict=True))
