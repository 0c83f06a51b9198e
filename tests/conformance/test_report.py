"""Reports of the suite: what stands in them, that JSON keeps it, and what changed from one to the next."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

import convhub
from convhub.conformance.report.compare import Change, Growth, compare
from convhub.conformance.report.findings import SCHEMA, build_report, read_report
from convhub.conformance.report.lines import report_lines, summary_of
from convhub.conformance.report.rows import Done, Row
from convhub.versioned_json import write_json

PROBLEM = "forward_float32_n1c2h5w5_k2r3s3"
OTHER = "grad_weight_float64_n1c2h5w5_k2r3s3"


def row(check="random data", outcome="passed", ratio=None, problem=PROBLEM, detail=""):
    primitive, _, dtype = problem.partition("_float")
    return Row(problem, primitive, f"float{dtype[:2]}", check, outcome, ratio, detail, f"verify {problem}")


def report(*rows, drawn=(), errors=(), level="full", seed=0):
    done = [Done("naive", "naive", level, seed, False, [one]) for one in rows]
    done += [Done("naive", "naive", level, seed, True, [one]) for one in drawn]
    return build_report(done, errors, 1.25)


def test_what_stands_in_a_report(tmp_path):
    found = report(
        row(ratio=0.25),
        row(ratio=0.75),
        row("adjoint", "failed", math.inf, OTHER, "far off"),
        row("nonfinite", "skipped", detail="no NaN"),
        row("every check", "declined", problem=OTHER, detail="takes no float64"),
        row("any layout", "xfailed", 2.0, detail="known"),
    )
    path = tmp_path / "report.json"
    write_json(found, path)
    assert read_report(path) == found
    written = json.loads(path.read_text())
    assert written["schema"] == SCHEMA == 1
    assert written["convhub"] == found.machine.versions["convhub"]
    assert {"python", "numpy"} <= written["machine"]["versions"].keys()
    assert written["machine"]["cpu"]
    assert written["date"].startswith("20")
    (tested,) = written["tested"]
    assert (tested["backend"], tested["distribution"], tested["level"], tested["seed"]) == (
        "naive",
        "convhub",
        "full",
        0,
    )
    assert tested["counts"] == {
        "passed": 2,
        "failed": 1,
        "declined": 1,
        "skipped": 1,
        "xfailed": 1,
        "xpassed": 0,
    }
    assert tested["worst"] == {"float32": {"forward": 2.0}, "float64": {"grad_weight": None}}
    assert tested["reasons"] == {"declined": {"takes no float64": 1}, "skipped": {"no NaN": 1}}
    assert [noted["command"] for noted in tested["noted"]] == [f"verify {OTHER}", f"verify {PROBLEM}"]
    assert tested["results"][PROBLEM] == {
        "random data": "passed",
        "nonfinite": "skipped",
        "any layout": "xfailed",
    }
    assert found.failed
    assert not report(row(), row("x", "xfailed")).failed
    assert report(row("x", "xpassed")).failed
    assert report(errors=["no such entry"]).failed


def test_a_report_in_lines():
    found = report(
        row(ratio=0.25),
        row("adjoint", "failed", math.nan, OTHER, "far off"),
        row("nonfinite", "xpassed", detail="passes, and was expected to fail"),
        row("every check", "declined", problem=OTHER, detail="takes no float64"),
        errors=["entry 3 is about nothing"],
    )
    lines = dict(report_lines(found))
    assert summary_of(found.tested[0]) == (
        "1 checks passed, 1 failed, 1 passed against expectation, 1 problems declined, 0 checks skipped"
    )
    assert lines[f"naive: {summary_of(found.tested[0])}"] is False
    assert lines["  declined 1: takes no float64"] is None
    assert lines["  failed 1: adjoint"] is False
    assert lines[f"  xpass: nonfinite on {PROBLEM} passes, and was expected to fail"] is False
    assert any(line.startswith("  float64 ") and line.endswith(" infinite") for line in lines)
    assert lines["error: entry 3 is about nothing"] is False
    good = report(row(), row("nonfinite", "xfailed"))
    assert summary_of(good.tested[0]) == (
        "1 checks passed, 0 failed, 1 failed as expected, 0 problems declined, 0 checks skipped"
    )
    assert next(report_lines(good))[1] is True


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it must be what `convhub conformance --json` wrote"),
        ("[]", "it must be what `convhub conformance --json` wrote"),
        ("{}", "whose schema is none; it must be 1"),
        ('{"schema": 2}', "whose schema is 2; it must be 1"),
        (
            '{"schema": 1}',
            "`convhub conformance --json` wrote: Object missing required field",
        ),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text, words):
    path = tmp_path / "old.json"
    path.write_text(text)
    with pytest.raises(convhub.ArgumentError) as caught:
        read_report(path)
    assert f"the report is {str(path)!r}" in str(caught.value)
    assert words in str(caught.value)
    with pytest.raises(convhub.ArgumentError, match="cannot be read"):
        read_report(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("before", "after", "list_"),
    [
        ("passed", "failed", "failing"),
        ("skipped", "failed", "failing"),
        (None, "failed", "failing"),
        ("xfailed", "failed", "failing"),
        ("passed", "xfailed", "expected"),
        ("failed", "passed", "passing"),
        ("xfailed", "xpassed", "passing"),
        ("passed", "skipped", "skipped"),
        ("failed", "skipped", "skipped"),
        ("failed", "failed", None),
        ("failed", "xfailed", None),
        ("skipped", "passed", None),
        (None, "passed", None),
        (None, "skipped", None),
        ("passed", "passed", None),
    ],
)
def test_what_changed(before, after, list_):
    others = [row("adjoint"), row("adjoint", problem=OTHER)]
    earlier = report(*others, *([] if before is None else [row(outcome=before)]))
    found = compare(earlier, report(*others, row(outcome=after)))
    lists = {name: getattr(found, name) for name in ("failing", "expected", "passing", "skipped")}
    change = Change("naive", PROBLEM, "random data", before or "", after)
    assert lists == {name: [change] if name == list_ else [] for name in lists}
    assert found.notes == found.grown == []


def test_a_problem_that_is_no_longer_taken_is_one_line():
    earlier = report(row(), row("adjoint"))
    later = report(row("every check", "declined", detail="not any more"))
    assert compare(earlier, later).skipped == [
        Change("naive", PROBLEM, "every check", "passed", "declined"),
    ]
    assert compare(later, earlier).skipped == []


def test_random_problems_that_fail_are_new_unless_they_failed_before():
    failing = row(outcome="failed", problem=OTHER)
    earlier, later = report(row()), report(row(), drawn=[failing, row("adjoint", problem=OTHER)])
    assert compare(earlier, later).failing == [Change("naive", OTHER, "random data", "", "failed")]
    assert compare(later, later).failing == []


def test_worst_errors_that_grew():
    earlier = report(row(ratio=0.2), row(ratio=0.2, problem=OTHER), row("x", ratio=0.0))
    for ratio, grown in ((0.39, []), (0.41, [0.41]), (math.inf, [None])):
        found = compare(earlier, report(row(ratio=ratio), row(ratio=0.1, problem=OTHER)))
        assert found.grown == [Growth("naive", "float32", "forward", 0.2, one) for one in grown]


def test_reports_that_differ_from_the_start_say_so():
    earlier = report(row(), row(problem=OTHER), level="full", seed=1)
    found = compare(earlier, report(row(), level="quick"))
    assert found.notes == [
        "naive: level was full, and is quick",
        "naive: seed was 1, and is 0",
        "naive: 1 checks of the earlier report are of problems not tried now",
    ]
    machine = dataclasses.replace(earlier.machine, cpu="an abacus")
    found = compare(dataclasses.replace(earlier, machine=machine), earlier)
    assert found.notes == ["the earlier report is from another machine: an abacus"]
    tested = dataclasses.replace(earlier.tested[0], subject="mine")
    with pytest.raises(convhub.ArgumentError, match="the earlier report is of mine; it must be of naive"):
        compare(dataclasses.replace(earlier, tested=[tested]), earlier)
