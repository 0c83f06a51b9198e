"""`convhub explain`."""

from __future__ import annotations

import dataclasses

from support import toy_backend

PROBLEM = "forward_float32_n1c3h8w8_k4r3s3"


def test_what_would_run_and_why_not_the_others(run, run_json, plugin, absent, only_by_hand):
    chosen = dataclasses.replace(
        toy_backend.toy, name="chosen", preference={"cpu": 5}, algorithm=lambda problem, options: "taps"
    )
    second = dataclasses.replace(toy_backend.toy, name="second", preference={"cpu": 4})
    named = dataclasses.replace(toy_backend.toy, name="named")
    unable = dataclasses.replace(toy_backend.toy, name="unable", supports=lambda problem: "not today")
    plugin("four", chosen, second, named, unable)
    result = run("explain", "n1c3h8w8_k4r3s3")
    assert result.exit_code == 0
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines[:2] == [PROBLEM, "would run on chosen (taps), by default order"]
    assert [line.split(maxsplit=1) for line in lines[5:-1]] == [
        ["chosen", "runs it"],
        ["second", "could run it, but is not chosen"],
        ["absent", f"not available: {absent}"],
        ["named", "could run it, but only when it is named"],
        ["unable", "not today"],
    ]
    found, code = run_json("explain", "n1c3h8w8_k4r3s3")
    assert code == 0
    assert {key: found[key] for key in ("problem", "backend", "algorithm", "source", "refusal")} == {
        "problem": PROBLEM,
        "backend": "chosen",
        "algorithm": "taps",
        "source": "default order",
        "refusal": None,
    }
    assert found["verdicts"][4] == {"name": "unable", "able": False, "reason": "not today"}
    assert found["failures"] == []


def test_a_named_backend(run_json, toy, only_by_hand):
    found, code = run_json("explain", PROBLEM, "--backend", "toy")
    assert (code, found["backend"], found["source"]) == (0, "toy", "argument")


def test_refused_is_exit_code_1(run, run_json, toy, only_by_hand):
    result = run("explain", "uint8 n1c3h8w8 k4r3s3", "--backend", "toy")
    assert result.exit_code == 1
    assert "would be refused: backend 'toy' (from argument) does not run forward_uint8_" in result.stdout
    found, code = run_json("explain", PROBLEM + "_cuda")
    assert (code, found["backend"]) == (1, None)
    assert "no backend that may be chosen automatically runs" in found["refusal"]
    assert found["verdicts"] == [
        {"name": "toy", "able": False, "reason": "runs on cpu only, not on cuda"},
    ]


def test_a_misspelt_problem_is_exit_code_2(run):
    result = run("explain", "forward_n1c3h8w8_k4r3s3_strde2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "has the part 'strde2', which is not understood" in result.stderr
    assert "Did you mean 'stride'?" in result.stderr
    result = run("explain", "forward_n1c3h8w8_k4r9s9", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "weight has a kernel of (9, 9)" in result.stderr


def test_an_unknown_backend_is_exit_code_2(run, toy):
    result = run("explain", PROBLEM, "--backend", "toi")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: backend is 'toi' (from --backend); registered backends: ")
    assert result.stderr.endswith("Did you mean 'toy'?\n")


def test_an_unknown_backend_in_the_settings_is_an_error(run, toy, only_by_hand, monkeypatch):
    monkeypatch.setenv("CONVHUB_BACKEND", "toi")
    result = run("explain", PROBLEM)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'toi'" in result.stderr
    assert "CONVHUB_BACKEND" in result.stderr


def test_a_fallback_is_named_and_warned_of_in_one_line(program):
    done = program(
        "explain", "int64_n1c3h8w8_k4r3s3", "--json", CONVHUB_BACKEND="numba", CONVHUB_FALLBACK="1"
    )
    assert done.returncode == 0
    assert '"source": "fallback from numba"' in done.stdout
    assert done.stderr.startswith("Warning: backend 'numba' does not run forward_int64_")
    assert done.stderr.count("\n") == 1


def test_plugins_that_failed_are_shown(run, run_json, plugin, only_by_hand, toy):
    plugin("broken", "no backend at all")
    assert "plugin 'broken' of this process: " in run("explain", PROBLEM, "--backend", "toy").stdout
    assert run_json("explain", PROBLEM)[0]["failures"][0]["plugin"] == "broken"
