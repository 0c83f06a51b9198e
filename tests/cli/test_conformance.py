"""`convhub conformance`: the suite as a command, undisturbed by whatever lies in the folder."""

from __future__ import annotations

import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from support import third_party
from support.third_party import NARROW

#: Whatever could disturb a run of pytest, or of Python.
HOSTILE = {
    "pytest.ini": "[pytest]\naddopts = --no-such-option\n",
    "conftest.py": "raise RuntimeError('a conftest of somebody else')\n",
    "random.py": "raise RuntimeError('no module of Python')\n",
    "convhub.toml": "fallback = true\n",
}

LAST_ROW_LOST = """
def forward(x, w, bias, problem, options):
    y = toy_backend.forward(x, w, bias, problem, options)
    if problem.stride != (1, 1):
        y[..., -1, :] = 0
    return y
"""

DIES = """
def forward(x, w, bias, problem, options):
    import os
    if problem.groups > 1:
        os._exit(3)
    return toy_backend.forward(x, w, bias, problem, options)
"""

ABSENT = """
@hookimpl
def convhub_backends():
    toy = toy_backend.toy
    return [dataclasses.replace(toy, name=NAME, availability=lambda: "no driver")]
"""


@pytest.fixture
def conformance(tmp_path):
    """Return the function that runs the command on a third-party backend *mine*, in a hostile folder."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name, text in HOSTILE.items():
        (folder / name).write_text(text)

    def conformance_(*arguments, sources=()):
        third_party.install(tmp_path, "mine", NARROW, *sources)
        # Safe path: as the program `convhub` runs, without the folder among those from which modules come.
        hostile = {"PYTEST_ADDOPTS": "--nonsense", "PYTEST_PLUGINS": "nobody", "PYTHONSAFEPATH": "1"}
        return third_party.run(tmp_path, "convhub.cli", "conformance", *arguments, cwd=folder, **hostile)

    conformance_.folder = folder
    return conformance_


def test_a_right_backend_then_a_fault_and_what_changed(conformance):
    good, junit = conformance.folder / "good.json", conformance.folder / "junit.xml"
    ran = conformance("mine", "--level", "quick", "--json", "good.json", "--junit", "junit.xml")
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    report = json.loads(good.read_text())
    (tested,) = report["tested"]
    counts = tested["counts"]
    assert (counts["failed"], counts["xpassed"], report["errors"]) == (0, 0, [])
    assert min(counts["passed"], counts["declined"], counts["skipped"]) > 10
    lines = ran.stdout.splitlines()
    assert lines[0].startswith(f"convhub {report['convhub']}")
    assert "numpy " in lines[0]
    assert report["machine"]["cpu"] in lines[1]
    assert f"mine: {counts['passed']} checks passed, 0 failed, {counts['declined']} problems " in ran.stdout
    assert "convhub-mine 1.0; level quick, seed 0" in lines
    assert any(line.startswith(" random data ") for line in lines)
    assert any(line.startswith(" float32 ") for line in lines)
    reason = "takes kernels of 3x3 only"
    assert f"declined {tested['reasons']['declined'][reason]}: {reason}" in lines
    suite = ElementTree.parse(junit).getroot()[0]
    assert suite.attrib["failures"] == "0"
    assert int(suite.attrib["tests"]) > int(suite.attrib["skipped"]) > 10
    assert not suite.findall(".//property")

    arguments = ("mine", "--level", "quick", "--compare", "good.json", "--seed", "5", "--processes", "2")
    ran = conformance(*arguments, sources=[LAST_ROW_LOST])
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "FAILED random data: random operands: the error at " in ran.stdout
    commands = [line for line in ran.stdout.splitlines() if line.endswith(" --backend mine --seed 5")]
    assert commands[0].startswith('  convhub verify "forward_float32_')
    assert "mine: seed was 0, and is 5" in ran.stdout
    assert " newly failing\n" in ran.stdout
    assert "  mine exact integers on forward_float32_" in ran.stdout
    assert ": passed, now failed\n" in ran.stdout


def test_a_backend_that_ends_the_process_is_named_with_the_problem(conformance):
    files = ("--json", "dead.json", "--junit", "dead.xml")
    ran = conformance("mine", "--level", "quick", *files, sources=[DIES])
    assert (ran.returncode, ran.stderr) == (1, "")
    where = (
        r"test_conformance\.py::test_conformance\[mine-(forward_float32_\S+_groups\d\S*|random_problems)\]"
    )
    message = f"the suite's process ended with status 3 while it ran {where}; "
    assert re.search(f"^ERROR {message}", ran.stdout, re.MULTILINE)
    # What was found until then is not lost, and all say the same.
    report = json.loads((conformance.folder / "dead.json").read_text())
    assert re.match(message, report["errors"][0])
    assert report["tested"][0]["counts"]["passed"] > 10
    (error,) = ElementTree.parse(conformance.folder / "dead.xml").getroot().iter("error")
    assert re.match(message, error.attrib["message"])
    # Of several processes the others go on.
    ran = conformance("mine", "--level", "quick", "--processes", "2", sources=[DIES])
    assert ran.returncode == 1
    assert " checks passed, 0 failed, " in ran.stdout
    assert re.search(f"^ERROR {where}: ", ran.stdout, re.MULTILINE)
    assert re.search(f"^worker 'gw[01]' crashed while running '{where}'$", ran.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("option", "code"),
    [("--timeout", "import time; time.sleep(1000)"), ("--total-timeout", "while True: pass")],
)
def test_a_backend_that_hangs_is_ended_and_named_with_the_problem(conformance, option, code):
    hangs = f"""
