from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest

import convhub
from convhub import plugins
from convhub.backend import Backend, Capabilities, hookimpl
from convhub.dispatch.dispatcher import current_dispatcher

X, W = np.ones((1, 2, 5, 5)), np.ones((4, 2, 3, 3))


@contextlib.contextmanager
def registered(*backends):
    plugin = types.SimpleNamespace(convhub_backends=hookimpl(lambda: list(backends)))
    plugins.register(plugin, "temporary")
    try:
        yield
    finally:
        plugins.unregister("temporary")


def zeros(x, w, bias, problem, options):
    return np.zeros(problem.result_shape, problem.dtype)


def backend(name="mine", functions=(zeros,), capabilities=None, **fields):
    return Backend(name, capabilities or Capabilities(dtypes=("float64",)), *functions, **fields)


@pytest.mark.parametrize(
    ("made", "words", "error"),
    [
        (backend(functions=(None, zeros)), "has no forward; it offers grad_input", "UnsupportedProblemError"),
        (backend(functions=()), "has no forward; it offers nothing", "UnsupportedProblemError"),
        (
            backend(capabilities=Capabilities(dtypes=("float32",))),
            "takes float32 in forward, not float64",
            "UnsupportedProblemError",
        ),
        (
            backend(capabilities=Capabilities(dtypes={"grad_input": ("float64",)})),
            "takes no dtype in forward, not float64",
            "UnsupportedProblemError",
        ),
        (
            backend(capabilities=Capabilities(dtypes=("float64",), devices=("cuda",))),
            "runs on cuda only, not on cpu",
            "UnsupportedProblemError",
        ),
        (backend(supports=lambda problem: "only Sundays"), "only Sundays", "UnsupportedProblemError"),
        (backend(supports=lambda problem: False), "its supports returned False", "UnsupportedProblemError"),
        (
            backend(supports=lambda problem: 1 / 0),
            "its supports raised ZeroDivisionError",
            "UnsupportedProblemError",
        ),
        (
            backend(availability=lambda: "no such chip"),
            "not available: no such chip",
            "BackendUnavailableError",
        ),
        (backend(availability=lambda: None), "its availability returned None", "BackendUnavailableError"),
        (
            backend(availability=lambda: {}["x"]),
            "its availability raised KeyError",
            "BackendUnavailableError",
        ),
    ],
)
def test_a_named_backend_is_refused_with_its_reason(made, words, error, monkeypatch):
    with registered(made):
        with pytest.raises(getattr(convhub, error)) as caught:
            convhub.conv2d(X, W, backend="mine")
        assert words in str(caught.value)
        assert "'mine' (from argument)" in str(caught.value)
        assert (
            re.search(rf"mine: +{re.escape(words)}", str(convhub.explain(convhub.conv2d, X, W)))
            or error == "BackendUnavailableError"
        )
        monkeypatch.setenv("CONVHUB_BACKEND", "mine")
        with pytest.raises(getattr(convhub, error), match="from environment CONVHUB_BACKEND"):
            convhub.conv2d(X, W)


@pytest.mark.parametrize(
    ("field", "arguments", "words"),
    [
        ("groups", {"groups": 2, "weight": W[:, :1]}, "takes groups = 1 only, not 2"),
        ("stride", {"stride": (1, 2)}, "takes stride = 1 only, not (1, 2)"),
        ("dilation", {"dilation": 2}, "takes dilation = 1 only, not (2, 2)"),
        ("padding", {"padding": 1}, "takes padding = 0 only"),
        ("asymmetric_padding", {"padding": ((0, 1), (0, 0))}, "takes equal padding on both sides only"),
    ],
)
def test_each_declared_limit_is_kept(field, arguments, words):
    capabilities = dataclasses.replace(Capabilities(dtypes=("float64",)), **{field: False})
    with registered(backend(capabilities=capabilities)):
        with pytest.raises(convhub.UnsupportedProblemError) as caught:
            convhub.conv2d(**({"input": X, "weight": W} | arguments), backend="mine")
        assert words in str(caught.value)
        convhub.conv2d(X, W, backend="mine")


def test_automatic_choice_follows_preference_and_passes_over_the_unable():
    first = backend("first", supports=lambda p: "no", preference={"cpu": 1000})
    second = backend("second", preference={"cpu": 999})
    last = backend("last")
    with registered(first, second, last):
        (part,) = convhub.explain(convhub.conv2d, X, W).parts
        assert (part.backend, part.source) == ("second", "default order")
        assert [verdict.name for verdict in part.verdicts][:2] == ["first", "second"]
        assert convhub.available_backends()[0] == "first"
        text = str(convhub.explain(convhub.conv2d, X, W))
        assert "first: no" in text
        assert "last:  could run it, but only when it is named" in text


