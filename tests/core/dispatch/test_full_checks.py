"""Full checks find faults that a look at the array cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support import toy_backend
from support.changed_toy import after, registered, run

import convhub
from convhub import plugins
from convhub.backend import hookimpl
from convhub.dispatch.choose import choose
from convhub.dispatch.execute import execute
from convhub.dispatch.request import BackendRequest
from convhub.problem import Problem
from convhub.reference.operands import operands


@pytest.fixture(autouse=True)
def _checked(monkeypatch):
    monkeypatch.setenv("CONVHUB_CHECK", "1")


def last_row_dropped(y, *_):
    y[..., -1, :] = 0
    return y


def rounded_to_float32(y, *_):
    return y.astype("c8" if y.dtype.kind == "c" else "f4").astype(y.dtype)


def without_bias(y, first, second, *rest):
    return y if len(rest) == 2 or rest[0] is None else y - rest[0][:, None, None]


def cleaned(y, *_):
    return np.nan_to_num(y, nan=0, posinf=1, neginf=-1)


def spread(y, *_):
    y[0, 0, 0, 0] = np.nan
    return y


FAULTS = {
    "last row dropped": (last_row_dropped, "returned a wrong result: at (", "float64"),
    "float32 in float64": (rounded_to_float32, "returned a wrong result", "float64"),
    "float32 in complex128": (rounded_to_float32, "returned a wrong result", "complex128"),
    "NaN in a result of finite numbers": (spread, "at (0, 0, 0, 0) it is nan", "float32"),
    "integers off by one": (lambda y, *_: y + 1, "and must be exactly ", "int64"),
}


@pytest.mark.parametrize("primitive", ["forward", "grad_input", "grad_weight"])
@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_numbers(fault, primitive):
    change, words, dtype = FAULTS[fault]
    problem = Problem.parse(f"{primitive}_{dtype}_n2c4h6w5_k6r3s2_stride2x1_pad1-0x2-1_groups2")
    given = operands(problem, 0, bias=True)
    with registered(**after(change)), pytest.raises(convhub.BackendContractError) as caught:
        run(problem, given)
    message = str(caught.value)
    assert message.startswith(f"backend 'mine' (plugin 'mine' of this process) ran {problem} and returned")
    assert words in message


@pytest.mark.parametrize("primitive", ["forward", "grad_input"])
def test_a_bias_that_is_left_out(primitive):
    problem = Problem.parse(f"{primitive}_float32_n2c4h6w5_k6r3s2")
    with registered(**after(without_bias)):
        run(problem, operands(problem, 0))
        with pytest.raises(convhub.BackendContractError, match="returned a wrong result"):
            run(problem, operands(problem, 0, bias=True))


def test_a_fault_in_one_corner_of_a_large_result():
    problem = Problem.parse("forward_float32_n2c64h40w40_k8r3s3")
    given = operands(problem, 0)

    def corner(y, *_):
        y[-1, -1, -1, -1] += 1
        return y

    with registered():
        run(problem, given)
    with (
        registered(**after(corner)),
        pytest.raises(convhub.BackendContractError, match=r"at \(1, 7, 37, 37\) "),
    ):
        run(problem, given)


def test_a_nan_that_is_swallowed():
    problem = Problem.parse("forward_float32_n1c1h6w6_k1r3s3")
    given = operands(problem, 0)
    given.first[0, 0, 3, 3] = np.nan
    words = r"returned 0.0 at \(0, 0, 1, 1\), where the result must not be finite, since its window holds NaN"
    with registered(**after(cleaned)), pytest.raises(convhub.BackendContractError, match=words):
        run(problem, given)


def test_a_class_of_accuracy_that_is_not_kept_and_one_that_is_none():
    problem = Problem.parse("forward_float32_n1c8h9w9_k8r3s3")
    given = operands(problem, 0)

    def noisy(y, *_):
        return y + np.float32(1e-4)  # more than most elements may err, and less than the largest may

    loose = dataclasses.replace(toy_backend.toy.capabilities, accuracy="normwise")
    with registered(**after(noisy), capabilities=loose):
        run(problem, given)
    with registered(**after(noisy)), pytest.raises(convhub.BackendContractError, match="a wrong result"):
        run(problem, given)
    for accuracy, words in (
        (lambda *_: "good", "returned the accuracy class 'good'"),
        (lambda *_: 1 / 0, "ZeroDiv"),
    ):
        with registered(accuracy=accuracy), pytest.raises(convhub.BackendContractError, match=words):
            run(problem, given)


def test_a_backend_that_is_not_deterministic_says_so_and_is_still_right():
    problem = Problem.parse("forward_float64_n1c1h4w4_k1r3s3")
    given = operands(problem, 0, bias=True)
    calls = []

    def wavering(y, *_):
        calls.append(0)
        return y * (1 + len(calls) % 2 * 2.0**-52)

    def wrong_every_second_time(y, *_):
        calls.append(0)
        return y + (len(calls) % 2 == 0)

    honest = dataclasses.replace(toy_backend.toy.capabilities, deterministic=False)
    with registered(**after(wavering), capabilities=honest):
        run(problem, given)
    with registered(**after(wavering)), pytest.raises(convhub.BackendContractError, match="different bits"):
        run(problem, given)
    calls.clear()
    with (
        registered(**after(wrong_every_second_time), capabilities=honest),
        pytest.raises(convhub.BackendContractError, match="a wrong result"),
    ):
        run(problem, given)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_operand_that_is_changed_and_its_name(position):
    problem = Problem.parse("forward_float64_n1c2h4w4_k3r3s3")
    given = operands(problem, 0, bias=True)
    given[position].flat[-1] = -0.0

    def spoils(y, *arguments):
        arguments[position].flat[-1] = 0.0  # equal, but not the same bits
        return y

    name = ("input", "weight", "bias")[position]
    with (
        registered(**after(spoils)),
        pytest.raises(convhub.BackendContractError, match=f"changed its operand {name}, at "),
    ):
        run(problem, given)


def test_a_failed_check_is_no_event_and_the_check_is_no_part_of_the_time():
    events = []

    class Observer:
        @hookimpl
        def convhub_called(self, event):
            events.append(event)

    problem = Problem.parse("forward_float64_n1c2h4w4_k3r3s3")
    plugins.register(Observer(), "observer")
    try:
        with registered(**after(last_row_dropped)), pytest.raises(convhub.BackendContractError):
            run(problem, operands(problem, 0))
        assert events == []
        with registered():
            run(problem, operands(problem, 0))
        assert len(events) == 1  # though it was called twice
    finally:
        plugins.unregister("observer")


def test_tuning_measures_without_the_checks(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CONVHUB_TUNE", "1")
    monkeypatch.setenv("CONVHUB_PRIORITY", "mine,naive")
    problem = Problem.parse("forward_float64_n1c8h20w20_k8r3s3")
    with registered(**after(last_row_dropped)):
        assert choose(problem, BackendRequest(None, "default")).source == "tuned"
        assert "left out" not in caplog.text
        with pytest.raises(convhub.BackendContractError, match="a wrong result"):
            execute(problem, operands(problem, 0), BackendRequest(None, "default"), "numpy")


def test_the_setting_is_off_by_default_and_counts_at_once(monkeypatch):
    problem = Problem.parse("forward_float64_n1c2h4w4_k3r3s3")
    with registered(**after(last_row_dropped)):
        with pytest.raises(convhub.BackendContractError):
            run(problem, operands(problem, 0))
        monkeypatch.setenv("CONVHUB_CHECK", "0")
        run(problem, operands(problem, 0))
        monkeypatch.delenv("CONVHUB_CHECK")
        run(problem, operands(problem, 0))


def test_a_call_does_no_more_than_before_unless_it_is_asked_to(monkeypatch):
    problem = Problem.parse("forward_float64_n1c2h4w4_k3r3s3")

    def plain():
        return choose(problem, BackendRequest("naive", "argument")).plain

    assert not plain()
    monkeypatch.delenv("CONVHUB_CHECK")
    assert plain()
    monkeypatch.setenv("CONVHUB_VERBOSE", "1")
    assert not plain()
