"""Plugins with faults, as installed distributions: each is named, and hurts nobody."""

from __future__ import annotations

import traceback
import warnings
from pathlib import Path

import numpy as np
import pytest
from support import faulty_plugins
from support.faulty_plugins import ANSWERS, CALLS, CHECKS, LOADING, PROBLEM, VERSION, WHO, plugin

import convhub
from convhub import plugins

PAGE = (Path(__file__).parents[3] / "docs" / "plugin-contract.md").read_text(encoding="utf-8")


X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))


def call(backend="mine"):
    """Make the one call on which faults are shown."""
    return convhub.conv2d(X.copy(), W.copy(), backend=backend)


def test_without_a_fault_the_plugin_of_these_tests_is_right(install, monkeypatch):
    install("mine", plugin())
    monkeypatch.setenv("CONVHUB_CHECK", "1")
    assert call().tolist() == [[[[9.0, 9.0], [9.0, 9.0]]]]
    assert plugins.registry().failures == ()


@pytest.mark.parametrize("fault", LOADING.values(), ids=LOADING)
def test_what_is_found_when_a_plugin_is_loaded(install, fault):
    install("mine", fault.source)
    with pytest.raises(getattr(convhub, fault.error)) as caught:
        call()
    assert str(caught.value) == fault.message
    assert isinstance(caught.value, convhub.UnknownBackendError)
    (failure,) = plugins.registry().failures
    assert failure.origin == ("mine", "convhub-mine", "1.2")
    assert fault.message.endswith(failure.reason)
    assert failure.reason in str(convhub.explain(PROBLEM))
    assert call(backend="naive")[0, 0, 0, 0] == 9


@pytest.mark.parametrize("fault", ANSWERS.values(), ids=ANSWERS)
def test_what_is_found_when_a_backend_is_asked(install, fault):
    install("mine", fault.source)
    for _ in range(2):
        with pytest.raises(getattr(convhub, fault.error)) as caught:
            call()
        assert str(caught.value) == fault.message
    reason = fault.message.partition(f"{PROBLEM}: ")[2] or fault.message
    assert reason in str(convhub.explain(PROBLEM, backend="mine"))
    assert call(backend="naive")[0, 0, 0, 0] == 9


@pytest.mark.parametrize("fault", CALLS.values(), ids=CALLS)
def test_what_is_found_when_a_backend_is_called(install, fault):
    install("mine", fault.source)
    with pytest.raises(getattr(convhub, fault.error)) as caught:
        call()
    assert str(caught.value) == fault.message


@pytest.mark.parametrize("fault", CHECKS.values(), ids=CHECKS)
def test_what_is_found_by_full_checks(install, fault, monkeypatch):
    install("mine", fault.source)
    assert call().shape == (1, 1, 2, 2)  # what is always checked cannot see these
    plugins.registering._forget()
    monkeypatch.setenv("CONVHUB_CHECK", "1")
    with pytest.raises(getattr(convhub, fault.error)) as caught:
        call()
    assert str(caught.value) == fault.message


@pytest.mark.parametrize("faults", [LOADING, ANSWERS, CALLS, CHECKS], ids=["load", "answer", "call", "check"])
def test_the_page_for_authors_has_these_messages(faults):
    text = " ".join(PAGE.split())
    for name, fault in faults.items():
        assert fault.message.replace(VERSION, "0.1.0") in text, name


# --- two plugins of one name ------------------------------------------------------------------------------


def test_of_two_strangers_of_one_name_both_are_refused(install):
    install("mine", plugin())
    install("other", plugin())
    with pytest.raises(convhub.PluginError) as caught:
        call()
    assert str(caught.value) in " ".join(PAGE.split())
    assert [failure.origin.plugin for failure in plugins.registry().failures] == ["mine", "other"]


def test_a_stranger_does_not_take_the_name_of_a_built_in_backend(install):
    install("rogue", plugin("return np.zeros(problem.output_shape)", name="naive"), entry="naive")
    assert call(backend="naive")[0, 0, 0, 0] == 9
    registry = plugins.registry()
    assert registry.backends["naive"].origin.distribution == "convhub"
    (failure,) = registry.failures
    assert failure.origin == ("naive", "convhub-rogue", "1.2")
    version = registry.backends["naive"].origin.version
    for owner in (f"plugin 'naive' of convhub {version}", "plugin 'naive' of convhub-rogue 1.2"):
        assert owner in failure.reason
    assert "convhub keeps the names of its own backends" in failure.reason
    assert failure.reason in str(convhub.explain(PROBLEM))
    # Not the name of the plugin, which is that of the built-in one too.
    assert registry.remedy(failure.origin) == "CONVHUB_DISABLE_PLUGINS=convhub-rogue"


def test_the_name_is_free_where_the_built_in_plugin_is_disabled(install, monkeypatch):
    install("rogue", plugin("return np.full(problem.output_shape, 5.0)", name="naive"))
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "naive")
    assert call(backend="naive")[0, 0, 0, 0] == 5
    assert plugins.registry(True, ["naive"]).failures == ()


def test_two_backends_of_one_name_in_one_plugin(install):
    install("mine", plugin().replace("return [", "return 2 * ["))
    with pytest.raises(convhub.PluginError) as caught:
        call()
    assert "its convhub_backends() returned 2 backends named 'mine'" in str(caught.value)


BAD = "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\n    __repr__ = __str__\n"


# --- what backends raise ----------------------------------------------------------------------------------


