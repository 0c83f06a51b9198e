"""Files of expected failures: what may stand in them, what they are about, and what an outdated one is."""

from __future__ import annotations

import re

import pytest

import convhub
from convhub import Problem
from convhub.conformance.report.rows import Done, judged
from convhub.conformance.report.stale_xfails import about_nothing, promises_of, unkept
from convhub.conformance.report.xfails import Xfail, Xfails, read_xfails
from convhub.conformance.subjects import Subject, subjects_of
from convhub.conformance.suite import NAMES
from convhub.conformance.verify import Finding

PADDED = Problem.parse("forward_n1c2h5w5_k2r3s3_pad1x1")
PLAIN = Problem.parse("forward_n1c2h5w5_k2r3s3")


@pytest.fixture
def read(tmp_path):
    """Return the function that reads a text as a file of expected failures."""

    def read_(text):
        path = tmp_path / "xfails.toml"
        path.write_text(text)
        return read_xfails(path, NAMES)

    return read_


def entry(check="nonfinite", problem="*", reason="known"):
    return Xfail(check, reason, problem)


def finding(check, outcome="passed", problem=PADDED):
    return Finding("mine", problem, check, outcome, None, "it is wrong" if outcome == "failed" else "")


def outcomes(findings, *entries, drawn=False):
    rows = judged(findings, Xfails("x.toml", entries), drawn)
    return [(row.check, row.outcome) for row in rows]


