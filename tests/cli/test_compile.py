"""`convhub compile` has a backend compile each problem in processes of its own, and says what came of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from support.faulty_plugins import PROBLEM, plugin

OTHER = "forward_float64_n1c2h5w5_k3r3s3"

#: Compiles two kernels for each problem that it has not met: a file says which.
COMPILES = """
import os, pathlib, time
def compiles(problem, options):
    if problem.in_channels == 3:
        raise KeyError("pebbles")
    if problem.in_channels == 4:
        os.kill(os.getpid(), 9)
    if problem.in_channels == 5:
        pathlib.Path(str(os.getpid())).touch()
        time.sleep(600)
    print("about", problem)
    file = pathlib.Path(str(problem))
    if file.exists():
        return 0
    file.touch()
    return 2
"""


@pytest.fixture
def mine(install, monkeypatch):
    """Install a backend that compiles ahead, for this process and those that it starts."""
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub")

    def mine_(fields="compile=compiles, preference={'cpu': 1}"):
        folder = install("mine", plugin(fields=fields, before=COMPILES))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), before))))

    return mine_


def test_it_tells_how_many_kernels_were_compiled(mine, run, run_json):
    mine()
    first = run("compile", PROBLEM, OTHER, "--jobs", "2")
    said = sorted((f"about {PROBLEM}", f"about {OTHER}"))  # in either order, by two processes
    assert (first.exit_code, sorted(first.stderr.splitlines())) == (0, said), first.stdout
    assert first.stdout.startswith("mine: 2 problems, 4 kernels compiled, and all others found, ")
    new = OTHER.replace("k3", "k5")
    report, code = run_json("compile", PROBLEM, new, "--jobs", "1")
    assert code == 0
    rows = {row["problem"]: row for row in report["problems"]}
    assert {name: row["compiled"] for name, row in rows.items()} == {PROBLEM: 0, new: 2}
    assert all(row["backend"] == "mine" and not row["error"] for row in rows.values())


def test_a_problem_is_compiled_once(mine, run_json):
    mine()
    report, _ = run_json("compile", PROBLEM, PROBLEM)
    assert [row["compiled"] for row in report["problems"]] == [2]


def test_an_error_names_the_problem_and_the_others_are_compiled(mine, run, run_json):
    mine()
    failing, declined = "forward_float64_n1c3h4w4_k1r3s3", "forward_float32_n1c1h4w4_k1r3s3"
    report, code = run_json("compile", failing, PROBLEM, declined)
    errors = {row["problem"]: row["error"] for row in report["problems"]}
    assert code == 1
    assert errors[PROBLEM] == ""
    assert "backend 'mine' (plugin 'mine' of convhub-mine 1.2) could not compile" in errors[failing]
    assert "takes float64 in forward, not float32" in errors[declined]
    assert "KeyError: 'pebbles'" in run("compile", failing).stderr


@pytest.mark.skipif(os.name == "nt", reason="kills by a signal")
def test_a_process_that_dies_is_an_error_of_its_problem_alone(mine, run_json):
    mine()
    dying = "forward_float64_n1c4h4w4_k1r3s3"
    report, code = run_json("compile", dying, PROBLEM, OTHER, "--jobs", "1")
    rows = {row["problem"]: row for row in report["problems"]}
    assert code == 1
    assert "the process that compiled ended with -9" in rows[dying]["error"]
    assert [rows[name]["compiled"] for name in (PROBLEM, OTHER)] == [2, 2]


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_when_the_program_ends(mine, tmp_path, sent):
    mine()
    command = [sys.executable, "-m", "convhub.cli", "compile", "forward_float64_n1c5h4w4_k1r3s3", PROBLEM]
    program = subprocess.Popen([*command, "--jobs", "1"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (found := [int(path.name) for path in tmp_path.iterdir() if path.name.isdecimal()]):
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    program.send_signal(sent)
    _, said = program.communicate(timeout=30)
    assert "Traceback" not in said
    if sent == signal.SIGKILL:  # it has not interrupted the other process, which ends with its problem
        os.kill(found[0], signal.SIGINT)
    while _runs(found[0]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_backend_that_compiles_nothing_ahead(mine, run):
    mine("preference={'cpu': 1}")
    result = run("compile", PROBLEM)
    assert result.exit_code == 1
    assert result.stdout == "mine: compiles nothing ahead, 1 problem left out\n"
    assert result.stderr == "Error: nothing was compiled: of mine, no backend compiles ahead\n"
    named = run("compile", PROBLEM, "--backend", "mine")
    assert (named.exit_code, named.stdout) == (2, "")
    assert "--backend is 'mine', which compiles nothing ahead; those that do: none" in named.stderr


def test_each_backend_that_tuning_would_try_compiles(mine, run_json, monkeypatch):
    mine()
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "")
    monkeypatch.setenv("CONVHUB_TUNE", "1")
    monkeypatch.setenv("CONVHUB_PRIORITY", "mine,numpy")
    report, code = run_json("compile", PROBLEM)
    rows = {row["backend"]: row["compiled"] for row in report["problems"]}
    assert (code, rows) == (0, {"mine": 2, "numpy": None})


def test_tables_and_logs(mine, run, run_json, tmp_path):
    mine()
    (tmp_path / "layers.csv").write_text("n,c,h,w,k,r,s\n1,1,4,4,1,3,3\n2,2,6,6,2,1,1\n")
    arguments = ["compile", "--shapes", "layers.csv", "--primitive", "forward", "--dtype", "float64"]
    report, code = run_json(*arguments)
    assert code == 0
    assert {row["problem"] for row in report["problems"]} == {PROBLEM, "forward_float64_n2c2h6w6_k2r1s1"}
    line = f"convhub: {PROBLEM} -> mine, 0.512 ms, by default order\n"
    (tmp_path / "a.log").write_text(f"epoch 1\n{line}2026 INFO {line}")
    report, code = run_json("compile", "--from-log", "a.log")
    assert (code, [row["problem"] for row in report["problems"]]) == (0, [PROBLEM])
    (tmp_path / "a.log").write_text("epoch 1\n")
    result = run("compile", "--from-log", "a.log")
    assert result.exit_code == 2
    assert (
        "a.log has no line of a call; convhub logs one for each call with CONVHUB_VERBOSE=1" in result.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give one of PROBLEM, --model, --shapes, --from-log, --all"),
        ([PROBLEM, "--all"], "give one of PROBLEM, --model"),
        (["n1c1h4w4"], "lacks out_channels (k)"),
        (
            [PROBLEM, "--dtype", "float32"],
            "--dtype is for layers: leave it out, since a PROBLEM says it itself",
        ),
        (["--from-log", "no.log", "--primitive", "forward"], "since a log says it itself"),
        (["--from-log", "no.log"], "--from-log is 'no.log', which cannot be read"),
        (["--shapes", "no.csv"], "shapes is 'no.csv', which cannot be read"),
        (
            ["--all", "--dtype", "float33"],
            "--dtype is 'float33'; it must be one of bfloat16, float16, float32",
        ),
        ([PROBLEM, "--input", "1x3x8x8"], "--input is for --model"),
        ([PROBLEM, "--jobs", "0"], "Invalid value for '--jobs'"),
        ([PROBLEM, "--backend", "nunba"], "Did you mean 'numba'?"),
        ([PROBLEM, "--backend", "numpy"], "which compiles nothing ahead; those that do: numba"),
    ],
)
def test_wrong_arguments(run, arguments, words):
    result = run("compile", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_the_numba_engine_finds_what_was_compiled(run_json, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setenv("CONVHUB_WORKSPACE_LIMIT", "0")  # plain loops, which compile soonest
    problem = "forward_float32_n1c1h3w3_k1r3s3"
    report, code = run_json("compile", problem, "--backend", "numba")
    (row,) = report["problems"]
    assert (code, row["algorithm"].partition(",")[0]) == (0, "direct")
    assert row["compiled"] > 0
    (again,) = run_json("compile", problem)[0]["problems"]
    assert again["compiled"] == 0


def test_kernels_that_cannot_be_kept_are_an_error(run, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    result = run("compile", "forward_float32_n1c1h3w3_k1r3s3", "--backend", "numba")
    assert result.exit_code == 1
    assert "compiled kernels are not kept: NUMBA_CACHE_DIR is" in result.stderr
