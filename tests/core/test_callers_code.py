"""What the caller's own code raises in the middle of a call arrives as it is, and not as a backend's fault.

A signal that is raised inside a function of a plugin strikes there, as one that comes from outside may.
"""

from __future__ import annotations

import functools
import signal
import sys
import types
import warnings

import numpy as np
import pytest

import convhub
from convhub import config, plugins
from convhub.backend import Backend, Capabilities, hookimpl
from convhub.callers_code import raised_by_caller
from convhub.errors import BackendContractError, BackendFailedError, describe_error, short_repr

ALARM = signal.SIGTERM if sys.platform == "win32" else signal.SIGALRM
X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))


class TooLateError(Exception):
    """An error of the caller's own."""


class Stop(BaseException):
    """One that is no `Exception`."""


def strike():
    signal.raise_signal(ALARM)


def right(x, w, bias, problem, options):
    return np.full(problem.output_shape, 9.0)


class Handler:
    """Handlers of signals of every form that Python takes."""

    def __init__(self, error):
        self.error = error

    def method(self, number, frame):
        raise self.error

    def __call__(self, number, frame):
        raise self.error

    def plain(self):
        def handler(number, frame):
            raise self.error

        return handler

    def starred(self):
        def handler(*_):
            raise self.error

        return handler

    def of_named_parameters(self):
        def handler(more, number, frame):
            raise self.error

        return functools.partial(handler, None)

    def that_puts_another_in_its_place(self):
        def handler(number, frame):
            signal.signal(ALARM, signal.SIG_DFL)
            raise self.error

        return handler

    def that_calls_another(self):
        def fail():
            raise self.error

        return lambda number, frame: fail()


FORMS = {
    "method": lambda error: Handler(error).method,
    "object": Handler,
    "plain": lambda error: Handler(error).plain(),
    "starred": lambda error: Handler(error).starred(),
    "partial": lambda error: Handler(error).of_named_parameters(),
    "replaced": lambda error: Handler(error).that_puts_another_in_its_place(),
    "nested": lambda error: Handler(error).that_calls_another(),
}


@pytest.fixture
def handle():
    """Let a handler take the signal until the test ends."""
    before = signal.getsignal(ALARM)
    yield lambda handler: signal.signal(ALARM, handler)
    signal.signal(ALARM, before)


@pytest.fixture
def backend():
    """Register the backend `struck`, whose functions a test gives; and hooks."""

    def add(hooks=None, **functions):
        given = {"forward": right, **functions}
        arguments = [given.pop(primitive, None) for primitive in ("forward", "grad_input", "grad_weight")]
        made = Backend(
            "struck", Capabilities(dtypes=("float64",)), *arguments, preference={"cpu": 99}, **given
        )
        module = types.SimpleNamespace(convhub_backends=hookimpl(lambda: [made]))
        for name, hook in (hooks or {}).items():
            setattr(module, name, hook)
        plugins.register(module, "struck")

    yield add
    plugins.unregister("struck")


def call(**arguments):
    return convhub.conv2d(X, W, **arguments)


def striking(value=None):
    def function(*_, **__):
        strike()
        return value

    return function


@pytest.mark.parametrize(
    "error", [TimeoutError("time is up"), TooLateError(3), Stop(), SystemExit(3)], ids=repr
)
@pytest.mark.parametrize("form", FORMS)
def test_what_a_handler_raises_in_a_backend_is_the_callers(backend, handle, form, error):
    backend(forward=striking())
    handle(FORMS[form](error))
    with pytest.raises(type(error)) as caught:
        call(backend="struck")
    assert caught.value is error
    assert not getattr(error, "__notes__", None)
    assert error.__cause__ is None


@hookimpl
def convhub_choose(problem, candidates):
    strike()


@hookimpl
def convhub_called(event):
    strike()


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ({"availability": striking(True)}, {}),
        ({"supports": striking(True)}, {}),
        ({"algorithm": striking("loops")}, {}),
        ({"accuracy": striking("componentwise")}, {"CONVHUB_CHECK": "1"}),
        ({"hooks": {"convhub_choose": convhub_choose}}, {}),
        ({"hooks": {"convhub_called": convhub_called}}, {}),
        ({"hooks": {"convhub_backends": hookimpl(striking([]))}}, {}),
        ({"forward": striking()}, {"CONVHUB_TUNE": "1"}),
    ],
    ids=lambda value: "-".join(getattr(value, "get", dict)("hooks") or value),
)
def test_wherever_a_plugin_is_asked(backend, handle, monkeypatch, tmp_path, arguments, settings):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    config.reload()
    backend(**arguments)
    error = TooLateError(3)
    handle(Handler(error).plain())
    with pytest.raises(TooLateError) as caught:
        call()
    assert caught.value is error
    handle(lambda number, frame: None)
    assert call()[0, 0, 0, 0] == 9
    monkeypatch.undo()
    config.reload()


def test_a_plugin_that_is_struck_while_it_is_imported_is_not_refused(install, handle):
    install("mine", "import signal\nsignal.raise_signal(signal.SIGALRM)\nfrom support.toy_backend import *\n")
    error = SystemExit(3)
    handle(Handler(error).plain())
    with pytest.raises(SystemExit) as caught:
        plugins.registry()
    assert caught.value is error
    handle(lambda number, frame: None)
    assert not plugins.registry().failures


def test_what_a_backend_raises_is_still_its_own(backend, handle):
    handle(Handler(TimeoutError()).plain())

    def forward(x, w, bias, problem, options):
        raise TimeoutError("the device does not answer")

    backend(forward=forward, algorithm=lambda problem, options: "slow")
    with pytest.raises(BackendFailedError, match="the device does not answer"):
        call(backend="struck")


def test_a_fault_of_a_hook_is_still_reported(backend):
    @hookimpl
    def convhub_choose(problem, candidates):
        raise TimeoutError("never")

    backend(hooks={"convhub_choose": convhub_choose})
    with pytest.raises(BackendContractError, match="TimeoutError: never"):
        call()


@pytest.mark.parametrize("how", ["errcall", "showwarning", "trace", "profile"])
def test_other_code_of_the_callers(backend, monkeypatch, how):
    def fail(*_):
        sys.settrace(None)
        sys.setprofile(None)
        raise TooLateError(how)

    def forward(x, w, bias, problem, options):
        if how == "trace":
            sys.settrace(fail)
        if how == "profile":
            sys.setprofile(fail)
        warnings.warn("one for the caller", UserWarning, stacklevel=1)
        with np.errstate(all="call"):
            np.float64(1e300) * np.float64(1e300)

    backend(forward=forward)
    before = np.seterrcall(fail if how == "errcall" else None)
    tracing, profiling = sys.gettrace(), sys.getprofile()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always" if how == "showwarning" else "ignore")
            if how == "showwarning":
                monkeypatch.setattr(warnings, "showwarning", fail)
            with pytest.raises(TooLateError):
                call(backend="struck")
    finally:
        np.seterrcall(before)
        sys.settrace(tracing)
        sys.setprofile(profiling)


@pytest.mark.parametrize("show", [describe_error, short_repr])
def test_while_an_error_is_put_into_words(handle, show):
    class UnshowableError(Exception):
        def __str__(self):
            strike()
            return "never"

        __repr__ = __str__

    error = TooLateError()
    handle(Handler(error).plain())
    with pytest.raises(TooLateError):
        show(UnshowableError())


def test_an_error_without_a_traceback_is_nobodys():
    assert not raised_by_caller(ValueError())
    assert raised_by_caller(KeyboardInterrupt())
