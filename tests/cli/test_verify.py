"""`convhub verify`."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex

import pytest
from support import toy_backend

from convhub import Problem
from convhub.backend import Capabilities
from convhub.cli.verify_report import Tally, tally_row
from convhub.conformance import verify as conformance

PROBLEM = "forward_float32_n2c4h9w8_k6r3s2_stride2x1_pad1-2x0_groups2"


def test_a_right_backend_passes(run, run_json, toy, only_by_hand):
    result = run("verify", PROBLEM, "--backend", "toy")
    assert result.exit_code == 0, result.stdout
    assert result.stderr == ""
    found, code = run_json("verify", PROBLEM, "--backend", "toy")
    tally = found["backends"]["toy"]
    assert (code, found["seed"], tally["failed"], tally["failures"]) == (0, 0, 0, [])
    findings = conformance.verify(Problem.parse(PROBLEM), "toy", 0)
    for outcome in ("passed", "failed", "skipped"):
        assert tally[outcome] == sum(finding.outcome == outcome for finding in findings)
    assert list(tally["checks"]) == list(dict.fromkeys(finding.check for finding in findings))
    assert 0 < max(check["worst_ratio"] or 0 for check in tally["checks"].values()) <= 1
    assert f"toy: {tally['passed']} passed, 0 failed, {tally['skipped']} skipped\n" in result.stdout


def test_a_wrong_backend_fails_with_commands_that_repeat_it(run, run_json, toy, wrong, only_by_hand):
    found, code = run_json("verify", PROBLEM, "--seed", "7")
    assert code == 1
    assert found["backends"]["toy"]["failed"] == 0
    failures = found["backends"]["wrong"]["failures"]
    assert len(failures) == found["backends"]["wrong"]["failed"] > 0
    result = run("verify", PROBLEM, "--seed", "7")
    assert result.exit_code == 1
    assert f"FAILED wrong {failures[0]['check']}: " in result.stdout
    for failure in failures:
        assert failure["problem"] == PROBLEM
        program, *arguments = shlex.split(failure["command"])
        assert program == "convhub"
        repeated, code = run_json(*arguments)
        assert code == 1
        assert failure["check"] in [row["check"] for row in repeated["backends"]["wrong"]["failures"]]
    assert f"\n  {failures[0]['command']}\n" in result.stdout


def test_random_problems_are_those_of_the_seed(run_json, toy, only_by_hand, monkeypatch):
    seen = []
    real = conformance.verify

    def spy(problem, backend, seed=0):
        seen.append((problem, backend, seed))
        return real(problem, backend, seed)

    monkeypatch.setattr(conformance, "verify", spy)
    found, code = run_json("verify", "--random", "6", "--seed", "3")
    assert code == 0, found
    assert seen == [(problem, "toy", 3) for problem in conformance.random_problems(6, 3, backend="toy")]
    assert found["backends"]["toy"]["passed"] > 0


def test_random_problems_are_moved_to_the_device_of_the_backend(run_json, plugin, only_by_hand, monkeypatch):
    capabilities = Capabilities(dtypes=toy_backend.DTYPES, devices=("cuda",))
    plugin("gpu_plugin", dataclasses.replace(toy_backend.toy, name="gpu", capabilities=capabilities))
    devices = []

    def spy(problem, backend, seed=0):
        devices.append(problem.device)
        return [conformance.Finding(backend, problem, "bound", "passed", 0.5, "")]

    monkeypatch.setattr(conformance, "verify", spy)
    assert run_json("verify", "--random", "2")[1] == 0
    assert run_json("verify", PROBLEM)[1] == 0
    assert devices == ["cuda", "cuda", "cpu"]


NARROW = """of very many random problems, 'narrow' takes only"""


def test_random_problems_are_those_that_a_narrow_backend_takes(run, run_json, plugin, only_by_hand):
    """What most problems are declined for, by declaration or by `supports`, must not be what is drawn."""
    capabilities = Capabilities(dtypes=("float32",), groups=False, stride=False, dilation=False)

    def supports(problem):
        return problem.kernel_size == (3, 3) or "takes kernels of 3x3 only"

    narrow = dataclasses.replace(
        toy_backend.toy,
        name="narrow",
        capabilities=dataclasses.replace(capabilities, asymmetric_padding=False),
        grad_input=None,
        grad_weight=None,
        supports=supports,
    )
    plugin("narrow_plugin", narrow)
    found, code = run_json("verify", "--random", "8", "--backend", "narrow")
    tally = found["backends"]["narrow"]
    assert (code, tally["checks"]["random data"]["passed"]) == (0, 8)
    assert "every check" not in tally["checks"]
    assert {p.padding for p in conformance.random_problems(50, 1, backend="narrow")} != {((0, 0), (0, 0))}


def test_a_backend_that_takes_almost_nothing_is_said_to(run, plugin, only_by_hand, monkeypatch):
    def one_in_some(problem):
        return problem.batch == 2 or "takes two images"

    def none(problem):
        return "takes nothing"

    monkeypatch.setattr(conformance, "DRAWS", 1)
    plugin("narrow_plugin", dataclasses.replace(toy_backend.toy, name="narrow", supports=one_in_some))
    result = run("verify", "--random", "20", "--seed", "0", "--backend", "narrow")
    assert result.exit_code == 0, result.stdout
    assert f"Warning: {NARROW} " in result.stderr
    plugin("nothing_plugin", dataclasses.replace(toy_backend.toy, name="nothing", supports=none))
    result = run("verify", "--random", "5", "--backend", "nothing")
    assert result.exit_code == 1
    assert "skipped 1: takes nothing\n" in result.stdout
    assert result.stderr == "Error: nothing was checked on nothing: every check was skipped\n"


def test_several_backends_each_once(run, toy, wrong):
    output = run("verify", PROBLEM, "--backend", "wrong", "--backend", "toy", "--backend", "wrong").stdout
    heads = [line.partition(": ")[0] for line in output.splitlines() if " passed, " in line]
    assert heads == ["wrong", "toy"]


def test_a_progress_bar_is_for_those_who_wait_and_watch(terminal):
    code = (
        "import convhub.cli.app, convhub.cli.progress as command\n"
        "command.PATIENCE = {}\n"
        "convhub.cli.app.main()\n"
    )
    arguments = ("verify", "--random", "2", "--backend", "naive", "--json")
    for patience, is_shown in ((-1, True), (1000, False)):
        stdout, stderr = terminal("-c", code.format(patience), *arguments)
        assert json.loads(stdout)["backends"]["naive"]["failed"] == 0
        assert (b"100%" in stderr) == is_shown
        assert is_shown or stderr == b""


@pytest.mark.parametrize(
    "arguments", [[], [PROBLEM, "--random", "2"], ["--random", "0"], ["--random", "many"]]
)
def test_a_problem_or_random_ones(run, toy, arguments):
    result = run("verify", *arguments, "--backend", "toy")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: " in result.stderr


def test_what_was_written_wrongly_is_exit_code_2(run, toy):
    result = run("verify", PROBLEM, "--backend", "toi", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "backend is 'toi' (from --backend)" in result.stderr
    result = run("verify", "forward_n1c3h8w8_k4r3s3_strde2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Did you mean 'stride'?" in result.stderr


def test_nothing_checked_is_no_success(run, run_json, toy, absent, only_by_hand):
    problem = "uint8_n1c1h3w3_k1r2s2"
    result = run("verify", problem, "--backend", "toy")
    assert result.exit_code == 1
    assert result.stderr == "Error: nothing was checked on toy: every check was skipped\n"
    assert "takes float32, float64, complex64, complex128, int64 in forward, not uint8\n" in result.stdout
    # Of two that were named, one that could not be checked must not hide behind the other.
    found, code = run_json("verify", PROBLEM, "--backend", "toy", "--backend", "absent")
    assert code == 1
    assert found["backends"]["toy"]["passed"] > 0
    assert any(absent in reason for reason in found["backends"]["absent"]["skip_reasons"])


def test_no_backend_at_all(run, only_by_hand, absent):
    result = run("verify", PROBLEM)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: no backend is available; see `convhub backends`\n"


def test_findings_are_added_up():
    problem = Problem.parse(PROBLEM)
    tally = Tally("mine")
    for outcome, ratio, detail in (
        ("passed", 0.25, ""),
        ("failed", math.nan, "it is nan"),
        ("passed", 0.75, ""),
        ("skipped", None, "not that"),
        ("skipped", None, "not that"),
    ):
        tally.add([conformance.Finding("mine", problem, "bound", outcome, ratio, detail, seed=4)])
    tally.add([conformance.Finding("mine", problem, "nan", "passed", None, "")])
    assert tally_row(tally) == {
        "passed": 3,
        "failed": 1,
        "skipped": 2,
        "checks": {
            "bound": {"passed": 2, "failed": 1, "skipped": 2, "worst_ratio": None},
            "nan": {"passed": 1, "failed": 0, "skipped": 0, "worst_ratio": None},
        },
        "skip_reasons": {"not that": 2},
        "failures": [
            {
                "problem": PROBLEM,
                "check": "bound",
                "ratio": None,
                "detail": "it is nan",
                "command": f'convhub verify "{PROBLEM}" --backend mine --seed 4',
            }
        ],
    }


def test_long_lists_are_cut_with_the_number_left_out(run, toy, only_by_hand, monkeypatch):
    def many(problem, backend, seed=0):
        return [conformance.Finding(backend, problem, f"c{i}", "failed", 2.0, f"d{i}") for i in range(25)]

    monkeypatch.setattr(conformance, "verify", many)
    output = run("verify", PROBLEM).stdout
    assert output.count("FAILED toy ") == 10
    assert "... and 15 more failures; --json has all\n" in output
