"""`convhub compile --profile` shows where compiling goes, of each kernel and of each function in it."""

from __future__ import annotations

import json
import os

import pytest
from support.faulty_plugins import PROBLEM, plugin

OTHER = "forward_float64_n1c2h5w5_k3r3s3"

#: Its first problem has two kernels, later ones have none; a problem of three channels fails.
PROFILES = """
from convhub.backend import HelperProfile, KernelProfile
made = []
def profiles(problem, options):
    if problem.in_channels == 3:
        raise KeyError("pebbles")
    if not made:
        made.append(problem)
        pack = HelperProfile(name="pack", compiled=1, seconds=0.25, linked=1)
        yield KernelProfile(name="small 4", seconds=0.5, phases={"parse": 0.5}, sizes={"lines": 10})
        yield KernelProfile(
            name="large 8", seconds=1.5, phases={"parse": 1, "optimize": 0.5}, sizes={"lines": 32, "KB": 1.5},
            helpers=(pack, HelperProfile(name="clear")),
        )
"""


@pytest.fixture
def mine(install, monkeypatch):
    """Install a backend that profiles its compiling, for this process and the one that it starts."""
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "convhub")
    folder = install(
        "mine", plugin(fields="compile_profile=profiles, preference={'cpu': 1}", before=PROFILES)
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder), before))))


def test_tables_of_kernels_and_helpers(mine, run):
    result = run("compile", "--profile", PROBLEM, OTHER)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines() if line.strip(" ─")]
    assert rows[:6] == [
        ["Kernel", "all", "parse", "optimize", "lines", "KB"],
        ["large", "8", "1.50", "1.00", "0.50", "32", "1.5"],
        ["small", "4", "0.50", "0.50", "–", "10", "–"],
        ["2", "in", "all", "2.00", "1.50", "0.50", "42", "1.5"],
        ["Helper", "Seconds", "Compiled", "Kernels", "Copies"],
        ["pack", "0.25", "1", "1", "1"],
    ]
    assert rows[6] == ["clear", "0.00", "0", "1", "–"]
    assert result.stdout.endswith("mine: 2 problems, 2 kernels, 2.0 s of one core\n")


def test_json_has_all_of_it(mine, run_json):
    report, code = run_json("compile", "--profile", PROBLEM, OTHER)
    assert code == 0
    first, second = report["problems"]
    assert (first["problem"], first["compiled"], second["problem"], second["compiled"]) == (
        PROBLEM,
        2,
        OTHER,
        0,
    )
    assert first["kernels"][1]["phases"] == {"parse": 1, "optimize": 0.5}
    assert first["kernels"][1]["helpers"][0] == {"name": "pack", "compiled": 1, "seconds": 0.25, "linked": 1}
    assert [(row["name"], row["kernels"], row["linked"]) for row in report["helpers"]] == [
        ("pack", 1, 1),
        ("clear", 1, None),
    ]


def test_a_page_of_markdown(mine, run, tmp_path):
    run("compile", "--profile", PROBLEM, "--backend", "mine", "--markdown", "page.md", "--json", "all.json")
    page = (tmp_path / "page.md").read_text(encoding="utf-8").splitlines()
    assert page[0] == "# Where the time of compiling goes"
    assert "| large 8 | 1.50 | 1.00 | 0.50 | 32 | 1.5 |" in page
    assert "| pack | 0.25 | 1 | 1 | 1 |" in page
    command = page[-1].replace("\\", "")
    assert command.startswith(f"- convhub compile --profile {PROBLEM} --backend mine  (20"), command
    assert json.loads((tmp_path / "all.json").read_text())["helpers"]


def test_an_error_names_the_problem_and_the_others_are_measured(mine, run):
    failing = "forward_float64_n1c3h4w4_k1r3s3"
    result = run("compile", "--profile", failing, PROBLEM)
    assert result.exit_code == 1
    assert "large 8" in result.stdout
    assert "mine: 1 problem, 2 kernels" in result.stdout
    assert f"could not compile {failing}: KeyError: 'pebbles'" in result.stderr


def test_a_backend_that_does_not_measure(toy, run, monkeypatch, tmp_path):
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "")
    result = run("compile", "--profile", PROBLEM, "--backend", "numpy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--backend is 'numpy', which does not measure compiling; those that do: numba" in result.stderr
    monkeypatch.setenv("CONVHUB_BACKEND", "numpy")
    result = run("compile", "--profile", PROBLEM)
    assert result.exit_code == 1
    assert result.stdout == "numpy: does not measure compiling, 1 problem left out\n"
    assert result.stderr == "Error: nothing was compiled: of numpy, no backend measures compiling\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--profile", "--jobs", "1"], "--jobs is not for --profile, which measures in one process"),
        (["--markdown", "page.md"], "--markdown is for --profile: leave it out"),
        (
            ["--profile", "--markdown", "no/page.md"],
            "--markdown is 'no/page.md', whose folder does not exist",
        ),
    ],
)
def test_wrong_arguments(run, arguments, words):
    result = run("compile", PROBLEM, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in " ".join(result.stderr.split())


def test_the_numba_engine_measures_from_nothing_and_keeps_nothing(run_json, monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    monkeypatch.setenv("CONVHUB_WORKSPACE_LIMIT", "0")  # plain loops, which compile soonest
    problems = ["forward_float32_n1c1h3w3_k1r3s3", "forward_float32_n1c1h4w4_k1r3s3"]
    report, code = run_json("compile", "--profile", *problems, "--backend", "numba")
    first, second = report["problems"]
    assert (code, first["compiled"], second["compiled"]) == (0, 6, 0)
    for kernel in first["kernels"]:
        assert sum(kernel["phases"].values()) == pytest.approx(kernel["seconds"])
        assert kernel["sizes"].keys() == {"IR lines", "code KB"}
    assert first["kernels"][-1]["name"].startswith("direct.kernels.")
    stops = next(row for row in report["helpers"] if row["name"] == "runtime.interrupts.told_to_stop")
    assert (stops["compiled"], stops["linked"]) == (1, stops["kernels"])
    assert not list(tmp_path.rglob("*.nbc"))