def test_the_error_of_a_primitive_is_the_cause_and_the_traceback_ends_with_ours(install):
    install("mine", plugin("return {}['key']"))
    with pytest.raises(convhub.BackendFailedError) as caught:
        call()
    assert isinstance(caught.value.__cause__, KeyError)
    lines = "".join(traceback.format_exception(caught.value)).splitlines()
    assert any("mine.py" in line for line in lines)
    assert lines[-1] == f"convhub.errors.BackendFailedError: {WHO} failed at {PROBLEM}: KeyError: 'key'"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise MemoryError('of pebbles')", MemoryError),
        ("return np.full(problem.output_shape, 1e308) * 1e3", FloatingPointError),
        ("warnings.warn('of pebbles'); return x", UserWarning),
        ("import convhub; return convhub.conv2d(x, w, stride=0)", convhub.ArgumentError),
        ("import convhub; return convhub.conv2d(x, w, backend='nobody')", convhub.UnknownBackendError),
    ],
)
def test_what_callers_wait_for_keeps_its_type_and_names_the_backend(install, body, kind):
    install("mine", plugin(body, before="import warnings"))
    for _ in range(2):
        with pytest.raises(kind) as caught, np.errstate(all="raise"), warnings.catch_warnings():
            warnings.simplefilter("error")
            call()
        assert not isinstance(caught.value, convhub.BackendFailedError)
        assert caught.value.__notes__ == [f"raised by {WHO} at {PROBLEM}"]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_meant_for_the_program_passes_through(install, kind):
    install("mine", plugin(f"raise {kind.__name__}"))
    with pytest.raises(kind):
        call()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (f"{BAD}raise Bad", "Bad when it was loaded: (its text cannot be shown: ValueError)"),
        (plugin("raise Bad", before=BAD), "Bad: (its text cannot be shown: ValueError)"),
        (plugin(fields="availability=Bad", before=BAD), "returned (a Bad that cannot be shown: ValueError)"),
    ],
)
def test_an_error_whose_text_cannot_be_made(install, source, words):
    install("mine", source)
    with pytest.raises(convhub.BackendError) as caught:
        call()
    assert words in str(caught.value)


# --- results of other libraries ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("torch.zeros(problem.output_shape, dtype=torch.float64, device='meta')", "is on device 'meta'"),
        ("torch.zeros(problem.output_shape, dtype=torch.float64, requires_grad=True)", "requires a gradient"),
        ("torch.zeros(problem.output_shape, dtype=torch.complex64).conj().imag", "of dtype float32"),
        ("torch._neg_view(torch.zeros(problem.output_shape, dtype=torch.float64))", "lazily conjugated"),
        ("torch.zeros(problem.output_shape, dtype=torch.float64).transpose(2, 3)", "a view"),
        ("torch.zeros(problem.output_shape, dtype=torch.float64).to_sparse()", "must be dense"),
        ("x[:, :, :2, :2]", "a view"),
        ("x.flatten()[:4].reshape(problem.output_shape)", "memory of one of its operands"),
        ("np.zeros(problem.output_shape)", "of library numpy; it must be torch"),
    ],
)
def test_wrong_tensors_are_not_handed_on(install, result, words):
    pytest.importorskip("torch", reason="the arrays of this backend are torch's")
    install("mine", plugin(f"import torch; return {result}", declares="arrays='torch'"))
    with pytest.raises(convhub.BackendContractError) as caught:
        call()
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{WHO} ran {PROBLEM} and returned ")


def test_a_subclass_and_a_masked_array_are_not_handed_on(install):
    subclass = "class Odd(np.ndarray):\n    pass"
    install("mine", plugin("return np.zeros(problem.output_shape).view(Odd)", before=subclass))
    with pytest.raises(convhub.BackendContractError, match="returned a Odd, a subclass of numpy.ndarray"):
        call()
    install("other", plugin("return np.ma.zeros(problem.output_shape)", name="other"))
    with pytest.raises(convhub.BackendContractError, match="a mask would be lost"):
        call(backend="other")


# --- automatic choice, policies and observers -------------------------------------------------------------


def test_a_fault_that_passes_a_backend_over_is_warned_of_once(install):
    source = ANSWERS["supports that raises"].source.replace("supports=", "preference={'cpu': 99}, supports=")
    install("mine", source)
    with pytest.warns(RuntimeWarning) as caught:
        assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    assert caught[0].filename == __file__
    assert str(caught[0].message).startswith("backend 'mine' is passed over: its supports raised Attribu")
    assert str(caught[0].message).endswith(f"({faulty_plugins.ORIGIN})")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convhub.conv2d(X[:, :, 1:], W)


def test_an_honest_refusal_is_no_fault(install):
    install("mine", plugin(fields="preference={'cpu': 99}, supports=lambda problem: 'only Sundays'"))
    convhub.conv2d(X, W)


HOOKS = """
from convhub.backend import hookimpl
convhub_contract = 1
@hookimpl
def convhub_choose(problem, candidates):
    return {choice}
@hookimpl
def convhub_called(event):
    raise OSError("disk full")
"""


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("1 / 0", "failed at {}: ZeroDivisionError"),
        ("'nobody'", "returned 'nobody' for {}; it must return one of"),
    ],
)
def test_a_policy_with_a_fault_is_named(install, choice, words):
    install("policy", HOOKS.format(choice=choice))
    with pytest.raises(convhub.BackendContractError) as caught:
        convhub.conv2d(X, W)
    origin = "convhub_choose of plugin 'policy' of convhub-policy 1.2"
    assert str(caught.value).startswith(f"{origin} {words.format(PROBLEM)}")


def test_an_observer_with_a_fault_is_named_and_changes_nothing(install, caplog):
    install("policy", HOOKS.format(choice="'naive'"))
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    assert "convhub_called of plugin 'policy' of convhub-policy 1.2 failed at" in caplog.text
    assert "disk full" in caplog.text
    assert convhub.explain(PROBLEM).parts[0].source == "plugin 'policy' of convhub-policy 1.2"
