"""Every kernel that the backend *cupy* may launch compiles, for every architecture, and takes what it took.

No GPU is needed: NVRTC compiles for all of them. Registers decide how many threads a multiprocessor runs, and
spills cost more than most changes to a kernel gain, so both are committed in ``manifest.json``.

Compiling everything takes minutes. The record has NVRTC's version, and a digest of each text that was
compiled. Where both are as they were, a file is compiled for one architecture only, and the record tells of
the others; a file that differs is compiled for all.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from convhub_cupy.plan.variants import Source
from convhub_cupy.planner import every_source
from convhub_cupy.runtime.cupy_runtime import INCLUDES

from . import compilations, nvrtc, record
from .compilations import ARCHITECTURES, log_of, resources_of, text_of
from .resources import Resources, resources_in, warnings_in

SOURCES = every_source()
FILES = sorted({source.file for source in SOURCES})

# Kernels that may use local memory: how the text of the source begins, and why. All others keep everything in
# registers.
EXCUSED: dict[str, str] = {}

needs_nvrtc = pytest.mark.skipif(nvrtc.missing() is not None, reason=str(nvrtc.missing()))


def sources_in(file: str) -> list[Source]:
    return [source for source in SOURCES if source.file == file]


def is_excused(source: Source) -> bool:
    return any(text_of(source).startswith(beginning) for beginning in EXCUSED)


RECORD = record.read()


def representative(file: str) -> int:
    """Return the architecture that a file is always compiled for; each has its turn among the files."""
    return ARCHITECTURES[FILES.index(file) % len(ARCHITECTURES)]


def architectures_of(file: str) -> tuple[int, ...]:
    """Return the architectures to compile a file for: one, if the record is of the same text."""
    if all(record.has(RECORD, source) for source in sources_in(file)):
        return (representative(file),)
    return ARCHITECTURES


# Of the module, so that the tests of one file and architecture follow each other in one process.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param((file, architecture), id=f"{file}-sm_{architecture}")
        for file in FILES
        for architecture in architectures_of(file)
    ],
)
def compiled(request) -> tuple[str, int, dict[Source, Resources]]:
    """Compile every source of one file for one architecture."""
    file, architecture = request.param
    return file, architecture, {source: resources_of(source, architecture) for source in sources_in(file)}


@needs_nvrtc
def test_each_kernel_compiles_without_a_warning(compiled):
    _, architecture, kernels = compiled
    warnings = record.warnings_of(kernels, architecture)
    assert not warnings, "\n".join(warnings)


FEW = 2  # registers


@needs_nvrtc
def test_no_kernel_spills(compiled):
    _, architecture, kernels = compiled
    using = [
        f"sm_{architecture} {text_of(source)}: {resources.spills} bytes spilled, {resources.stack} of stack"
        for source, resources in kernels.items()
        if (resources.spills or resources.stack) and not is_excused(source)
    ]
    assert not using, "local memory is used:\n" + "\n".join(using)


def test_no_kernel_of_the_record_spills():
    using = [
        f"{architecture} {text_of(source)}: {row}"
        for source in SOURCES
        if not is_excused(source)
        for architecture, row in RECORD.kernels.get(text_of(source), {}).items()
        if row["spills"] or row["stack"]
    ]
    assert not using, "local memory is used:\n" + "\n".join(using)


@needs_nvrtc
def test_kernels_take_what_the_record_says(compiled):
    file, architecture, kernels = compiled
    if RECORD.nvrtc != nvrtc.version():
        pytest.skip(f"the record is of NVRTC {RECORD.nvrtc}, and this is {nvrtc.version()}: {nvrtc.INSTALL}")
    rows = {
        text: rows.get(f"sm_{architecture}")
        for text, rows in RECORD.kernels.items()
        if text.split()[0] == file
    }
    assert not (changes := differences(rows, kernels)), (
        f"sm_{architecture}, - as {record.PATH.name} has it, + as it is:\n{changes}"
        f"\nIf this is meant, commit what this writes: {record.RENEW}"
    )


def differences(rows: dict[str, dict[str, int] | None], kernels: dict[Source, Resources]) -> str:
    """Return the lines of a record that changed, old above new."""
    new = {text_of(source): record.recorded(resources) for source, resources in kernels.items()}
    changes = []
    for text in sorted(rows.keys() | new.keys()):
        if not alike(rows.get(text), new.get(text)):
            changes += [f"- {text}: {rows.get(text)}", f"+ {text}: {new.get(text)}"]
    return "\n".join(changes)


def alike(old: dict[str, int] | None, new: dict[str, int] | None) -> bool:
    """Return whether two rows are the same, but for a few registers.

    One compiler gives one source one register more or less where the folder of its headers has another name.
    """
    if old is None or new is None:
        return old is new
    return abs(old["registers"] - new["registers"]) <= FEW and {**old, "registers": 0} == {
        **new,
        "registers": 0,
    }


def test_the_record_has_every_source_and_no_other():
    has = {f"{name} {text}" for text, rows in RECORD.kernels.items() for name in rows}
    needs = {f"sm_{architecture} {text_of(source)}" for architecture in ARCHITECTURES for source in SOURCES}
    changes = [f"- {row}" for row in sorted(has - needs)] + [f"+ {row}" for row in sorted(needs - has)]
    assert not changes, (
        f"- {record.PATH.name} has it, and nothing launches it, + it lacks:\n"
        + "\n".join(changes)
        + f"\nIf this is meant, commit what this writes: {record.RENEW}"
    )


def test_the_record_is_as_it_would_be_written():
    assert record.lines(RECORD) == record.PATH.read_text()


def test_every_excuse_is_needed():
    for beginning in EXCUSED:
        rows = [
            row
            for text, rows in RECORD.kernels.items()
            if text.startswith(beginning)
            for row in rows.values()
        ]
        assert any(row["spills"] or row["stack"] for row in rows), f"nothing uses local memory: {beginning}"


def test_no_source_is_listed_twice():
    texts = [text_of(source) for source in SOURCES]
    assert sorted(set(texts)) == sorted(texts)


def test_every_file_of_the_package_is_reached():
    assert sorted(str(path.relative_to(INCLUDES)) for path in Path(INCLUDES).rglob("*.cu")) == FILES


@needs_nvrtc
@pytest.mark.parametrize("file", FILES)
def test_every_kernel_of_a_file_is_reached(file):
    """A kernel that the planner never launches is dead, or forgotten in ``every_source``."""
    architecture = representative(file)
    present = {name for source in sources_in(file) for name in resources_in(log_of(source, architecture))}
    assert present == {source.name for source in sources_in(file)}


# The checks themselves.

SPILLING = """
extern "C" __global__ void __launch_bounds__(1024) spilling(const float *x, float *y) {
    float values[192];
#pragma unroll
    for (int i = 0; i < 192; i++) values[i] = x[i * 1024 + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 192; i++) y[i * 1024 + threadIdx.x] = values[i] - 2 * values[191 - i];
}
"""

INDEXED = """
extern "C" __global__ void indexed(const int *x, float *y, int n) {
    __shared__ float all[64];
    float values[256];
    for (int i = 0; i < n; i++) values[x[i]] = x[i];
    all[threadIdx.x] = values[x[n]];
    __syncthreads();
    y[threadIdx.x] = all[63 - threadIdx.x] + values[x[n + 1]];
}
"""


@pytest.fixture
def source_of(tmp_path, monkeypatch):
    """Give a function that makes a source of a text; no compilation is taken from the user's cache."""
    monkeypatch.setattr(compilations, "CACHE", tmp_path / "cache")

    def write(text: str, name: str, *options: str) -> Source:
        path = tmp_path / "mine.cu"
        path.write_text(text)
        return Source(str(path), name, options)

    return write


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_spill_is_seen(source_of, architecture):
    resources = resources_of(source_of(SPILLING, "spilling"), architecture)
    assert resources.registers == 64
    assert resources.spill_stores >= 4 * (192 - 64)
    assert resources.spill_loads >= 4 * (192 - 64)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_array_in_local_memory_is_seen(source_of, architecture):
    resources = resources_of(source_of(INDEXED, "indexed"), architecture)
    assert (resources.stack, resources.spills, resources.shared) == (1024, 0, 256)


