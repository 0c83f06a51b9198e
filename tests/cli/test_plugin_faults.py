"""Plugins with faults, as installed distributions, in `convhub backends`, `doctor` and `explain`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.faulty_plugins import ANSWERS, CALLS, LOADING, ORIGIN, PROBLEM, WHO, plugin

pytestmark = pytest.mark.usefixtures("only_by_hand")

REMEDY = "CONVHUB_DISABLE_PLUGINS=mine"


def reason_of(fault):
    """Return what a message says after the words that tell who was asked for what."""
    for before in ("could not be loaded: ", f"{PROBLEM}: not available: ", f"{PROBLEM}: "):
        if before in fault.message:
            return fault.message.partition(before)[2]
    return fault.message


@pytest.mark.parametrize("fault", LOADING.values(), ids=LOADING)
def test_one_that_cannot_be_loaded(install, run, run_json, toy, fault):
    install("mine", fault.source)
    line = f"{ORIGIN}: {reason_of(fault)}\n"
    assert line in run("backends").stdout
    assert line in run("explain", PROBLEM, "--backend", "toy").stdout
    report, code = run_json("doctor")
    (trouble,) = report["troubles"]
    assert (code, trouble["what"]) == (1, line.rstrip())
    assert REMEDY in trouble["remedy"]
    named = run("explain", PROBLEM, "--backend", "mine")
    assert named.exit_code != 0
    assert reason_of(fault) in " ".join((named.stdout + named.stderr).split())


@pytest.mark.parametrize("fault", ANSWERS.values(), ids=ANSWERS)
def test_one_that_answers_wrongly(install, run, run_json, fault):
    install("mine", fault.source)
    reason = reason_of(fault)
    (row,) = run_json("backends")[0]["backends"]
    unavailable = "its availability" in reason
    assert row["available"] is not unavailable
    if unavailable:
        assert row["reason"] == reason
        assert f"mine is not available: {reason}\n" in run("backends").stdout
    found, code = run_json("explain", PROBLEM, "--backend", "mine")
    assert (code, found["refusal"]) == (1, fault.message)
    report, code = run_json("doctor")
    assert code == 1
    (trouble,) = report["troubles"]
    assert "plugin 'mine' of convhub-mine 1.2" in trouble["what"] + trouble["remedy"]
    # The doctor's problem is another one.
    assert reason.split(" for forward_")[0].split(" for grad_")[0] in trouble["what"]


@pytest.mark.parametrize("fault", CALLS.values(), ids=CALLS)
def test_one_that_computes_wrongly(install, run_json, fault):
    install("mine", fault.source)
    report, code = run_json("doctor")
    assert code == 1
    (trouble,) = report["troubles"]
    assert trouble["what"].startswith("backend 'mine' does not compute forward_float64_")
    assert f"{fault.error}: {WHO}" in trouble["what"]
    assert trouble["remedy"].endswith(f"and report it to the authors of {ORIGIN}")


def test_a_name_that_is_taken(install, run, run_json, monkeypatch):
    monkeypatch.delenv("CONVHUB_DISABLE_PLUGINS")
    install("rogue", plugin(name="naive"), entry="naive")
    rows = {row["name"]: row for row in run_json("backends")[0]["backends"]}
    assert rows["naive"]["distribution"] == "convhub"
    assert "\nplugin 'naive' of convhub-rogue 1.2: the name 'naive' is claimed by" in run("backends").stdout
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "numba,torch,cupy,numpy")
    report, code = run_json("doctor")
    assert code == 1
    assert [trouble["remedy"] for trouble in report["troubles"]] == [
        "fix or uninstall it, or leave it out: CONVHUB_DISABLE_PLUGINS=convhub-rogue"
    ]


def test_options_that_cannot_be_made(install, run_json):
    before = "import dataclasses\n@dataclasses.dataclass\nclass Own:\n    tile: 'Nothing' = 3\n"
    install("mine", plugin(before=before, fields="options=Own"))
    report, code = run_json("doctor")
    (trouble,) = report["troubles"]
    assert code == 1
    assert trouble["what"].startswith(
        f"{WHO} declares options of the type Own, which cannot be made from {{}}: "
    )
    assert REMEDY in trouble["remedy"]


IMPATIENT = (
    "import sys; from convhub.dispatch import queries; queries.AVAILABILITY_SECONDS = 0.5; "
    "from convhub.cli import main; sys.argv = ['convhub', *sys.argv[1:]]; main()"
)


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("backends",), 0, "mine is not available: its availability did not answer within 0.5 s"),
        (("doctor",), 1, f"leave it out: {REMEDY}."),
        (("explain", PROBLEM, "--backend", "mine"), 1, "not available: its availability did not answer"),
    ],
)
def test_one_that_does_not_answer_lets_the_program_end(install, monkeypatch, command, code, words):
    folder = install("mine", plugin(before="import time", fields="availability=lambda: time.sleep(3600)"))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    ran = [sys.executable, "-c", IMPATIENT, *command]
    done = subprocess.run(ran, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    text = " ".join(done.stdout.split())
    assert words in text
    assert ORIGIN in text
