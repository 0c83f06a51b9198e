"""What the backend `cupy` says when something fails on a device: CuPy's own errors, raised where it would."""

import contextlib
import sys
import types

import pytest

pytest.importorskip("cupy", reason="CuPy is not installed, whose errors are used here")

import convhub_cupy
import cupy
from convhub_cupy import engine
from convhub_cupy.plan.variants import Source
from convhub_cupy.runtime import availability, failures
from convhub_cupy.runtime.cupy_runtime import CupyRuntime

import convhub
from convhub.backend import RunOptions
from convhub.problem import Problem

CUDARuntimeError = cupy.cuda.runtime.CUDARuntimeError
SOURCE = Source("direct.cu", "direct_correlate", ("-DELEMENT=float", "-DTOTAL=float", "-DINDEX=int"))


class OnDevice:
    """An operand with what is looked at before anything runs, on a device that is entered for nothing."""

    def __init__(self, strides=(64, 32, 8, 4), itemsize=4):
        self.shape, self.strides, self.itemsize = (1,) * 4, strides, itemsize
        self.device = type("Device", (contextlib.nullcontext,), {"id": 3})()


def driver_error(status, text):
    """Return an error of CUDA's driver, which makes its text by a driver otherwise."""
    error = cupy.cuda.driver.CUDADriverError.__new__(cupy.cuda.driver.CUDADriverError, text)
    error.status = status
    return error


@pytest.fixture
def failing(monkeypatch):
    """Return a function that runs a problem whose engine raises an error, and gives what comes out."""
    monkeypatch.setattr(availability, "_process", [])
    monkeypatch.setattr(CupyRuntime, "capability", (8, 0))
    monkeypatch.setattr(cupy.cuda.runtime, "memGetInfo", lambda: (1_000_000, 80_000_000_000))

    def run(text, error, **options):
        def raise_it(*_):
            raise error

        problem = Problem.parse(text)
        monkeypatch.setattr(engine, problem.primitive, raise_it)
        (backend,) = convhub_cupy.convhub_backends()
        operands = [OnDevice(), OnDevice(), None][: 2 if problem.primitive == "grad_weight" else 3]
        with pytest.raises((MemoryError, RuntimeError, ValueError)) as caught:
            getattr(backend, problem.primitive)(*operands, problem, RunOptions(**options))
        return caught.value

    return run


FORWARD = "forward_n64c64h224w224_k64r3s3_pad1_cuda"


def test_out_of_memory_tells_every_size(failing):
    original = cupy.cuda.memory.OutOfMemoryError(822_083_584, 5_000, 0)
    error = failing(FORWARD, original)
    workspace = engine.workspace_bytes(Problem.parse(FORWARD), RunOptions(), CupyRuntime())
    assert isinstance(error, convhub.OutOfMemoryError)
    assert isinstance(error, MemoryError)
    assert error.__cause__ is original
    assert str(Problem.parse(FORWARD)) in str(error)
    for words in (
        "cuda:3 has too little memory",
        f"the result takes 822,083,584 bytes and the workspace {workspace:,},",
        "1,000,000 of the device's 80,000,000,000 are free",
        "Use a smaller batch, a workspace_limit below 67,108,864, or delete arrays.",
        "Out of memory allocating 822,083,584 bytes (allocated so far: 5,000 bytes)",
    ):
        assert words in str(error)


def test_out_of_memory_with_a_workspace(failing):
    text = "grad_weight_n64c64h56w56_k64r3s3_pad1_cuda"
    error = failing(text, MemoryError("torch has none left"), workspace_limit=10_000_000)
    workspace = engine.workspace_bytes(
        Problem.parse(text), RunOptions(workspace_limit=10_000_000), CupyRuntime()
    )
    assert 0 < workspace <= 10_000_000
    assert f"the result takes 147,456 bytes and the workspace {workspace:,}" in str(error)
    assert "a smaller batch, a workspace_limit below 10,000,000, or" in str(error)
    assert "(torch has none left)" in str(error)


def test_a_fork_after_someone_else_started_cuda(failing):
    error = failing(FORWARD, CUDARuntimeError(3))
    assert isinstance(error, convhub.BackendUnavailableError)
    assert "cudaErrorInitializationError" in str(error)
    assert "'spawn'" in str(error)


@pytest.mark.parametrize("error", [CUDARuntimeError(700), cupy.cuda.nvrtc.NVRTCError(3), ValueError("odd")])
def test_other_errors_stay_as_they_are(failing, error):
    assert failing(FORWARD, error) is error


def test_strides_that_are_no_whole_elements(failing):
    problem = Problem.parse(FORWARD)
    (backend,) = convhub_cupy.convhub_backends()
    odd = OnDevice(strides=(64, 32, 12, 8), itemsize=8)
    with pytest.raises(convhub.ArgumentError, match=r"\(64, 32, 12, 8\) bytes; .* multiples of .* 8 bytes"):
        backend.forward(OnDevice(), odd, None, problem, RunOptions())


# --- compiling ---------------------------------------------------------------------------------------