def test_what_may_stand_in_a_file(read):
    xfails = read(
        '[[xfail]]\ncheck = "nonfinite"\nproblem = "forward_float32_*"\nreason = "our issue 12"\n'
        '[[xfail]]\ncheck = "*"\nproblem = "forward_n1c2h5w5_k2r3s3_pad1"\nreason = "padding"\n'
        '[[xfail]]\ncheck = "gradients"\nreason = "not yet"\n'
    )
    assert xfails.entries == (
        Xfail("nonfinite", "our issue 12", "forward_float32_*"),
        # One problem may be written as it is written anywhere.
        Xfail("*", "padding", "forward_float32_n1c2h5w5_k2r3s3_pad1x1"),
        Xfail("gradients", "not yet"),
    )
    assert read("").entries == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[xfail]]\ncheck = 1\nreason = 'r'\n", "entry 1 is {'check': 1, 'reason': 'r'}: Expected `str`"),
        ("[[xfail]]\ncheck = 'adjoint'\n", "entry 1 has no reason; it must be a text that says why"),
        ("[[xfail]]\ncheck = 'adjoint'\nreason = ' '\n", "entry 1 has an empty reason"),
        ("[[xfail]]\nreason = 'r'\n", 'entry 1 has no check; it must be the name of a check, or "*": random'),
        (
            "[[xfail]]\ncheck='adjoint'\nreason='r'\n[[xfail]]\ncheck='nonfinit'\nreason='r'\n",
            "entry 2: check is 'nonfinit'; it must be \"*\" or one of random data, ",
        ),
        ("[[xfail]]\ncheck = 'nonfinit'\nreason = 'r'\n", "Did you mean 'nonfinite'?"),
        (
            "[[xfail]]\ncheck = '*'\nreason = 'r'\nproblems = '*'\n",
            "entry 1 has the key 'problems'; an entry has check, problem, reason. Did you mean 'problem'?",
        ),
        (
            "[[xfail]]\ncheck = '*'\nreason = 'r'\nproblem = 'forward_n1c3h8w8_k4r3s3_strde2'\n",
            "entry 1: problem is 'forward_n1c3h8w8_k4r3s3_strde2': ",
        ),
        ("[[xfails]]\ncheck = '*'\n", "has 'xfails' at the top; it must hold tables [[xfail]] only. Did you"),
        ("[xfail]\ncheck = '*'\n", "write each entry as a table [[xfail]]"),
        ("xfail = ['*']\n", "entry 1 is '*'; it must be a table [[xfail]]"),
        ("[[xfail]\n", "is not valid TOML"),
        ("[[xfail]]\ncheck='adjoint'\nreason='r'\n" * 2, "entry 2 is entry 1 once more"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_entry(read, tmp_path, text, words):
    with pytest.raises(convhub.ArgumentError) as caught:
        read(text)
    assert str(tmp_path / "xfails.toml") in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(convhub.ArgumentError, match=re.escape("none.toml cannot be read")):
        read_xfails(tmp_path / "none.toml", NAMES)


def test_a_failure_that_is_expected_is_none():
    found = [finding("nonfinite", "failed"), finding("adjoint", "failed"), finding("random data")]
    assert outcomes(found, entry()) == [
        ("nonfinite", "xfailed"),
        ("adjoint", "failed"),
        ("random data", "passed"),
    ]
    (row,) = judged(found[:1], Xfails("x.toml", (entry(),)), drawn=False)
    assert row.detail == "known [it is wrong]"
    assert row.command == f'convhub verify "{PADDED}" --backend mine --seed 0'
    assert outcomes(found[:1], entry(problem="*_pad*")) == [("nonfinite", "xfailed")]
    assert outcomes(found[:1], entry(problem="*_stride*")) == [("nonfinite", "failed")]


def test_an_expected_failure_of_one_problem_that_passes_is_one_of_its_own():
    exact = entry(problem=str(PADDED))
    assert outcomes([finding("nonfinite")], exact) == [("nonfinite", "xpassed")]
    (row,) = judged([finding("nonfinite")], Xfails("x.toml", (entry("adjoint"), exact)), drawn=False)
    assert row.detail == (
        f"passes, and was expected to fail by x.toml: entry 2, 'nonfinite' on '{PADDED}' (known); take the "
        "entry out, or narrow its problem"
    )
    # What was skipped passes nothing; what is random is not known beforehand; a pattern is about others too.
    assert outcomes([finding("nonfinite", "skipped")], exact) == [("nonfinite", "skipped")]
    assert outcomes([finding("nonfinite")], exact, drawn=True) == [("nonfinite", "passed")]
    assert outcomes([finding("nonfinite", "failed")], exact, drawn=True) == [("nonfinite", "xfailed")]
    assert outcomes([finding("nonfinite")], entry()) == [("nonfinite", "passed")]


def test_an_entry_for_any_check_is_kept_by_one_failure():
    exact = entry("*", str(PADDED))
    found = [finding("nonfinite", "failed"), finding("adjoint")]
    assert outcomes(found, exact) == [("nonfinite", "xfailed"), ("adjoint", "passed")]
    passed = [finding("nonfinite"), finding("adjoint")]
    assert outcomes(passed, exact) == [("nonfinite", "passed"), ("adjoint", "passed"), ("*", "xpassed")]


def test_a_pattern_is_kept_by_one_failure_in_the_whole_run(toy):
    pattern, one = entry(problem="forward_*"), entry(problem=str(PADDED))
    promises = promises_of(subjects_of(toy), Xfails("x.toml", (pattern, one)))
    assert [promise.possible for promise in promises] == [True, False]

    def run(*findings, drawn=False, backend=toy):
        xfails = Xfails("x.toml", (pattern,))
        return [Done("toy", backend, "full", 0, drawn, judged([f], xfails, drawn)) for f in findings]

    passed, failed = finding("nonfinite"), finding("nonfinite", "failed", PLAIN)
    (stale,) = unkept(promises, run(passed, finding("adjoint", "failed")))
    (row,) = stale.rows
    assert (row.check, row.problem, row.outcome) == ("nonfinite", "forward_*", "xpassed")
    assert "expected to fail by x.toml: entry 1, 'nonfinite' on 'forward_*' (known); take" in row.detail
    assert list(unkept(promises, run(passed, failed))) == []
    assert list(unkept(promises, [*run(passed), *run(failed, drawn=True)])) == []
    # Nothing of it ran, or only what was drawn, or only on another backend.
    for done in (run(finding("nonfinite", "skipped")), run(passed, drawn=True), run(passed, backend="other")):
        assert list(unkept(promises, done)) == []
    # An entry may be about random problems alone, if one of them fails.
    name = f"x.toml: entry 2, 'nonfinite' on '{PADDED}' (known)"
    assert about_nothing(promises, run(passed, drawn=True)) == [name]
    xfailed = Done(
        "toy", toy, "full", 0, True, judged([finding("nonfinite", "failed")], Xfails("x", (one,)), True)
    )
    assert about_nothing(promises, [xfailed]) == []


def test_checks_of_the_whole_backend_are_meant_by_name_only():
    assert outcomes([finding("gradients", "failed", None)], entry("*")) == [("gradients", "failed")]
    assert outcomes([finding("gradients", "failed", None)], entry("gradients")) == [("gradients", "xfailed")]
    (row,) = judged([finding("light import", "failed", None)], Xfails(), drawn=False)
    assert row.command == (
        "pytest --pyargs convhub.conformance --convhub-backend mine --convhub-seed 0 -k light_import"
    )


def test_entries_that_are_about_nothing_are_found_at_every_level(toy):
    here = entry(problem="grad_weight_float32_*")
    nowhere = entry(problem="forward_float8_*")
    undeclared = entry(problem="*_float16_*")
    whole = entry("declaration")
    only_large = entry(problem="*c257h11w13*", check="many callers")
    not_made_there = entry(problem="*c257h11w13*", check="adjoint")
    found = Xfails("x", (here, nowhere, undeclared, whole, only_large, not_made_there))
    promises = promises_of(subjects_of(toy), found)
    assert [p.entry for p in promises if not p.possible] == [nowhere, undeclared, not_made_there]
    # Where the backend cannot run, nothing is known of it.
    assert all(p.possible for p in promises_of([Subject(toy, "cpu", "no driver")], found))
