"""Each launch of the backend `cupy` has the arguments that its kernel takes: names, types and order."""

import itertools

import numpy as np
import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

from convhub_cupy import Options, arguments, engine
from convhub_cupy.planner import every_source
from convhub_cupy.runtime.cupy_runtime import INCLUDES
from gpu.sanitizer_run import GEOMETRIES, unfilled
from support.checking import PRIMITIVES
from support.cuda_signatures import Parameter, differences, note_launches, parameters
from support.cupy_checking import OLD, RECENT, plant

from convhub.backend import RunOptions
from convhub.problem import Problem

KERNELS = sorted({source[:2] for source in every_source()})
OPTIONS = (
    RunOptions(),
    RunOptions(allow_tf32=True),
    RunOptions(backend=Options(winograd="always")),
    RunOptions(workspace_limit=0),
)


class Nothing:
    """A runtime that launches nothing."""

    xp = np

    def __init__(self, capability):
        self.capability = capability

    def workspace(self, result, size, dtype):
        return np.empty(size, dtype)

    def launch(self, *_):
        pass


def run_everything():
    """Have the engine launch each kernel, with and without a bias."""
    dtypes = ("float32", "float64", "float16", "bfloat16", "complex64", "int8", "uint64")
    for primitive, dtype, geometry in itertools.product(PRIMITIVES, dtypes, GEOMETRIES):
        problem = Problem.parse(f"{primitive}_{dtype}_{geometry}")
        operands = unfilled(problem)
        given = [operands] if primitive == "grad_weight" else [operands, [*operands[:2], None]]
        for each, options, capability in itertools.product(given, OPTIONS, (OLD, RECENT)):
            getattr(engine, primitive)(*each, problem, options, Nothing(capability))


@pytest.fixture(scope="module")
def launches():
    """Return for each kernel the distinct lists of arguments that any variant of it got."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for limit in (arguments.INT_LIMIT, 0):
            patch.setattr(arguments, "INT_LIMIT", limit)
            with patch.context() as noting:
                noted = note_launches(noting)
                run_everything()
            for source, given in noted:
                types = (*given, *(type(value) for value in given.values()))
                found.setdefault(source[:2], {}).setdefault((source, types), (source, given))
    return {kernel: list(of_kernel.values()) for kernel, of_kernel in found.items()}


def test_every_kernel_is_launched(launches):
    assert sorted(launches) == KERNELS


@pytest.mark.parametrize("kernel", KERNELS, ids=" ".join)
def test_arguments_are_what_the_kernel_takes(kernel, launches):
    for source, given in launches[kernel]:
        found = differences(given, parameters(source, INCLUDES))
        assert not found, f"{source}: " + "; ".join(found)


@pytest.mark.parametrize("kernel", KERNELS, ids=" ".join)
def test_two_arguments_that_change_places_are_seen(kernel, launches):
    """Those of one type too: height and width are told apart by their names."""
    source, given = launches[kernel][0]
    taken = parameters(source, INCLUDES)
    for i in range(len(given) - 1):
        items = list(given.items())
        items[i : i + 2] = reversed(items[i : i + 2])
        assert len(differences(dict(items), taken)) == 2


@pytest.mark.parametrize("kernel", KERNELS, ids=" ".join)
def test_an_argument_too_few_or_of_another_type_is_seen(kernel, launches):
    source, given = launches[kernel][0]
    taken = parameters(source, INCLUDES)
    last = list(given)[-1]
    assert differences({name: value for name, value in given.items() if name != last}, taken)
    others = {np.int32: np.int64(0), np.int64: np.int32(0), np.ndarray: np.empty(1, np.int16)}
    for name, value in given.items():
        assert len(differences({**given, name: others.get(type(value), np.int32(0))}, taken)) == 1


def test_a_parameter_that_changes_in_the_kernel_is_seen(tmp_path, launches):
    swapped = "int groups,\n    int C, int M, int R"
    folder = plant(tmp_path, "grad_weight.cu", ("int groups,\n    int M, int C, int R", swapped))
    source, given = launches["grad_weight.cu", "grad_weight"][0]
    assert differences(given, parameters(source, folder)) == [
        "argument 5 is int M, and the kernel takes int C",
        "argument 6 is int C, and the kernel takes int M",
    ]


def test_parameters_are_read_through_includes_and_macros():
    source = next(source for source in every_source() if source.name == "tensor_gemm")
    taken = parameters(source, INCLUDES)
    assert taken[:1] == [Parameter("source", "float16", True)]
    assert Parameter("bias_m", "int", False) in taken
    assert [str(parameter) for parameter in taken[-2:]] == ["int columns_tap_step", "int columns_tap_shift"]
