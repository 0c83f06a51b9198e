"""`convhub bench`: real runs on tiny problems, and every way to write it wrongly."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex

import pytest

from convhub.bench import run as running
from convhub.bench.layers import of_problem
from convhub.bench.results import Settings
from convhub.bench.run import BenchmarkError, possible_memory
from convhub.problem import Problem

PROBLEM = "grad_weight_float32_n1c5h9w8_k6r3s2"


def test_a_run_against_a_backend_writes_everything(run, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "mine.csv").write_text("name,n,c,h,w,k,r,s\nfirst,1,5,9,8,6,3,2\nsecond,2,5,9,8,6,1,1\n")
    options = (
        "--shapes mine.csv --backend numpy --against naive --primitive all --dtype float64 --memory system"
    )
    result = run("bench", *options.split(), "--quick", "--layers", "--json", "a.json", "--plot", "a.png")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["command"].startswith("convhub bench --backend numpy --against naive")
    assert {*options.split(), "--quick"} == {*shlex.split(found["command"])[2:]}
    problems = [row["problem"] for row in found["rows"]]
    assert sorted(problems) == sorted(
        f"{primitive}_float64_{sizes}"
        for primitive in ("forward", "grad_input", "grad_weight")
        for sizes in ("n1c5h9w8_k6r3s2", "n2c5h9w8_k6r1s1")
    )
    assert all(row["milliseconds"] > 0 and row["against"] == "naive" for row in found["rows"])
    assert found["peak"]["dtype"] == "float64"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert all(problem in result.stdout for problem in problems)

    again = run("bench", "--from", "a.json", "--layers", "--markdown", "a.md")
    assert again.stdout == result.stdout
    assert all(problem.replace("_", r"\_") in (tmp_path / "a.md").read_text() for problem in problems)


def test_one_problem_against_torch_itself(run):
    pytest.importorskip("torch")
    result = run("bench", PROBLEM, "--backend", "torch", "--memory", "system", "--quick")
    assert result.exit_code == 0, result.stderr
    (line,) = (
        line for line in result.stdout.splitlines() if f"{PROBLEM}  conv2d, gradient for weight" in line
    )
    assert line.rstrip().endswith("x")
    assert "GF/s in NumPy's matrix product (float32, 1 thread)" in result.stdout


@pytest.mark.parametrize(("load", "is_busy"), [(0.49, False), (0.5, True)])
def test_a_busy_machine_is_warned_of(run, monkeypatch, load, is_busy):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
    monkeypatch.setattr(running, "run", lambda *_, **__: ([], None))
    result = run("bench", PROBLEM, "--against", "naive")
    assert f"load {load:.2f} before" in result.stdout
    assert (f"Warning: the load is {load:.2f}" in result.stderr) == is_busy


def test_what_a_backend_declines_is_listed(run):
    result = run("bench", "complex64_n1c5h9w8_k6r3s2", "--backend", "numba", "--against", "naive", "--quick")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("declined by numba: ") == len(possible_memory())
    assert "(1 layer, first forward_complex64_n1c5h9w8_k6r3s2)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--classes 3x4", "Did you mean '3x3'?"),
        ("--dtype flot32", "Did you mean 'float32'?"),
        ("--backend nunba", "Did you mean 'numba'?"),
        ("--against nunpy", "Did you mean 'numpy'?"),
        ("--shapes nothing.csv", "shapes is 'nothing.csv', which cannot be read"),
        ("--from nothing.json n1c5h9w8_k6r3s2", "--from times nothing: leave PROBLEM out"),
        ("--from nothing.json", "--from times nothing: leave --against out"),
        ("--plot figure.docx", "its suffix must be of"),
        ("n1c5h9w8", "lacks out_channels"),
        ("n1c5h9w8_k6r3s2_cuda", "which is for cuda: add --device cuda"),
        ("--device gpu", "device is 'gpu'; it must be cpu, cuda or"),
        ("--device cuda:x", "device is 'cuda:x'; it must be cpu, cuda or"),
        ("--tf32", "--tf32 is for GPUs"),
        ("--device cuda --threads 1", "--threads has no meaning on a GPU"),
        ("--device cuda --memory keep", "--memory has no meaning on a GPU"),
        ("--device cuda --tf32 --dtype float16", "--tf32 is for float32, not for float16"),
        ("--device cuda --backend numpy", "backend is 'numpy', which runs on cpu only; on cuda run"),
        ("n1c5h9w8_k6r3s2 --dtype float64", "--dtype is for tables of layers"),
        ("n1c5h9w8_k6r3s2 --primitive all", "--primitive is for tables of layers"),
        ("n1c5h9w8_k6r3s2 --shapes some.csv", "give PROBLEM or --shapes"),
        ("--shapes mine.txt --classes 1x1", "of which there is no layer; there are 3x3"),
        ("--shapes mine.txt --dtype float64", "--dtype is for tables of layers"),
    ],
)
def test_what_was_written_wrongly_is_one_line_and_exit_code_2(run, tmp_path, arguments, message):
    (tmp_path / "mine.txt").write_text("n1c5h9w8_k6r3s3\n")
    given = arguments if "--against" in arguments else f"{arguments} --against naive"
    result = run("bench", *given.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_report_that_is_not_there(run):
    result = run("bench", "--from", "nothing.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: from is 'nothing.json'" in result.stderr


@pytest.mark.parametrize(
    ("missing", "arguments"), [("torch", ()), ("matplotlib", ("--against", "naive", "--plot", "a.png"))]
)
def test_a_missing_package_names_the_extra(run, monkeypatch, missing, arguments):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    result = run("bench", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"needs {missing}: pip install 'convhub[bench]'" in result.stderr


def test_a_worker_that_dies_says_where(monkeypatch):
    # A setting that no process can start with.
    monkeypatch.setenv("CONVHUB_NOTHING", "1")
    layers = [of_problem(Problem.parse(PROBLEM))]
    settings = Settings(against="naive", memory=("system",))
    with pytest.raises(BenchmarkError, match="CONVHUB_NOTHING"):
        running.run(layers, settings, peak_dtype="", advance=lambda _: None)
    monkeypatch.delenv("CONVHUB_NOTHING")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(BenchmarkError, match=rf"ended with code \d+ at {PROBLEM}:\n.*"):
        running.run(layers, settings, peak_dtype="", advance=lambda _: None)


def test_the_start_of_a_backend(run, tmp_path):
    result = run("bench", "--start", "--backend", "numpy", "--json", "a.json")
    assert result.exit_code == 0, result.stderr
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["backend"], found["problem"]) == ("numpy", "forward_float32_n1c1h4w4_k1r3s3")
    for name in ("cold", "warm", "bare", "numpy", "convhub", "tiny"):
        assert 0 < found[name] < 60
    assert found["tiny"] < found["bare"]
    assert f"  tiny call                     {found['tiny'] * 1e6:7.1f} µs" in result.stdout
    assert f"  first call, nothing compiled  {found['cold']:8.2f} s" in result.stdout


def test_the_start_takes_no_layers(run):
    result = run("bench", "--start", "--quick")
    assert result.exit_code == 2
    assert "leave --quick out" in result.stderr
    assert "leave --device out" in run("bench", "--start", "--device", "cuda").stderr
    assert run("bench", PROBLEM, PROBLEM, "--start").exit_code == 2
    result = run("bench", "--start", PROBLEM.replace("float32", "int8"), "--backend", "torch")
    assert result.exit_code != 0