def forward(x, w, bias, problem, options):
    if problem.groups > 1:
        {code}
    return toy_backend.forward(x, w, bias, problem, options)
"""
    ran = conformance("mine", "--level", "quick", option, "8", "--junit", "late.xml", sources=[hangs])
    assert (ran.returncode, ran.stderr) == (1, "")
    late = "the suite's process ended since a test, or the run, took longer than its limit while it ran test_"
    assert f"ERROR {late}" in ran.stdout
    assert "convhub_mine.py" in ran.stdout  # the frames of its author
    (error,) = ElementTree.parse(conformance.folder / "late.xml").getroot().iter("error")
    assert error.attrib["message"].startswith(late)


def test_a_run_is_narrowed_down_to_checks_and_problems_and_has_a_badge(conformance):
    what = ("--only", "random data", "--only", "adjoint", "--problem", "forward_float32_n?c*_k*r3s3*")
    ran = conformance(
        "mine", "numpy", "--level", "quick", *what, "--json", "few.json", sources=[LAST_ROW_LOST]
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    mine, numpy = json.loads((conformance.folder / "few.json").read_text())["tested"]
    assert (mine["backend"], numpy["backend"]) == ("mine", "numpy")
    assert 0 < len(mine["results"]) < 40
    assert {check for found in mine["results"].values() for check in found} <= {"random data", "adjoint"}

    problem = "forward_float32_n5c2h41w43_k2r3s3"
    ran = conformance("mine", "--problem", problem, "-x", "--badge", "mine.svg")
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout + ran.stderr
    badge = json.loads((conformance.folder / "mine.json").read_text())
    assert badge["message"].startswith("mine: full: ")
    assert badge["color"] == "brightgreen"
    assert (conformance.folder / "mine.svg").read_text().startswith("<svg ")

    ran = conformance("mine", "--problem", "grad_*")
    assert ran.returncode == 1
    assert "ERROR nothing was checked on mine\n" in ran.stdout


def test_nothing_checked_is_no_success(conformance):
    ran = conformance("mine", sources=[ABSENT])
    assert ran.returncode == 1
    assert "skipped 1: no driver\n" in ran.stdout
    assert "ERROR nothing was checked on mine\n" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["toi"], "backend is 'toi' (from NAME); registered backends: "),
        (["auto"], "NAME is 'auto'; it must be the name of a backend"),
        (["toy", "--json", "no/where.json"], "--json is 'no/where.json', whose folder does not exist"),
        (["toy", "--junit", "no/where.xml"], "--junit is 'no/where.xml', whose folder does not exist"),
        (["toy", "--xfails", "none.toml"], "none.toml cannot be read"),
        (["toy", "--compare", "none.json"], "the report is 'none.json', which cannot be read"),
        (["toy", "--timeout", "0"], "--timeout is 0; it must be more than 0"),
        (["toy", "--only", "randm data"], "the check is 'randm data'; it must be one of random data, "),
        (["toy", "--problem", "forwards_n1"], "forwards_n1"),
        (["toy", "--badge", "no/where.svg"], "--badge is 'no/where.svg', whose folder does not exist"),
        (["toy", "--badge", "badge.png"], "--badge is 'badge.png'; it must end in .svg"),
        (["toy", "naive", "--badge", "b.svg"], "--badge is 'b.svg', for 2 backends; a badge is of one"),
        (["toy", "--seed", "-1"], "Error: "),
        (["toy", "--level", "slow"], "Error: "),
        ([], "Error: "),
    ],
)
def test_what_was_written_wrongly_is_said_before_anything_runs(run, toy, arguments, words):
    result = run("conformance", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_a_report_of_another_backend_is_not_compared_with(run, toy, tmp_path):
    from convhub.conformance.report.findings import build_report
    from convhub.conformance.report.rows import Done
    from convhub.versioned_json import write_json

    path = tmp_path / "other.json"
    write_json(build_report([Done("naive", "naive", "full", 0, False, [])], [], 0.0), path)
    result = run("conformance", "toy", "--compare", str(path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: --compare is {str(path)!r}, a report of naive; it must be of toy\n"


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [
        ("pytest", "the suite needs pytest: pip install 'convhub[conformance]'"),
        ("hypothesis", "the suite needs hypothesis: pip install 'convhub[conformance]'"),
        ("xdist", "--processes needs xdist: pip install 'pytest-xdist'"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_brings_it(run, toy, monkeypatch, missing, remedy):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    result = run("conformance", "toy", "--processes", "2")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"Error: {remedy}\n")