@needs_nvrtc
def test_a_spill_in_a_function_that_is_called_is_seen(source_of):
    text = SPILLING.replace(
        'extern "C" __global__ void __launch_bounds__(1024)', "__device__ __noinline__ void"
    )
    caller = 'extern "C" __global__ void __launch_bounds__(1024) calling(float *x) { spilling(x, x + 1); }'
    assert resources_of(source_of(text + caller, "calling"), 80).spills > 0


@needs_nvrtc
def test_a_mistake_is_told_with_the_log_and_never_kept(source_of):
    source = source_of(
        'extern "C" __global__ void broken() { float y = WRONG; }', "broken", "-DWRONG=undeclared"
    )
    for _ in range(2):
        with pytest.raises(
            nvrtc.CompileError, match=r'(?s)mine.cu.*-DWRONG=undeclared.*"undeclared" is undefined'
        ):
            log_of(source, 80)


@needs_nvrtc
def test_what_only_the_assembler_refuses_is_told(source_of):
    text = 'extern "C" __global__ void newer() { asm volatile("cp.async.wait_all;"); }'
    assert resources_of(source_of(text, "newer"), 80).registers > 0
    with pytest.raises(nvrtc.CompileError, match=r"requires .target sm_80 or higher"):
        log_of(source_of(text, "newer"), 75)


