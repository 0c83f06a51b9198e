"""`convhub backends`."""

from __future__ import annotations

import dataclasses
import importlib.metadata

from support import toy_backend

from convhub.backend import Capabilities


def test_the_table_says_what_each_can_do(run, plugin, only_by_hand):
    capabilities = Capabilities(
        dtypes={"forward": ("float32", "float64", "int8"), "grad_input": ("float16", "float64")},
        devices=("cpu", "cuda"),
        accuracy="normwise",
    )
    plugin("mine", dataclasses.replace(toy_backend.toy, capabilities=capabilities, grad_weight=None))
    lines = run("backends").stdout.splitlines()
    (row,) = [line.strip() for line in lines if line.strip().startswith("toy")]
    assert [cell.strip() for cell in row.split("  ") if cell] == [
        "toy",
        "this process",
        "cpu cuda",
        "forward: float32-64 int8; grad_input: float16/64",
        "forward, grad_input",
        "normwise",
        "yes",
    ]


def test_what_a_partial_backend_does_not_take_is_said(run, run_json, plugin, only_by_hand):
    capabilities = Capabilities(dtypes=("float32",), groups=False, asymmetric_padding=False)
    narrow = dataclasses.replace(
        toy_backend.toy,
        capabilities=capabilities,
        grad_input=None,
        grad_weight=None,
        supports=lambda problem: problem.kernel_size == (3, 3) or "takes kernels of 3x3 only",
    )
    plugin("narrow", narrow)
    output = run("backends").stdout
    assert "  forward   " in output
    assert "toy takes no groups, asymmetric padding.\n" in output
    assert "toy decides on each problem; `convhub explain PROBLEM` tells how.\n" in output
    (row,) = run_json("backends")[0]["backends"]
    assert (row["primitives"], row["groups"], row["decides_on_each_problem"]) == (["forward"], False, True)
    explained = run("explain", "forward_float32_n1c4h8w8_k4r2s2", "--backend", "toy").stdout
    assert "takes kernels of 3x3 only\n" in explained


def test_they_stand_in_order_of_preference(run, run_json, plugin, only_by_hand, absent):
    low = dataclasses.replace(toy_backend.toy, name="a_low", preference={"cpu": 1})
    high = dataclasses.replace(toy_backend.toy, name="b_high", preference={"cpu": 9})
    plugin("two", low, high)
    found, code = run_json("backends")
    assert code == 0
    assert [row["name"] for row in found["backends"]] == ["b_high", "a_low", "absent"]
    assert found["order"] == {"cpu": ["b_high", "a_low"], "cuda": []}
    output = run("backends").stdout
    assert "Tried in this order where none is named: on cpu b_high, a_low. Only when named: absent." in output
    assert f"absent is not available: {absent}\n" in output


def test_json_has_everything_that_is_declared(run_json, toy, only_by_hand, absent):
    rows = {row["name"]: row for row in run_json("backends")[0]["backends"]}
    assert rows["toy"]["dtypes"] == {
        primitive: list(toy_backend.DTYPES) for primitive in ("forward", "grad_input", "grad_weight")
    }
    for field in dataclasses.fields(Capabilities):
        value = getattr(toy_backend.toy.capabilities, field.name)
        if field.name != "dtypes":
            assert rows["toy"][field.name] == (list(value) if isinstance(value, tuple) else value)
    assert (rows["toy"]["available"], rows["toy"]["reason"]) == (True, None)
    assert (rows["absent"]["available"], rows["absent"]["reason"]) == (False, absent)
    assert rows["toy"]["distribution"] == "this process"
    assert rows["toy"]["decides_on_each_problem"] is False


def test_the_built_in_ones_are_named_with_their_distribution(run_json):
    rows = {row["name"]: row for row in run_json("backends")[0]["backends"]}
    version = importlib.metadata.version("convhub")
    for name in ("naive", "numpy"):
        assert (rows[name]["distribution"], rows[name]["version"]) == ("convhub", version)
        assert rows[name]["available"]


def test_a_broken_plugin_is_shown_and_takes_nothing_down(run, run_json, plugin, toy, only_by_hand):
    plugin("broken", "no backend at all")
    found, code = run_json("backends")
    assert code == 0
    assert [row["name"] for row in found["backends"]] == ["toy"]
    (failure,) = found["failures"]
    assert failure["plugin"] == "broken"
    assert "'no backend at all', which is not a convhub.backend.Backend" in failure["reason"]
    assert f"plugin 'broken' of this process: {failure['reason']}\n" in run("backends").stdout


def test_two_plugins_of_one_name_are_both_shown(run, plugin, toy, only_by_hand):
    plugin("another", toy_backend.toy)
    output = run("backends").stdout
    assert "No backend is registered." in output
    assert "plugin 'toy' of this process: the name 'toy' is claimed by" in output
    assert "plugin 'another' of this process: the name 'toy' is claimed by" in output


def test_a_priority_that_does_not_exist_is_said_beside_those_that_do(run, toy, monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "toi")
    result = run("backends")
    assert result.exit_code == 2
    assert "toy" in result.stdout
    assert "backend is 'toi' (from environment CONVHUB_PRIORITY)" in result.stderr
    assert "Did you mean 'toy'?" in result.stderr