def test_nobody_can_and_everybody_says_why(monkeypatch):
    monkeypatch.setenv("CONVHUB_PRIORITY", "mine")
    with registered(backend("mine")):
        with pytest.raises(convhub.UnsupportedProblemError) as caught:
            convhub.conv2d(np.ones((1, 1, 4, 4), "F"), np.ones((1, 1, 3, 3), "F"))
        message = str(caught.value)
        assert "no backend that may be chosen automatically runs forward_complex64" in message
        assert "mine: takes float64 in forward, not complex64" in message
        assert "naive: can run it, but only when it is named" in message


def test_auto_takes_back_a_name(monkeypatch):
    default = convhub.explain(convhub.conv2d, X, W).backend
    monkeypatch.setenv("CONVHUB_BACKEND", "naive")
    assert convhub.explain(convhub.conv2d, X, W).backend == "naive"
    assert convhub.explain(convhub.conv2d, X, W, backend="auto").backend == default
    with convhub.use_backend("auto"):
        assert convhub.explain(convhub.conv2d, X, W).backend == default


def test_a_name_is_checked_even_where_nothing_runs():
    only_bias = {"output_mask": (False, False, True)}
    grad_output = np.ones((1, 4, 3, 3))
    for function, g in ((convhub.conv2d_backward, grad_output), (convhub.conv_transpose2d_backward, X)):
        x = X if function is convhub.conv2d_backward else grad_output
        with pytest.raises(convhub.UnknownBackendError):
            function(g, x, W, backend="nobody", **only_bias)
        assert function(g, x, W, backend="naive", **only_bias).weight is None
    assert convhub.explain(convhub.conv2d_backward, grad_output, X, W, **only_bias).backend == ""


def test_the_wrong_device_is_not_called_unavailable():
    with pytest.raises(convhub.UnsupportedProblemError, match="runs on cuda only, not on cpu"):
        convhub.conv2d(X, W, backend="cupy")


def test_fallback_is_asked_for_and_warns_once(monkeypatch):
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    with registered(backend("mine", functions=(None, zeros))):
        with pytest.warns(
            RuntimeWarning, match="'mine' does not run forward.*has no forward.*runs it, since fallback"
        ):
            result = convhub.conv2d(X, W, backend="mine")
        assert (result == 18).all()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            convhub.conv2d(X, W, backend="mine")
            convhub.conv2d(X[:, :, 1:], W, backend="mine")


def test_strict_accuracy_keeps_transforming_backends_out(monkeypatch):
    loose = backend("loose", capabilities=Capabilities(dtypes=("float64",), accuracy="normwise"))
    with registered(loose):
        convhub.conv2d(X, W, backend="loose")
        monkeypatch.setenv("CONVHUB_ACCURACY", "strict")
        with pytest.raises(
            convhub.UnsupportedProblemError, match='accuracy class normwise; where accuracy = "strict"'
        ):
            convhub.conv2d(X, W, backend="loose")


def test_availability_is_asked_once_and_late():
    asked = []

    def availability():
        asked.append(1)
        return True

    with registered(backend(availability=availability)):
        assert asked == []
        for size in (5, 6, 7):
            convhub.conv2d(np.ones((1, 2, size, 5)), W, backend="mine")
        with convhub.settings(threads=1):
            convhub.conv2d(X, W, backend="mine")
        assert asked == [1]


@pytest.mark.parametrize("device", ["gpu", 0, ["cpu"]])
def test_devices_are_names(device):
    with pytest.raises(convhub.ArgumentTypeError, match="it must be 'cpu', 'cuda' or None"):
        convhub.available_backends(device)


def test_available_backends_are_those_that_can_run():
    names = convhub.available_backends()
    assert {"naive", "numpy"} <= set(names)
    assert names.index("numpy") < names.index("naive")
    with registered(backend("mine", availability=lambda: "no")):
        assert "mine" not in convhub.available_backends()
    assert "naive" not in convhub.available_backends("cuda")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda p, x: np.zeros(p.result_shape[1:]), "of shape (4, 3, 3); it must be (1, 4, 3, 3)"),
        (lambda p, x: np.zeros(p.result_shape, "f4"), "of dtype float32; it must be float64"),
        (lambda p, x: np.zeros(p.result_shape, "O"), "it must be an array of numpy"),
        (lambda p, x: np.zeros(p.result_shape[::-1]).T, "a view; it must be a new array, contiguous"),
        (lambda p, x: np.zeros(p.result_shape).tolist(), "it must be an array of numpy"),
        (lambda p, x: None, "it must be an array of numpy"),
    ],
)
def test_wrong_results_are_not_handed_on(result, words):
    lying = backend(functions=(lambda x, w, b, p, o: result(p, x),))
    with registered(lying), pytest.raises(convhub.BackendContractError) as caught:
        convhub.conv2d(X, W, backend="mine")
    assert "backend 'mine' (plugin 'temporary' of this process)" in str(caught.value)
    assert "forward_float64_n1c2h5w5_k4r3s3" in str(caught.value)
    assert words in str(caught.value)


