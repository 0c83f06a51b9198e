"""torch as an engine: right in each declared type, with torch's settings left as they were."""

import subprocess
import sys

import numpy as np
import pytest
from convhub_torch import convhub_backends
from support.checking import GEOMETRIES, PRIMITIVES, assert_right, expected_nonfinite, problem_of

from convhub.backend import RunOptions
from convhub.problem import Problem
from convhub.reference.operands import operands

torch = pytest.importorskip("torch", reason="the engine under test is torch")
TORCH = convhub_backends()[0]


def run(problem, given):
    """Call a primitive on tensors, and return a NumPy array."""
    tensors = [None if array is None else to_torch(array) for array in given]
    arguments = tensors[:2] if problem.primitive == "grad_weight" else tensors
    result = getattr(TORCH, problem.primitive)(*arguments, problem, RunOptions())
    assert result.is_contiguous()
    assert not result.requires_grad
    if result.dtype is torch.bfloat16:
        return result.view(torch.int16).numpy().view(given.first.dtype)
    return result.numpy()


def to_torch(array):
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_right_for_every_parameter(primitive, geometry):
    for dtype in ("float32", "float64"):
        for kind in ("normal", "positive"):
            problem = problem_of(primitive, dtype, geometry)
            given = operands(problem, 0, kind, bias=True)
            assert_right(run(problem, given), problem, given)


@pytest.mark.parametrize("dtype", TORCH.capabilities.dtypes)
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_right_for_every_type(primitive, dtype):
    for geometry in ("padded", "grouped", "strided", "truncated", "many_terms"):
        problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
        given = operands(problem, 1, bias=True)
        assert_right(run(problem, given), problem, given)


@pytest.mark.parametrize("geometry", ["n1c96h28w29_k64r3s3_pad1", "n4c3h60w61_k24r5s5_stride2_pad2"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_large_layers_keep_the_componentwise_bound(primitive, geometry):
    for kind in ("normal", "positive"):
        problem = problem_of(primitive, "float32", geometry)
        given = operands(problem, 2, kind)
        assert_right(run(problem, given), problem, given)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_nan_and_infinity_reach_their_results_and_no_other(primitive, dtype, value):
    for geometry in ("padded", "strided", "depthwise", "truncated"):
        problem = problem_of(primitive, dtype, GEOMETRIES[geometry])
        for which in (0, 1):
            given = operands(problem, 4, "positive")
            given[which][0, 0, 0, 0] = value
            result = run(problem, given)
            assert np.array_equal(~np.isfinite(result), expected_nonfinite(problem, given)), problem


@pytest.mark.parametrize(
    "geometry",
    [
        "n1c16h16w16_k2r16s16",
        "n1c16h37w17_k16r37s17",
        "n3c64h18w16_k4r15s14_out3x1",
        "n2c48h22w18_k2r22s19_pad2-0x0-1",
        "n1c64h24w16_k4r24s16_pad1x1_out2x1",
        "n3c32h19w13_k32r17s14_pad2-0x0-1_groups2",
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
def test_weights_gradients_that_torch_gets_wrong_are_right(dtype, geometry):
    problem = Problem.parse(f"grad_weight_{dtype}_{geometry}")
    given = operands(problem, 3, "exact")
    assert assert_right(run(problem, given), problem, given) == 0


def test_same_bits_every_time():
    for primitive in PRIMITIVES:
        problem = problem_of(primitive, "float32", "n4c33h28w29_k40r3s3_pad1")
        given = operands(problem, 5)
        assert len({run(problem, given).tobytes() for _ in range(5)}) == 1


def test_conjugate_and_channels_last_tensors():
    problem = problem_of("forward", "complex64", GEOMETRIES["padded"])
    given = operands(problem, 6)
    x, w = (torch.from_numpy(array) for array in given[:2])
    lazily = x.contiguous(memory_format=torch.channels_last).conj()
    result = TORCH.forward(lazily, w, None, problem, RunOptions())
    assert result.is_contiguous()
    assert_right(result.numpy(), problem, given._replace(first=given.first.conj()))


def test_gradients_are_not_recorded_and_threads_not_changed():
    threads = torch.get_num_threads()
    problem = problem_of("forward", "float32", GEOMETRIES["plain"])
    x = torch.randn(problem.input_shape, requires_grad=True)
    w = torch.randn(problem.weight_shape, requires_grad=True)
    assert not TORCH.forward(x, w, None, problem, RunOptions(threads=1)).requires_grad
    assert torch.get_num_threads() == threads


def test_the_plugin_does_not_import_torch():
    code = (
        "import sys, convhub_torch; backend = convhub_torch.convhub_backends()[0]; "
        "assert backend.availability() is True; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_torch_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("convhub_torch.find_spec", lambda _: None)
    assert TORCH.availability() == "torch is not installed: pip install 'convhub[torch]'"


def test_cuda_without_cuda_is_declined_with_a_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    problem = Problem.parse("forward_n1c1h3w3_k1r2s2_cuda")
    assert "CUDA" in TORCH.supports(problem)
    assert TORCH.supports(problem.replace(device="cpu")) is True
