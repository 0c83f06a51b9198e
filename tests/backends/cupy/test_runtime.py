"""The backend `cupy` without a GPU: what it declares, and how it launches kernels."""

import subprocess
import sys
import types
import weakref

import convhub_torch
import pytest
from convhub_cupy import convhub_backends
from convhub_cupy.plan.variants import Source
from convhub_cupy.runtime import cupy_runtime as runtime_module

from convhub.errors import BackendError

CUPY = convhub_backends()[0]


def test_declares_every_primitive_and_stands_below_torch():
    assert CUPY.primitives == ("forward", "grad_input", "grad_weight")
    assert CUPY.capabilities.devices == ("cuda",)
    assert CUPY.capabilities.arrays == "cupy"
    (torch,) = convhub_torch.convhub_backends()
    assert CUPY.preference["cuda"] < torch.preference["cuda"]


class Function:
    """As CuPy's kernels: 48 KB of shared memory, the static part included, unless more is asked for."""

    def __init__(self, name, launches):
        self.name, self.launches = name, launches
        self.granted = [47 * 1024]

    def __call__(self, grid, block, arguments, shared_mem):
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        self.launches.append((self.name, grid, block, arguments, shared_mem))

    @property
    def max_dynamic_shared_size_bytes(self):
        return self.granted[-1]

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        self.granted.append(size)


class CompileError(Exception):
    """As CuPy's."""


class Array:
    """As much of a cupy.ndarray as a workspace is."""


class NotingCupy(types.ModuleType):
    """Plays CuPy's part in launches, and notes what it is asked for."""

    def __init__(self):
        super().__init__("cupy")
        self.modules, self.launches, self.functions, self.asked = [], [], {}, []
        self.RawModule = self.module
        self.device = types.SimpleNamespace(id=0)
        self.stream = types.SimpleNamespace(capturing=False)
        self.stream.is_capturing = lambda: self.stream.capturing
        self.cuda = types.SimpleNamespace(
            Device=self.device_of,
            compiler=types.SimpleNamespace(CompileException=CompileError),
            get_current_stream=lambda: self.stream,
        )

    def device_of(self, number=None):
        if number is None:
            return self.device
        self.asked.append(number)
        return types.SimpleNamespace(compute_capability=f"12{number}")

    def empty(self, size, dtype):
        return Array()

    def module(self, code, options):
        self.modules.append((code, options))
        return types.SimpleNamespace(get_function=self.function)

    def function(self, name):
        return self.functions.setdefault((name, self.device.id), Function(name, self.launches))


@pytest.fixture
def noting():
    """Return the runtime on a CuPy that notes."""
    runtime = object.__new__(runtime_module.CupyRuntime)
    runtime.xp = NotingCupy()
    return runtime


SOURCE = Source("direct.cu", "direct_correlate", ("-DELEMENT=float", "-DTOTAL=float"))


def test_kernels_are_compiled_once_for_each_device_and_launched(noting):
    cupy = noting.xp
    for _ in range(2):
        noting.launch(SOURCE, (5, 1, 1), (256, 1, 1), (None, 7))
    cupy.device.id = 1
    noting.launch(SOURCE, (5, 1, 1), (256, 1, 1), (None, 7))
    assert cupy.launches == [("direct_correlate", (5, 1, 1), (256, 1, 1), (0, 7), 0)] * 3
    assert len(cupy.modules) == 2
    code, options = cupy.modules[0]
    assert "direct_correlate" in code
    assert {f"-I{runtime_module.INCLUDES}", "-DELEMENT=float", "-std=c++17"} <= set(options)
    assert any(option.startswith("-DCONVHUB_SOURCES=0x") for option in options)


def test_more_shared_memory_than_is_granted_unasked_is_asked_for_once(noting):
    granted = []
    for device in range(2):
        noting.xp.device.id = device
        for kilobytes in (0, 47, 99, 48, 99, 64):  # it must not be lowered for a launch that needs less
            noting.launch(SOURCE, (1, 1, 1), (32, 1, 1), (), kilobytes * 1024)
        granted.append(noting.xp.functions["direct_correlate", device].granted)
    assert granted == [[47 * 1024, 99 * 1024]] * 2
    assert len(noting.xp.launches) == 12


def test_the_capability_is_of_the_current_device_and_asked_once(noting):
    assert [noting.capability for _ in range(3)] == [(12, 0)] * 3
    noting.xp.device.id = 1
    assert noting.capability == (12, 1)
    assert noting.xp.asked == [0, 1]


def test_what_is_not_compiled_is_refused_while_a_graph_is_captured(noting):
    noting.xp.stream.capturing = True
    with pytest.raises(BackendError, match="direct_correlate of direct.cu is not compiled yet.*run the same"):
        noting.launch(SOURCE, (1, 1, 1), (32, 1, 1), ())
    assert not noting.xp.modules
    noting.xp.stream.capturing = False
    noting.launch(SOURCE, (1, 1, 1), (32, 1, 1), ())
    noting.xp.stream.capturing = True
    noting.launch(SOURCE, (1, 1, 1), (32, 1, 1), ())
    assert len(noting.xp.launches) == 2
    assert len(noting.xp.modules) == 1


@pytest.mark.parametrize("capturing", [False, True])
def test_a_workspace_lives_as_long_as_the_result_if_a_graph_writes_to_it(noting, capturing):
    noting.xp.stream.capturing = capturing
    result = Array()
    workspace = weakref.ref(noting.workspace(result, 5, "f4"))
    assert (workspace() is not None) == capturing
    del result
    assert workspace() is None


def test_the_plugin_does_not_import_cupy():
    code = "import sys, convhub_cupy; convhub_cupy.convhub_backends(); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
