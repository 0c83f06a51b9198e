"""The suite in an author's test folder: three lines, run by pytest in processes of its own."""

from __future__ import annotations

import json
import re

import pytest
from support import third_party
from support.third_party import NAN_LOST, NARROW

from convhub.conformance.problems.cases import edges, large
from convhub.conformance.subjects import BOTH

THREE_LINES = """
from convhub.conformance import conformance_cases
@conformance_cases({arguments})
def test_conformance(case):
    case()
"""

KNOWN = '[[xfail]]\ncheck = "nonfinite"\nproblem = "*_pad*"\nreason = "NaN is lost in padding"\n'


@pytest.fixture
def folder(tmp_path):
    """Install backend *mine*, which loses NaN where there is padding, beside a test folder."""
    third_party.install(tmp_path, "mine", NARROW, NAN_LOST)
    (tmp_path / "tests").mkdir()
    return tmp_path


def run_pytest(folder, arguments, *options):
    (folder / "tests" / "test_mine.py").write_text(THREE_LINES.format(arguments=arguments))
    return third_party.run(folder, "pytest", "-p", "no:cacheprovider", "-q", *options, "tests")


def test_known_failures_in_another_process(folder):
    (folder / "tests" / "known.toml").write_text(KNOWN)
    report = folder / "report.json"
    options = ["-n", "1", "--convhub-report", str(report), "--convhub-seed", "3", "-W", "error"]
    ran = run_pytest(folder, '"mine", level="quick", xfails="known.toml"', *options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " xfailed" in ran.stdout
    assert " skipped" in ran.stdout
    assert "mine: " in ran.stdout.partition("convhub conformance")[2]
    (tested,) = json.loads(report.read_text())["tested"]
    assert (tested["level"], tested["seed"], tested["version"]) == ("quick", 3, "1.0")
    counts = tested["counts"]
    assert counts["failed"] == counts["xpassed"] == 0
    assert min(counts["passed"], counts["xfailed"], counts["declined"], counts["skipped"]) > 0
    assert {row["check"] for row in tested["noted"]} == {"nonfinite"}
    assert all("_pad" in row["problem"] for row in tested["noted"])
    assert any(row["command"].endswith(" --backend mine --seed 3") for row in tested["noted"])


def test_what_fails_what_passes_unexpectedly_and_what_is_about_nothing(folder):
    known = folder / "tests" / "known.toml"
    padded, plain = "forward_float32_n1c2h3w15_k2r3s3_pad1x1", "forward_float32_n1c1h7w9_k1r3s3"
    patterns = (padded, plain.replace("r3s3", "r2s3"), plain, "*_int8_*")
    known.write_text("".join(KNOWN.replace("*_pad*", one) for one in patterns))
    ran = run_pytest(folder, '"mine", xfails="known.toml"', "-k", "mine-forward_float32 and r3s3", "-rx")
    assert ran.returncode == 1
    assert f"XFAIL tests/test_mine.py::test_conformance[mine-{padded}]" in ran.stdout
    # Not in the file.
    assert "nonfinite: nan in input: the result at " in ran.stdout
    assert '  convhub verify "forward_float32_n1c17h5w6_k17r3s3_pad1x1" --backend mine' in ran.stdout
    reason = "(NaN is lost in padding)"
    assert f"nonfinite: passes, and was expected to fail by {known}: entry 3, 'nonfinite' on" in ran.stdout
    assert f"error: {known}: entry 4, 'nonfinite' on '*_int8_*' {reason} is about nothing that" in ran.stdout
    assert f"error: {known}: entry 2, 'nonfinite' on '{patterns[1]}' {reason} is about nothing" in ran.stdout
    assert f"error: {known}: entry 1" not in ran.stdout


def test_a_pattern_of_which_nothing_fails_fails_a_whole_run_from_another_process(folder):
    (folder / "tests" / "known.toml").write_text(KNOWN.replace("*_pad*", "*_k?r3s3"))
    options = ["-n", "1", "--convhub-level", "quick"]
    ran = run_pytest(folder, '"mine", xfails="known.toml"', *options, "-k", "declaration or answers")
    assert ran.returncode == 0, ran.stdout  # what else there is did not run
    broken = (
        "forward(x, w, bias, problem, options):\n    return toy_backend.forward(x, w, bias, problem, options)"
    )
    third_party.install(folder, "mine", NARROW, f"def {broken}")
    ran = run_pytest(folder, '"mine", xfails="known.toml"', *options)
    assert ran.returncode == 1, ran.stdout
    assert " failed, " not in ran.stdout.splitlines()[-1]
    assert "1 passed against expectation" in ran.stdout
    assert "  xpass: nonfinite on *_k?r3s3 passes, and was expected to fail by " in ran.stdout


def test_options_of_pytest_are_stronger_than_the_decorator(folder):
    listed = run_pytest(folder, '"mine", level="quick"', "--collect-only", "--convhub-level", "full").stdout
    names = re.findall(r"^tests/test_mine.py::test_conformance\[mine-(.*)\]$", listed, re.MULTILINE)
    assert names[0] == "declaration"
    assert names[-1] == "random_problems"
    assert {str(problem) for problem in [*edges(BOTH), *large(BOTH)]} <= set(names)


def test_a_backend_that_is_not_there_is_an_error_of_collection(folder):
    ran = run_pytest(folder, '"mien"')
    assert ran.returncode == 2
    assert "test_conformance: backend is 'mien' (from conformance_cases); registered backends:" in ran.stdout
    assert "Did you mean 'mine'?" in ran.stdout
    assert "Traceback" not in ran.stdout
