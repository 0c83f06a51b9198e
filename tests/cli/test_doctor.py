"""`convhub doctor`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform

import numpy as np
import pytest
from support import toy_backend

from convhub.backend import Capabilities
from convhub.dispatch import tuning_store


def test_a_sound_installation(program):
    done = program("doctor")
    assert done.stderr == ""
    assert done.stdout.endswith("\nNothing is wrong.\n"), done.stdout
    assert done.returncode == 0
    for name in ("naive", "numpy"):
        right = "right: forward on cpu, grad_input on cpu, grad_weight on cpu"
        assert f"\n  {name:5}  {right}\n" in done.stdout


def test_what_a_bug_report_needs(run, run_json, toy, only_by_hand, monkeypatch):
    monkeypatch.setenv("CONVHUB_THREADS", "2")
    report, code = run_json("doctor")
    assert (code, report["ok"], report["troubles"]) == (0, True, [])
    for name in ("convhub", "numpy", "pluggy"):
        assert report["versions"][name] == importlib.metadata.version(name)
    assert platform.python_version() in report["system"]["python"]
    assert report["system"]["platform"] == platform.platform()
    assert report["tuning_database"] == str(tuning_store.database_path())
    assert report["settings"] == {
        "threads": {"value": 2, "source": "environment CONVHUB_THREADS"},
        "disable_plugins": {"value": ["convhub"], "source": "environment CONVHUB_DISABLE_PLUGINS"},
    }
    assert report["plugins"] == [{"plugin": "toy", "distribution": "this process", "version": ""}]
    checks = report["backends"]["toy"]["checks"]
    assert [(check["problem"].split("_float32")[0], check["outcome"]) for check in checks] == [
        ("forward", "right"),
        ("grad_input", "right"),
        ("grad_weight", "right"),
    ]
    output = run("doctor").stdout
    assert "threads          2, from environment CONVHUB_THREADS\n" in output
    assert f"{tuning_store.database_path()} (does not exist yet)\n" in output


def test_a_backend_that_computes_wrongly(run, run_json, toy, wrong, only_by_hand):
    report, code = run_json("doctor")
    assert (code, report["ok"]) == (1, False)
    (trouble,) = report["troubles"]
    check = report["backends"]["wrong"]["checks"][0]
    assert check["detail"].startswith("4 of 48 elements are wrong; at (0, 0, 1, 5) it computed ")
    assert check["detail"] in trouble["what"]
    assert f'convhub verify "{check["problem"]}" --backend wrong' in trouble["remedy"]
    assert [c["outcome"] for c in report["backends"]["toy"]["checks"]] == ["right"] * 3
    output = run("doctor").stdout
    assert "\n  wrong  right: grad_input on cpu, grad_weight on cpu; WRONG: forward on cpu\n" in output
    assert "\n1 thing is wrong:\n1.  backend 'wrong' does not compute forward_" in output


@pytest.mark.parametrize("fault", ["raises", "nan", "shape"])
def test_other_ways_to_be_wrong(run_json, plugin, only_by_hand, fault):
    def grad_weight(dy, x, problem, options):
        if fault == "raises":
            raise OSError("no such library")
        shape = problem.weight_shape[::-1] if fault == "shape" else problem.weight_shape
        return np.full(shape, np.nan, np.float32)

    plugin("odd", dataclasses.replace(toy_backend.toy, name="odd", grad_weight=grad_weight))
    report, code = run_json("doctor")
    assert code == 1
    check = report["backends"]["odd"]["checks"][2]
    assert check["outcome"] == "wrong"
    assert {
        "raises": "raised BackendFailedError: backend 'odd' (plugin 'odd' of this process) failed at grad_w",
        "nan": "elements are wrong; at (0, 0, 0, 0) it computed nan",
        "shape": "raised BackendContractError: backend 'odd'",
    }[fault] in check["detail"]


@pytest.mark.parametrize(
    "declared",
    [
        Capabilities(dtypes=("int8",)),
        Capabilities(dtypes=("complex64",), dilation=False, asymmetric_padding=False),
        Capabilities(dtypes=("float64",), groups=False, stride=False, dilation=False, padding=False),
        Capabilities(dtypes={"forward": ("float64",), "grad_weight": ("int64",)}),
    ],
)
def test_the_small_problem_is_one_that_the_backend_takes(run_json, plugin, only_by_hand, declared):
    plugin("some", dataclasses.replace(toy_backend.toy, name="some", capabilities=declared))
    report, code = run_json("doctor")
    checks = report["backends"]["some"]["checks"]
    assert (code, {check["outcome"] for check in checks}) == (0, {"right"})
    expected = [p for p in ("forward", "grad_input", "grad_weight") if declared.dtypes_of(p)]
    assert [
        check["problem"].rpartition(f"_{declared.dtypes_of(p)[0]}_")[0]
        for p, check in zip(expected, checks, strict=True)
    ] == expected
    for check in checks:
        text = check["problem"]
        assert ("stride2x1" in text, "dilation1x2" in text) == (declared.stride, declared.dilation)
        assert ("pad" in text, "groups2" in text) == (declared.padding, declared.groups)
        assert ("pad1-0x0-2" in text) == (declared.padding and declared.asymmetric_padding)


@pytest.mark.parametrize("kernel", [(3, 3), (1, 1)])
def test_a_backend_of_one_kernel_is_given_a_problem_that_has_it(run_json, plugin, only_by_hand, kernel):
    def supports(problem):
        return problem.kernel_size == kernel or "takes one kernel only"

    plugin("some", dataclasses.replace(toy_backend.toy, name="some", supports=supports))
    report, code = run_json("doctor")
    checks = report["backends"]["some"]["checks"]
    assert (code, [check["outcome"] for check in checks]) == (0, ["right"] * 3)
    assert all(f"r{kernel[0]}s{kernel[1]}" in check["problem"] for check in checks)


def test_a_device_that_is_not_there_is_nothing_wrong(run, run_json, plugin, only_by_hand):
    torch = pytest.importorskip("torch", reason="the arrays of this backend are torch's")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    both = Capabilities(dtypes=("float32",), devices=("cuda",), arrays="torch")
    backend = dataclasses.replace(toy_backend.toy, name="far", capabilities=both, grad_input=None)
    plugin("far_plugin", backend)
    report, code = run_json("doctor")
    assert code == 0
    checks = report["backends"]["far"]["checks"]
    assert [check["outcome"] for check in checks] == ["not run", "not run"]
    assert "CUDA" in checks[0]["detail"]
    line = f"\n  far  not run: forward on cuda, grad_weight on cuda ({checks[0]['detail']})\n"
    assert line in run("doctor").stdout


def test_a_backend_that_takes_no_small_problem_says_so(run_json, plugin, only_by_hand):
    picky = dataclasses.replace(toy_backend.toy, name="picky", supports=lambda problem: "large ones only")
    plugin("picky_plugin", picky)
    report, code = run_json("doctor")
    assert code == 0
    assert report["backends"]["picky"] == {
        "available": True,
        "not_run": "available, but takes no small problem",
        "checks": [],
    }


def test_what_is_not_available_is_nothing_wrong_unless_it_is_named(
    run_json, absent, toy, only_by_hand, monkeypatch
):
    report, code = run_json("doctor")
    assert (code, report["troubles"]) == (0, [])
    assert report["backends"]["absent"]["not_run"] == f"not available: {absent}"
    monkeypatch.setenv("CONVHUB_BACKEND", "cuda=absent")
    assert run_json("doctor")[1] == 0
    monkeypatch.setenv("CONVHUB_BACKEND", "absent")
    report, code = run_json("doctor")
    assert code == 1
    assert (
        f"'absent' (from environment CONVHUB_BACKEND) is not available: {absent}"
        in report["troubles"][0]["what"]
    )
    monkeypatch.setenv("CONVHUB_FALLBACK", "on")
    assert run_json("doctor")[1] == 0


def test_a_plugin_that_failed(run, run_json, plugin, toy, only_by_hand):
    plugin("broken", "no backend at all")
    report, code = run_json("doctor")
    assert code == 1
    assert [row["plugin"] for row in report["failures"]] == ["broken"]
    assert "CONVHUB_DISABLE_PLUGINS=broken" in report["troubles"][0]["remedy"]
    output = run("doctor").stdout
    assert "\n  toy     this process, loaded\n  broken  this process, failed\n" in output


def test_a_wrong_setting_is_the_last_thing_said(run, run_json, monkeypatch):
    monkeypatch.setenv("CONVHUB_TUNE", "maybe")
    report, code = run_json("doctor")
    assert (code, report["settings"], report["plugins"], report["backends"]) == (1, None, None, {})
    assert report["versions"]["convhub"]
    output = run("doctor").stdout
    assert "1.  environment CONVHUB_TUNE: tune is 'maybe'; it must be true or false.\n" in output


def test_settings_that_name_what_there_is_not(run_json, plugin, only_by_hand, tmp_path):
    @dataclasses.dataclass
    class Own:
        tile: int = 4

    plugin("typed", dataclasses.replace(toy_backend.toy, name="typed", options=Own))
    (tmp_path / "convhub.toml").write_text(
        'backend = "typd"\npriority = ["typed", "toi"]\n[options.typed]\ntyle = 3\n[options.other]\na = 1\n'
    )
    report, code = run_json("doctor")
    assert code == 1
    what = [trouble["what"] for trouble in report["troubles"]]
    assert len(what) == 4
    assert "backend is 'typd'" in what[0]
    assert "backend is 'toi'" in what[1]
    assert (
        f"{tmp_path}/convhub.toml:5: [options.other] names no backend; registered backends: typed" in what[2]
    )
    assert f"{tmp_path}/convhub.toml:4: [options.typed] has 'tyle'; that backend has tile. Did you" in what[3]
    assert report["backends"]["typed"]["not_run"] == "available, but settings are wrong"
