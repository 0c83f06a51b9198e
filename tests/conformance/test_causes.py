"""Failures with one cause are folded, and the smallest problem stands first."""

from __future__ import annotations

from convhub.cli.conformance_report import others_of
from convhub.conformance.report.causes import causes
from convhub.conformance.report.rows import Row

SMALL, LARGE = "forward_float32_n1c1h2w2_k1r1s1", "forward_float32_n2c8h9w9_k8r3s3"


def failed(problem, check="random data", detail="the error at (0, 1, 2, 3) is 2.5e+03 times its bound"):
    return Row(problem, "forward", "float32", check, "failed", None, detail, f"convhub verify {problem}")


def test_the_checks_of_one_problem_are_one_failure():
    rows = [failed(SMALL), failed(SMALL, "adjoint", "far off"), failed(SMALL, "any layout", "wrong")]
    (cause,) = causes(rows)
    assert cause.first == rows[0]
    assert others_of(cause) == "and 2 more checks: adjoint, any layout"


def test_problems_that_fail_alike_are_folded_and_the_smallest_is_shown():
    rows = [
        failed(LARGE),
        failed(LARGE, "adjoint"),
        failed(SMALL, detail="the error at (0, 0, 0, 1) is inf times its bound"),
    ]
    (cause,) = causes(rows)
    assert cause.first.problem == SMALL
    assert others_of(cause) == "and on 1 more problem"


def test_other_words_are_another_cause_but_other_numbers_and_problems_are_not():
    rows = [
        failed(LARGE, detail=f"ValueError: no room for {LARGE}, of -3 bytes"),
        failed(SMALL, detail=f"ValueError: no room for {SMALL}, of 12 bytes"),
        failed("forward_float32_n1c2h2w2_k1r1s1", detail="ValueError: no such group"),
        failed("forward_float32_n1c3h2w2_k1r1s1", "nonfinite", detail="ValueError: no such group"),
    ]
    found = [(cause.first.problem, cause.problems) for cause in causes(rows)]
    assert found == [(SMALL, 1), (rows[2].problem, 0), (rows[3].problem, 0)]


def test_a_smaller_problem_stands_in_place_of_those_of_the_suite():
    rows = [failed(LARGE), failed(LARGE, "adjoint"), failed(LARGE, "nonfinite", "must not be finite")]
    (cause,) = causes(rows, [failed(SMALL, detail="the error at (0, 0, 0, 0) is 9 times its bound")])
    assert cause.first.problem == SMALL
    assert others_of(cause) == "and 2 more checks: adjoint, nonfinite; and on 1 more problem"
    (cause,) = causes(rows, [failed(SMALL, "adjoint")])
    assert cause.first.problem == LARGE


def test_checks_of_the_whole_backend_stand_for_themselves_and_first():
    rows = [failed(SMALL), failed("", "declaration", "no dtype"), failed("", "answers", "no dtype")]
    found = causes(rows)
    assert [cause.first.check for cause in found] == ["declaration", "answers", "random data"]
    assert others_of(found[0]) == ""
