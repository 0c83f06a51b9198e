"""The suite's tests as cases: what is planned for which backend, seeds, and what partial backends get."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import types
from collections import Counter

import numpy as np
import pytest
from support import toy_backend

from convhub import plugins
from convhub.backend import Capabilities, hookimpl
from convhub.conformance import author
from convhub.conformance.plan import planned
from convhub.conformance.problems import cases
from convhub.conformance.random_checks import random_findings
from convhub.conformance.report.xfails import Xfail, Xfails
from convhub.conformance.subjects import Subject, refuses_all, speed, subjects_of
from convhub.conformance.suite import NAMES, RANDOM, Case, cases_of
from convhub.conformance.verify import CHECKS, random_problems
from convhub.conformance.whole import WHOLE_CHECKS, check_whole
from convhub.problem import PRIMITIVES, Problem


@pytest.fixture
def register():
    """Return the function that registers the toy backend with some changes, and gives it as a subject."""
    names = []

    def register_(name, **changes):
        backend = dataclasses.replace(toy_backend.toy, name=name, **changes)
        plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [backend])), name)
        names.append(name)
        return subjects_of(name)[0]

    yield register_
    for name in names:
        plugins.unregister(name)


def partial(**changes):
    """Return changes that leave forward, float32 and kernels of 3x3."""

    def supports(problem):
        return problem.kernel_size == (3, 3) or "takes kernels of 3x3 only"

    capabilities = Capabilities(dtypes=("float32",), groups=False)
    left = {"grad_input": None, "grad_weight": None, "capabilities": capabilities, "supports": supports}
    return left | changes


def found(subject, level="quick", xfails=Xfails()):  # noqa: B008 - it cannot be changed
    """Run all cases of a level; return how often each outcome occurs, and what failed."""
    rows = []
    for case in cases_of(subject, level, 0, xfails):
        with contextlib.suppress(pytest.fail.Exception, pytest.skip.Exception, pytest.xfail.Exception):
            case()
        rows += case.done.rows
    return Counter(row.outcome for row in rows), [row for row in rows if row.outcome in ("failed", "xpassed")]


@pytest.mark.parametrize("level", author.LEVELS)
def test_each_level_has_every_primitive_and_every_check(toy, level):
    plan = planned(level, Subject(toy, "cpu"))
    assert {problem.primitive for problem in plan} == set(PRIMITIVES)
    assert {problem.dtype for problem in plan} == set(toy_backend.DTYPES)
    assert set().union(*plan.values()) == set(CHECKS)
    assert all(plan[problem][-1] == "after fork" for problem in cases.forked(("float32", "float64")))
    assert any(problem.macs > 10**6 for problem in plan)


def test_the_full_level_is_everything(toy):
    plan = planned("full", Subject(toy, "cpu"))
    for one in (
        cases.crossed(("float32", "float64", "complex64", "complex128", "int64")),
        cases.edges(("float32", "float64")),
        cases.large(("float32", "float64")),
    ):
        assert set(one) <= set(plan)
    assert len(planned("quick", Subject(toy, "cpu"))) < len(plan)


def test_names_of_checks_are_unambiguous():
    assert len(NAMES) == len(set(NAMES)) == len(CHECKS) + len(WHOLE_CHECKS)
    assert RANDOM not in NAMES


def test_a_partial_backend_passes_with_what_it_declines_counted(register):
    counts, failed = found(register("partial", **partial()))
    assert failed == []
    assert min(counts["passed"], counts["declined"], counts["skipped"]) > 20


def test_faults_of_a_partial_backend_are_found(register):
    def forward(x, w, bias, problem, options):
        y = toy_backend.forward(x, w, bias, problem, options)
        return y if problem.padding[0][0] == problem.padding[0][1] else np.roll(y, 1, 2)

    subject = register("partial", **partial(forward=forward))
    _, failed = found(subject)
    assert {row.check for row in failed} >= {"random data", "exact integers"}
    counts, failed = found(subject, xfails=Xfails("x", (Xfail("*", "asymmetric padding"),)))
    assert counts["xfailed"] > 0
    assert failed == []


def test_a_backend_that_takes_only_what_few_take_is_not_taken_for_absent(register):
    def pointwise(problem):
        return problem.kernel_size == (1, 1) or "takes kernels of 1x1 only"

    subject = register("pointwise", supports=pointwise)
    assert subject.missing is None
    assert speed(subject) > 0
    absent = register("absent", supports=lambda problem: "no driver")
    assert absent.missing == refuses_all(absent) == "no driver"
    (case,) = cases_of(absent, "quick", 0, Xfails())
    assert str(case) == "absent-availability"
    with pytest.raises(pytest.skip.Exception, match="no driver"):
        case()


def test_random_problems_follow_from_the_seed_and_the_declaration(register):
    subject = register("partial", **partial())

    def drawn(seed, count=8):
        return [(f.problem, f.seed) for f in random_findings(subject, seed, count, lambda finding: False)]

    one = drawn(0)
    assert one == drawn(0)
    assert one != drawn(1)
    problems = {problem for problem, _ in one}
    assert {(p.primitive, p.dtype, p.kernel_size, p.groups) for p in problems} == {
        ("forward", "float32", (3, 3), 1)
    }
    assert len(problems) > 4
    assert len({seed for _, seed in one}) > 4
    nothing = register("nothing", supports=lambda problem: f"takes nothing like {problem}")
    (finding,) = random_findings(nothing, 0, 5, lambda finding: False)
    assert (finding.outcome, finding.detail) == (
        "skipped",
        "no random problem was drawn that the backend takes",
    )


def test_what_random_problems_find_is_as_small_as_can_be_and_expected_failures_do_not_stop_them(register):
    def forward(x, w, bias, problem, options):
        y = toy_backend.forward(x, w, bias, problem, options)
        return np.nan_to_num(y) + (problem.stride[0] == 2)

    subject = register("wrong", forward=forward)
    findings = random_findings(subject, 0, 60, lambda finding: finding.check == "nonfinite")
    failed = [finding for finding in findings if finding.outcome == "failed"]
    last = str(failed[-1].problem)
    assert last == "forward_float32_n1c1h1w1_k1r1s1_stride2x1"
    assert {finding.problem for finding in failed if finding.check != "nonfinite"} == {failed[-1].problem}
    assert "nonfinite" in {finding.check for finding in failed}


def test_declared_problems_are_within_every_limit(register):
    capabilities = Capabilities(
        dtypes={"grad_input": ("float16",), "forward": ("int8", "float64")},
        groups=False,
        stride=False,
        dilation=False,
        padding=False,
    )
    register("narrow", capabilities=capabilities)
    problems = list(random_problems(60, seed=0, backend="narrow"))
    assert len(problems) == 60
    assert {(p.primitive, p.dtype) for p in problems} == {
        ("grad_input", "float16"),
        ("forward", "int8"),
        ("forward", "float64"),
    }
    assert all(capabilities.refusal(problem) is None for problem in problems)
    assert len({problem.kernel_size for problem in problems}) > 5


def test_what_fails_is_shown_on_the_smallest_problem_once(register):
    def forward(x, w, bias, problem, options):
        y = toy_backend.forward(x, w, bias, problem, options)
        return y + y.dtype.type(problem.dilation[1] > 1)

    subject = register("dilated_wrongly", **partial(forward=forward, supports=lambda problem: True))
    checks = ("random data", "exact integers")
    done = []
    for text in ("n2c4h11w13_k6r3s3_pad1x0_dilation2x3", "n3c2h9w9_k2r2s3_dilation1x2"):
        case = Case(subject, Problem.parse(f"forward_float32_{text}"), checks, "quick", 0, Xfails())
        with pytest.raises(pytest.fail.Exception, match="forward_float32_n"):
            case()
        done.append(case.done)
    assert [row.check for row in done[0].rows] == list(checks)
    (smaller,) = done[0].smallest
    assert (smaller.check, smaller.outcome) == ("random data", "failed")
    assert smaller.problem == "forward_float32_n1c1h1w1_k1r1s1_dilation1x2"
    assert done[1].smallest == []  # a search for this cause was made


def test_first_calls_of_several_threads_find_what_is_set_up_once(register):
    tables = []

    def forward(x, w, bias, problem, options):
        if not tables:
            tables.append(np.zeros(1, x.dtype))
            time.sleep(0.02)  # as long as it takes to load a library
            tables[0] += 1
        return toy_backend.forward(x * tables[0], w, bias, problem, options)

    subject = register("lazy", forward=forward)
    found = check_whole("first calls", subject)
    assert found.outcome == "failed"
    assert found.detail.endswith("; each thread made its first call then")
    assert check_whole("first calls", subject).outcome == "passed"
    declaration, first, *_ = cases_of(subject, "quick", 0, Xfails())  # no earlier case calls the backend
    assert (declaration.checks, first.checks) == (("declaration",), ("first calls",))


@pytest.mark.parametrize(
    ("changes", "check", "words"),
    [
        ({"forward": None, "grad_input": None, "grad_weight": None}, "declaration", "offers no primitive"),
        (
            {"capabilities": Capabilities(dtypes={"forward": ("float32",)})},
            "declaration",
            "offers grad_input, and declares no dtype for it",
        ),
        ({"supports": lambda problem: None}, "answers", "gave None; it must be True or a reason"),
        ({"supports": lambda problem: ""}, "answers", "gave ''; it must be True or a reason"),
        ({"algorithm": lambda problem, options: 7}, "answers", "gave 7; it must be a text"),
        ({"algorithm": lambda problem, options: 1 / 0}, "answers", "ZeroDivisionError"),
        ({"compile": lambda problem, options: None}, "answers", "gave None; it must be a number of kernels"),
        ({"compile": lambda problem, options: 3}, "answers", "gave 3 when called again; it must be 0"),
        ({"compile": lambda problem, options: 1 / 0}, "answers", "ZeroDivisionError"),
        (
            {"grad_weight": lambda *given: 2 * toy_backend.grad_weight(*given)},
            "gradients",
            "GradcheckError: ",
        ),
    ],
)
def test_checks_of_the_whole_backend_can_fail(register, changes, check, words):
    if check == "gradients":
        pytest.importorskip("torch")
    finding = check_whole(check, Subject(register("broken", **changes).backend, "cpu"))
    assert finding.outcome == "failed"
    assert words in finding.detail
    assert finding.problem is None
