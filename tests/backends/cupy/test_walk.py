"""The kernel that CONTRIBUTING.md adds to the GPU engine: it is planned, named, and right on the emulator."""

import re
import types
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes", reason="bfloat16 is one of the types under test")

from convhub_cupy import convhub_backends, planner
from convhub_cupy.plan.variants import TILED_DTYPES
from convhub_cupy.runtime.cupy_runtime import INCLUDES
from gpu.emulator import EmulatedRuntime, why_not
from gpu.manifest import nvrtc
from support.checking import GEOMETRIES, problem_of
from support.cuda_signatures import differences, note_launches, parameters
from support.cupy_checking import assert_right_with, plant

from convhub.backend import RunOptions
from convhub.problem import Problem

needs_emulator = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

ROOT = Path(__file__).parents[3]
(CUPY,) = convhub_backends()
PRIMITIVES = ("forward", "grad_input")
LAYERS = {
    "pointwise": GEOMETRIES["pointwise"],
    "one_pixel": GEOMETRIES["one_pixel"],
    "groups": "n2c12h5w7_k8r1s1_groups4",
    "two_runs": "n2c140h6w5_k150r1s1",
}


def blocks(kind):
    """Return the page's blocks of a kind, from the section about the GPU engine."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("\n## Add a kernel to the GPU engine\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with all kernels, and the page's among them."""
    plant(tmp_path, "direct.cu")
    (kernel,) = blocks("cuda")
    (tmp_path / "pointwise.cu").write_text(kernel)
    return tmp_path


@pytest.fixture
def added(monkeypatch):
    """Put the page's algorithm before all others, and return it."""
    module = types.ModuleType("pointwise")
    exec(compile("".join(blocks("python")), "CONTRIBUTING.md", "exec"), module.__dict__)
    for primitive in PRIMITIVES:
        listed = (module.POINTWISE, *planner.ALGORITHMS[primitive])
        monkeypatch.setitem(planner.ALGORITHMS, primitive, listed)
    planner.make_plan.cache_clear()
    yield module.POINTWISE
    planner.make_plan.cache_clear()


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_explain_names_it_where_it_suits(primitive, added):
    for dtype in TILED_DTYPES:
        problem = problem_of(primitive, dtype, LAYERS["pointwise"])
        count = {"forward": 8, "grad_input": 7}[primitive]  # of 256 elements
        assert CUPY.algorithm(problem, RunOptions()) == f"pointwise, {count} blocks in 1 launch"
        assert CUPY.accuracy_of(problem, RunOptions()) == "componentwise"
    for other in ("_stride2", "_pad1", "_out5x4"):
        problem = Problem.parse(f"{primitive}_float32_{LAYERS['pointwise']}{other}")
        assert not CUPY.algorithm(problem, RunOptions()).startswith("pointwise")
    integers = problem_of(primitive, "int8", LAYERS["pointwise"])
    assert CUPY.algorithm(integers, RunOptions()).startswith("direct")


def test_its_kernels_are_among_those_that_are_compiled(added):
    sources = planner.every_source()
    assert set(added.sources) <= set(sources)
    assert len(sources) == len(set(sources))


@needs_emulator
@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("dtype", TILED_DTYPES)
@pytest.mark.parametrize("layer", LAYERS)
def test_it_is_right(layer, dtype, primitive, folder, added, monkeypatch):
    launches = note_launches(monkeypatch)
    runtime = EmulatedRuntime(seed=1, folder=folder)
    assert_right_with(runtime, problem_of(primitive, dtype, LAYERS[layer]))
    assert [name for _, name, *_ in runtime.launched] == ["pointwise"]
    ((source, given),) = launches
    assert differences(given, parameters(source, folder)) == []


@needs_emulator
def test_a_fault_in_it_is_seen(folder, added):
    text = (folder / "pointwise.cu").read_text()
    assert text.count("c0 + RUN; c++") == 1
    (folder / "pointwise.cu").write_text(text.replace("c0 + RUN; c++", "c0 + RUN - 1; c++"))
    with pytest.raises(AssertionError):
        assert_right_with(
            EmulatedRuntime(folder=folder), problem_of("forward", "float32", LAYERS["two_runs"])
        )


@pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))
def test_it_compiles_for_a_device_without_spilling(folder, added):
    for source in added.sources:
        options = ["-std=c++17", f"-I{INCLUDES}", *source.options]
        text = (folder / source.file).read_text()
        log = nvrtc.compile_cubin(text, source.file, options, 80).log
        assert "0 bytes spill stores" in log