@needs_nvrtc
def test_a_name_that_is_not_there_is_told(source_of):
    with pytest.raises(LookupError, match=r"has no kernel absent, but \['indexed'\]"):
        resources_of(source_of(INDEXED, "absent"), 80)


@needs_nvrtc
def test_a_warning_is_seen(source_of):
    text = 'extern "C" __global__ void warned() { int unused; }'
    assert "never referenced" in warnings_in(log_of(source_of(text, "warned"), 80))[0]


@needs_nvrtc
def test_the_machine_code_is_whole():
    code = nvrtc.compile_cubin(INDEXED, "indexed.cu", [], 80).cubin
    assert code.startswith(b"\x7fELF")
    headers, size, count = (int.from_bytes(code[a:b], "little") for a, b in ((40, 48), (58, 60), (60, 62)))
    assert headers + size * count <= len(code)


@needs_nvrtc
def test_the_cache_notices_a_header_that_changes(source_of, tmp_path, monkeypatch):
    source = source_of(f'#include "{tmp_path}/mine.cuh"\n' + INDEXED.replace("[64]", "[SIZE]"), "indexed")
    for size in (64, 128):
        (tmp_path / "mine.cuh").write_text(f"#define SIZE {size}\n")
        assert resources_of(source, 80).shared == 4 * size
    # What has been compiled is not compiled again.
    monkeypatch.setattr(nvrtc, "compile_cubin", None)
    assert resources_of(source, 80).shared == 512


@needs_nvrtc
def test_a_difference_from_the_record_names_the_source(source_of):
    source = source_of(INDEXED, "indexed")
    resources = resources_of(source, 80)
    rows = {text_of(source): record.recorded(resources)}
    assert differences(rows, {source: resources}) == ""
    changes = differences(
        {"gone.cu gone": {"registers": 1}, **rows}, {source: resources._replace(shared=512)}
    )
    assert "- gone.cu gone: {'registers': 1}\n+ gone.cu gone: None" in changes
    assert f"+ {text_of(source)}: {{'registers': {resources.registers}, 'shared': 512," in changes


@needs_nvrtc
def test_a_record_of_another_text_or_compiler_proves_nothing(source_of, tmp_path):
    source = source_of(INDEXED, "indexed")
    made = record.Record(
        str(nvrtc.version()), {compilations.compilation_of(source): compilations.digest_of(source)}, {}
    )
    assert record.has(made, source)
    assert not record.has(made._replace(nvrtc="1.0.0"), source)
    assert not record.has(made, source._replace(options=("-DOTHER",)))
    (tmp_path / "mine.cu").write_text(INDEXED + " ")
    assert not record.has(made, source)


def test_a_wheel_that_is_missing_is_told_with_the_command(monkeypatch):
    monkeypatch.setattr(nvrtc, "DISTRIBUTION", "convhub-has-no-such-wheel")
    assert nvrtc.missing() == f"NVRTC is not installed: {nvrtc.INSTALL}"
