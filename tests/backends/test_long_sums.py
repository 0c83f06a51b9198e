"""Long sums keep the bound where all numbers are alike, and so may round the same way in each addition."""

from fractions import Fraction

import numpy as np
import pytest
from convhub_naive import convhub_backends as naive
from convhub_numba import convhub_backends as numba
from convhub_numpy import convhub_backends as numpy
from convhub_numpy.sums import sums_of_products
from support.checking import run

from convhub.problem import Problem
from convhub.reference.oracle import Operands

NAIVE, NUMPY, NUMBA = naive()[0], numpy()[0], numba()[0]

#: Reductions over images, pixels, channels and taps, short ones too: those of one block have no slack.
SHAPES = (
    "grad_weight_{}_n{n}c1h1w1_k1r1s1",
    "grad_weight_{}_n1c1h1w{n}_k1r1s1",
    "grad_weight_{}_n1c1h{n}w1_k1r1s1",
    "forward_{}_n1c{n}h1w1_k1r1s1",
    "forward_{}_n1c{n}h2w2_k3r1s1",
    "grad_input_{}_n1c1h1w1_k{n}r1s1",
)
#: Sums over planes that lie side by side in memory, which NumPy makes one loop of.
PLANES = ("grad_weight_{}_n1c1h256w256_k1r1s1", "grad_weight_{}_n1024c1h8w8_k1r1s1")
#: One for each algorithm of the numba engine that has long sums.
ALGORITHMS = {
    "depthwise": ("grad_weight_{}_n{n}c16h1w1_k16r1s1_groups16", "forward_{}_n1c16h4w{n}_k16r1s{n}_groups16"),
    "grouped": ("grad_weight_{}_n{n}c16h1w1_k16r1s1_groups4",),
    "gemm": ("grad_weight_{}_n{n}c16h1w1_k17r1s1",),
    "pointwise": ("grad_weight_{}_n2c8h16w{n}_k20r1s1",),
    "stem": ("grad_weight_{}_n2c1h{n}w32_k8r1s1",),
}


def ratio(backend, problem, one=0.1, other=0.3):
    """Return the greatest error in units of the bound; no product of the problem meets padding."""
    dtype = np.dtype(problem.dtype)
    first, second = problem.operand_shapes
    given = Operands(np.full(first, one, dtype), np.full(second, other, dtype))
    result = run(backend, problem, given)
    right = problem.terms * Fraction(float(dtype.type(one))) * Fraction(float(dtype.type(other)))
    allowed = (8 + problem.terms**0.5) * float(np.finfo(dtype).eps) * float(right)
    return max(abs(float(Fraction(float(value)) - right)) for value in np.unique(result)) / allowed


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backend", [NAIVE, NUMPY, NUMBA], ids=lambda backend: backend.name)
def test_equal_numbers_of_any_count(backend, shape):
    lengths = (160, 256, 400, 1024) + ((4096,) if backend is NAIVE else (5000, 65_536, 1_000_000))
    for terms in lengths:
        problem = Problem.parse(shape.format("float32", n=terms))
        assert ratio(backend, problem) <= 1, problem


@pytest.mark.parametrize("backend", [NUMPY, NUMBA], ids=lambda backend: backend.name)
def test_equal_numbers_in_twice_as_many_bits(backend):
    for shape in (*SHAPES[:4], *PLANES):
        for other in (0.3, 0.07):
            assert ratio(backend, Problem.parse(shape.format("float64", n=65_536)), 0.7, other) <= 1


@pytest.mark.parametrize("margin", [0, 1])
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1, 70_000), (1, 1, 1, 300, 257), (1031, 1, 1, 8, 8), (3, 2, 5, 90, 91)]
)
def test_numpy_sums_what_lies_side_by_side_and_what_does_not(sizes, margin):
    images, groups, heads, rows, columns = sizes
    padded = np.zeros((images, groups, 2, rows + margin, columns + 2 * margin))
    x, dy = padded[..., margin:, margin : columns + margin], np.full(sizes, 0.7)
    x[...] = 0.07
    found = sums_of_products(dy, x, np.dtype("float64"))
    terms = images * rows * columns
    right = terms * Fraction(0.7) * Fraction(0.07)
    assert found.shape == (groups, heads, 2)
    assert abs(Fraction(float(found[0, 0, 0])) - right) <= (8 + terms**0.5) * np.finfo(float).eps * float(
        right
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_equal_numbers_in_each_algorithm(algorithm):
    for shape in ALGORITHMS[algorithm]:
        for terms in (256, 700, 4096):
            problem = Problem.parse(shape.format("float32", n=terms))
            assert ratio(NUMBA, problem) <= 1, problem


@pytest.mark.parametrize("dtype", ["float128", "complex64"])
def test_numpy_sums_types_without_a_blas_in_blocks(dtype):
    if dtype not in NUMPY.capabilities.dtypes:
        pytest.skip(f"this platform has no {dtype}")
    problem = Problem.parse(f"forward_{dtype}_n1c4096h2w2_k3r1s1")
    first, second = problem.operand_shapes
    one, other = np.dtype(dtype).type(0.1), np.dtype(dtype).type(0.3)
    result = run(NUMPY, problem, Operands(np.full(first, one), np.full(second, other)))
    right = np.longdouble(4096) * np.longdouble(one.real) * np.longdouble(other.real)
    assert abs(result / right - 1).max() <= (8 + 64) * np.finfo(dtype).eps


def test_naive_never_adds_more_than_twice_the_root_of_the_terms_in_a_row():
    from convhub_naive.loops import Sums

    sums = Sums(Problem.parse("forward_float32_n1c10000h1w1_k1r1s1"))
    for _ in range(10_000):
        sums.add((0, 0, 0, 0), np.float32(1))
    assert sums.block == 100
    assert (sums.total.item(), sums.part.item()) == (10_000, 0)