def test_memory_of_an_operand_is_not_handed_on():
    kept = np.ones((1, 1, 3, 3))
    read_only = np.ones((1, 1, 3, 3))
    read_only.flags.writeable = False
    for given, returned in (
        (kept, kept),
        (kept[:], kept),  # what owns the memory comes back, where a view of it was given
        (kept, kept[:]),
        (kept[..., ::-1], kept),
        (np.frombuffer(kept).reshape(kept.shape), kept),
        (read_only, np.lib.stride_tricks.as_strided(kept)),
    ):
        lying = backend(functions=(lambda x, w, b, p, o, returned=returned: returned,))
        with registered(lying):
            if given is read_only:  # nobody else's memory, though a view: that is right
                assert convhub.conv2d(given, np.ones((1, 1, 1, 1)), backend="mine") is returned
                continue
            with pytest.raises(convhub.BackendContractError, match="memory of one of its operands"):
                convhub.conv2d(given, np.ones((1, 1, 1, 1)), backend="mine")
    lying = backend(functions=(lambda x, w, b, p, o: read_only,))
    with (
        registered(lying),
        pytest.raises(convhub.BackendContractError, match="read-only memory; it must be a new array"),
    ):
        convhub.conv2d(kept, np.ones((1, 1, 1, 1)), backend="mine")


def test_what_a_backend_raises_comes_through():
    def raises(*_):
        raise MemoryError("out of pebbles")

    with registered(backend(functions=(raises,))), pytest.raises(MemoryError, match="pebbles"):
        convhub.conv2d(X, W, backend="mine")


def test_a_backend_that_cannot_name_its_algorithm_is_named():
    with (
        registered(backend(algorithm=lambda p, o: {}["x"])),
        pytest.raises(
            convhub.BackendContractError, match="'mine' .* could not name its algorithm .*KeyError"
        ),
    ):
        convhub.conv2d(X, W, backend="mine")


def test_the_fallback_warning_points_at_the_call(monkeypatch):
    monkeypatch.setenv("CONVHUB_FALLBACK", "1")
    with registered(backend("mine", functions=(None, zeros))), pytest.warns(RuntimeWarning) as caught:
        convhub.conv2d(X, W, backend="mine")
    assert caught[0].filename == __file__


TALKS = """
import logging, types
import numpy as np
import convhub
from convhub import plugins
from convhub.backend import Backend, Capabilities, hookimpl

def forward(x, w, bias, problem, options):
    logging.getLogger("convhub.mine").info("compiling pebbles")
    return np.zeros(problem.result_shape)

mine = Backend("mine", Capabilities(dtypes=("float64",)), forward)
plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [mine])), "mine")
convhub.conv2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), backend="mine")
"""


@pytest.mark.parametrize(
    ("verbose", "shown"),
    [("1", ["compiling pebbles", "convhub: forward_float64_n1c1h4w4_k1r3s3 -> mine"]), ("0", [])],
)
def test_verbose_shows_what_backends_log_from_the_first_call_on(verbose, shown):
    environment = os.environ | {"CONVHUB_VERBOSE": verbose}
    done = subprocess.run([sys.executable, "-c", TALKS], capture_output=True, text=True, env=environment)
    assert [line.partition(",")[0] for line in done.stderr.splitlines()] == shown


def test_verbose_logs_one_line_a_call(monkeypatch, caplog):
    monkeypatch.setenv("CONVHUB_VERBOSE", "1")
    caplog.set_level("INFO", logger="convhub")
    convhub.conv2d(X, W, backend="naive")
    (record,) = caplog.records
    message = record.getMessage()
    for word in ("forward_float64_n1c2h5w5_k4r3s3 -> naive", "ms, by argument"):
        assert word in message
    monkeypatch.setenv("CONVHUB_VERBOSE", "0")
    convhub.conv2d(X, W, backend="naive")
    assert len(caplog.records) == 1


def test_choices_are_forgotten_when_there_are_too_many():
    for height in range(3, 4103):
        convhub.explain(f"forward_float64_n1c1h{height}w3_k1r3s3")
    dispatcher = current_dispatcher()
    assert 0 < len(dispatcher.choices) <= dispatcher.most_choices == 4096
    assert dispatcher.memory.availability
