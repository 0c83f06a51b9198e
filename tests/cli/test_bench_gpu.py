"""`convhub bench --device cuda`: without a GPU, why not; with stand-ins for CuPy and the driver, all of it.

The times are made up by the stand-in, and so are known: 1 ms a call of one backend, 3 ms of the other.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convhub.bench.results import read_report

TESTS = Path(__file__).parents[1]
FAKES = TESTS / "gpu" / "fake_driver"
PROBLEM = "forward_float32_n1c5h9w8_k6r3s2"
ERROR = 0.05
GRADIENT = "grad_weight_float64_n2c4h7w8_k6r3s2_groups2"


@pytest.fixture
def on_fakes(program, fake_driver):
    """Return the function that runs the program with the stand-ins."""

    def run(*arguments, **variables):
        path = os.pathsep.join([str(FAKES / "bin"), os.environ["PATH"]])
        paths = {
            "PYTHONPATH": f"{TESTS}{os.pathsep}{FAKES}",
            "LD_LIBRARY_PATH": str(fake_driver),
            "PATH": path,
        }
        return program("bench", *arguments, **paths | variables)

    return run


def test_a_whole_run_and_its_dated_files(on_fakes, tmp_path):
    arguments = [PROBLEM, f"{GRADIENT}_cuda", "--device", "cuda:1", "--against", "fake_slow", "--quick"]
    done = on_fakes(*arguments, "--save-to", "results")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    found = read_report(path)
    assert path.name == f"{found.date}-fake-h1-80gb-float32-float64.json"
    assert path.with_suffix(".md").read_text().startswith(f"# Fake H1 80GB, {found.date}\n")
    assert [row.problem for row in found.rows] == [f"{PROBLEM}_cuda", f"{GRADIENT}_cuda"]
    for row in found.rows:
        # Of the backends that run there and are not the other side, the one that is preferred.
        assert (row.backend, row.algorithm, row.against, row.memory) == (
            "fake_fast",
            "ieee",
            "fake_slow",
            "pool",
        )
        assert (row.milliseconds, row.against_milliseconds) == pytest.approx((1.0, 3.0))
        assert row.ratio == pytest.approx(3.0)
        assert row.issue_milliseconds > 0
        assert row.rounds == 3
    assert (found.settings.device, found.settings.backend, found.peak) == ("cuda:1", "fake_fast", None)
    assert (found.machine.gpu.name, found.machine.gpu.driver) == ("Fake H1 80GB", "580.65.06")
    assert found.machine.versions["CUDA of CuPy"] == "13.2"
    assert "cuDNN" not in found.machine.versions
    assert (
        found.command
        == f"convhub {' '.join(['bench', *arguments[:2]])} --against fake_slow --device cuda:1 --quick"
    )
    assert "Warning" not in done.stderr

    # Another command of the same day, chip and dtypes would replace them.
    other = on_fakes(*arguments[:-1], "--save-to", "results")
    assert (other.returncode, other.stdout) == (2, "")
    assert "is the report of another command" in other.stderr


def test_tf32_is_allowed_to_both_sides_and_a_busy_gpu_is_warned_of(on_fakes):
    # An error that TF32 explains, and float32 does not: see the next test.
    options = ("--device", "cuda", "--against", "fake_slow", "--quick", "--tf32")
    done = on_fakes(PROBLEM, *options, CONVHUB_OPTIONS=f"fake_fast.wrong={ERROR}")
    assert done.returncode == 0, done.stderr
    assert "fake_fast (tf32)" in done.stdout
    assert "on cuda:0, with TF32" in done.stdout
    assert "the GPU's load is 40 %: something else runs on it" in done.stderr


def test_a_wrong_result_ends_it(on_fakes):
    done = on_fakes(
        PROBLEM, "--device", "cuda", "--against", "fake_slow", CONVHUB_OPTIONS=f"fake_fast.wrong={ERROR}"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert f"fake_fast and fake_slow do not agree on {PROBLEM}_cuda" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            "--device cuda:2 --against fake_slow",
            2,
            "device is 'cuda:2'; cupy finds 2 of them, cuda:0 to cuda:1",
        ),
        ("--device cuda --against naive", 2, "backend is 'naive', which runs on cpu only; on cuda run"),
        ("--device cuda", 1, "--against torch on 'cuda:0': torch"),
    ],
)
def test_what_does_not_run_there(on_fakes, arguments, code, message):
    if "--against" not in arguments:
        torch = pytest.importorskip("torch")
        if torch.cuda.is_available():
            pytest.skip("torch has a GPU here")
    done = on_fakes(PROBLEM, *arguments.split())
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr


def test_a_device_that_only_the_driver_does_not_know(on_fakes):
    done = on_fakes(PROBLEM, "--device", "cuda:1", "--against", "fake_slow", FAKE_CUDA_INIT="100")
    assert done.returncode == 1
    assert "no CUDA-capable device is detected" in done.stderr


# --- without any stand-in -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("backend", [None, "cupy", "torch"])
def test_without_a_gpu_it_says_why_and_ends_with_1(run, tmp_path, backend):
    named = () if backend is None else ("--backend", backend)
    result = run("bench", "--device", "cuda", *named, "--against", "naive", "--save-to", "results")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Error: device is 'cuda:0', and no CUDA device can be used: " in result.stderr
    for name in ("cupy", "torch") if backend is None else (backend,):
        assert f"{name}: " in result.stderr
    assert not (tmp_path / "results").exists()


def test_dated_files_on_the_cpu(run, tmp_path, monkeypatch):
    monkeypatch.setattr("platform.processor", lambda: "Some CPU")
    options = "--backend numpy --against naive --memory system --quick --save-to here"
    result = run("bench", PROBLEM, *options.split())
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "here").glob("*-float32.json")
    found = read_report(path)
    assert found.machine.gpu is None
    again = run("bench", "--from", str(path), "--save-to", "there")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "there" / path.name).read_bytes() == path.read_bytes()
    assert str(Path("there") / path.name) in again.stdout