class FailingModule:
    """A RawModule whose kernel fails at the first look at it, as CuPy's do."""

    def __init__(self, error):
        self.error = error

    def __call__(self, code, options):
        return self

    def get_function(self, name):
        return self

    @property
    def max_dynamic_shared_size_bytes(self):
        raise self.error


@pytest.fixture
def compile_on(monkeypatch):
    """Return a function that compiles a kernel where CuPy raises an error, and gives what comes out."""

    def attempt(capability, error):
        xp = types.ModuleType("cupy")
        xp.RawModule = FailingModule(error)
        xp.cuda = types.SimpleNamespace(
            Device=lambda *_: types.SimpleNamespace(id=0, compute_capability=capability),
            get_current_stream=lambda: types.SimpleNamespace(is_capturing=lambda: False),
            runtime=cupy.cuda.runtime,
            driver=cupy.cuda.driver,
            compiler=cupy.cuda.compiler,
            nvrtc=cupy.cuda.nvrtc,
        )
        runtime = object.__new__(CupyRuntime)
        runtime.xp = xp
        with pytest.raises((MemoryError, RuntimeError, ValueError)) as caught:
            runtime.launch(SOURCE, (1, 1, 1), (32, 1, 1), ())
        return caught.value

    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda _: {"name": b"Sample GPU"})
    monkeypatch.setattr(cupy.cuda.runtime, "runtimeGetVersion", lambda: 13020)
    return attempt


@pytest.fixture
def nvrtc():
    """Return a function that compiles a text as CuPy does, with the options that it adds."""
    try:
        cupy.cuda.nvrtc.getVersion()
    except RuntimeError as error:
        pytest.skip(f"NVRTC is not installed: {error}")

    def compiled(text, architecture):
        program = cupy.cuda.compiler._NVRTCProgram(text, "kernel.cu", method="cubin")
        options = (f"-arch=sm_{architecture}", "-ftz=true", "--device-as-default-execution-space")
        with pytest.raises(cupy.cuda.compiler.CompileException) as caught:
            program.compile(options)
        return caught.value

    return compiled


def test_a_chip_that_the_compiler_knows_no_more(compile_on, nvrtc):
    error = compile_on("70", nvrtc("", 70))
    assert isinstance(error, convhub.BackendUnavailableError)
    assert "and Sample GPU is sm_70: it needs an older CUDA, pip uninstall cupy-cuda13x" in str(error)
    assert "pip install 'convhub[cuda12]'" in str(error)
    assert isinstance(error.__cause__, cupy.cuda.compiler.CompileException)


@pytest.mark.parametrize("status", [None, 209, 222])
def test_a_chip_that_the_compiler_does_not_know_yet(compile_on, nvrtc, status):
    original = nvrtc("", 999) if status is None else driver_error(status, "CUDA_ERROR_NO_BINARY_FOR_GPU")
    error = compile_on("999", original)
    assert isinstance(error, convhub.BackendUnavailableError)
    assert "Sample GPU is sm_999: it needs newer ones, pip install --upgrade cuda-toolkit" in str(error)
    assert "direct_correlate of direct.cu" in str(error)


def test_code_that_does_not_compile(compile_on, nvrtc):
    error = compile_on("90", nvrtc("int f() { return nothing_of_this_name; }", 90))
    assert type(error) is convhub.BackendError
    assert "does not compile the kernel direct_correlate of direct.cu for sm_90 (Sample GPU)" in str(error)
    assert "nothing_of_this_name" in str(error)
    assert "\n" not in str(error)


def test_no_headers(compile_on):
    error = compile_on("90", RuntimeError("Failed to find CUDA headers. Please install them."))
    assert isinstance(error, convhub.BackendUnavailableError)
    assert "a part of CUDA's toolkit is missing: pip install 'convhub[cuda13]' (Failed to find" in str(error)


def test_no_room_to_load_a_kernel(compile_on):
    error = compile_on("90", driver_error(2, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"))
    assert type(error) is MemoryError


def test_what_an_earlier_kernel_did_wrong_stays_what_it_is(compile_on):
    original = driver_error(700, "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
    assert compile_on("90", original) is original


# --- bfloat16 ----------------------------------------------------------------------------------------


def test_bfloat16_is_refused_where_cupy_does_not_know_it(monkeypatch):
    pytest.importorskip("ml_dtypes", reason="by which CuPy knows bfloat16")
    (backend,) = convhub_cupy.convhub_backends()
    narrow, wide = (
        Problem.parse(f"{dtype}_forward_n1c1h1w1_k1r1s1_cuda") for dtype in ("bfloat16", "float32")
    )
    failures.knows_bfloat16.cache_clear()
    assert backend.supports(narrow) is True
    failures.knows_bfloat16.cache_clear()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "ml_dtypes", None)
        assert "pip install ml_dtypes" in backend.supports(narrow)
    failures.knows_bfloat16.cache_clear()

    def unsupported(*_):
        raise ValueError("Unsupported dtype bfloat16")  # as CuPy says it beside NumPy 2.1.1

    monkeypatch.setattr(cupy, "ndarray", unsupported)
    assert "NumPy 2.1.2" in backend.supports(narrow)
    assert backend.supports(wide) is True
    failures.knows_bfloat16.cache_clear()
