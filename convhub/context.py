"""Applies settings or a backend to a block, a function or a task: `settings` and `use_backend`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar, Unpack

from .arrays import describe
from .config.overrides import Frame, Values, checked_values, enter, leave
from .dispatch.dispatcher import Dispatcher, current_dispatcher
from .dispatch.names import check_disabled, check_name, check_options, check_priority
from .dispatch.options import run_options
from .errors import ArgumentTypeError

__all__ = ["settings", "use_backend"]

F = TypeVar("F", bound=Callable[..., Any])


class settings:  # noqa: N801 - used as a function is, like `contextlib.suppress`
    """Set any settings for the calls in a ``with`` block, or in a decorated function.

    They apply only to the current thread and task, and to tasks started from there. Blocks nest: settings
    that an inner one does not set stay as outside. They override the environment and files; ``backend=`` of
    a call overrides them. The gradients of a torch tensor are computed under the settings of the block around
    the call that made it, in any thread; if there was none, under those where they are computed.

    Parameters
    ----------
    **values : settings
        Each by its name: ``threads=1``, ``accuracy="strict"``, ``options={"numba": {"winograd": "never"}}``.
        ``backend="numpy"`` does what `convhub.use_backend` does. Tables of options are merged with those
        outside; anything else is replaced.

    Raises
    ------
    ConfigurationError
        At once, if there is no such setting or it may not have that value; when the block is entered, if
        it names options or plugins that do not exist.
    UnknownBackendError
        When the block is entered, if no backend has a name given in `backend` or `priority`.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> with convhub.settings(threads=1, accuracy="strict"):
    ...     convhub.conv2d(np.ones((1, 2, 2)), np.ones((1, 1, 2, 2)))
    array([[[4.]]])
    >>> @convhub.settings(backend="numpy", check=True)
    ... def blur(image):
    ...     return convhub.conv2d(image, np.full((1, 1, 3, 3), 1 / 9), padding="same")
    >>> convhub.settings(accuracy="strickt")
    Traceback (most recent call last):
    ...
    convhub.errors.ConfigurationError: settings(accuracy=...): accuracy is 'strickt'; it must be "standard" \
or "strict". Did you mean 'strict'?
    """

    def __init__(self, **values: Unpack[Values]) -> None:
        # An object may be entered again, and by several threads at once, so it keeps nothing else.
        self._frame = Frame(checked_values(values))

    def __enter__(self) -> None:
        enter(self._frame)
        try:
            if not _NAMING.isdisjoint(self._frame.values):
                _check_names(self._frame, current_dispatcher())
        except BaseException:
            leave(self._frame)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leave(self._frame)

    def __call__(self, function: F) -> F:
        """Return the function or coroutine function, wrapped to run under these settings."""
        return _inside(self, function)


#: The settings whose values are names of backends, options or plugins, which may not exist.
_NAMING = {"backend", "priority", "disable_plugins", "options"}


def _check_names(frame: Frame, dispatcher: Dispatcher) -> None:
    """Refuse names in a block's settings that do not exist."""
    values, backends = frame.values, dispatcher.registry.backends
    backend = values.get("backend", {})
    for name in [backend] if isinstance(backend, str) else backend.values():
        check_name(name, "context", dispatcher)
    if "priority" in values:
        for device in ("cpu", "cuda"):
            check_priority(device, dispatcher)
    if "disable_plugins" in values:
        check_disabled(dispatcher)
    if "options" in values:
        check_options(dispatcher)
        for name in values["options"].keys() & backends.keys():
            run_options(backends[name], dispatcher.config)


class use_backend:  # noqa: N801 - as above
    """Name the backend of every call in a ``with`` block, or in a decorated function.

    It applies only to the current thread and task, and to tasks started from there. The argument
    ``backend=`` of a call overrides it; it overrides configuration. `convhub.settings` sets this and more.

    Parameters
    ----------
    name : str
        The backend, used or refused as if each call had named it; or ``"auto"``.

    Raises
    ------
    ArgumentTypeError
        If `name` is not a text.
    UnknownBackendError
        When the block is entered, if there is no such backend.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> with convhub.use_backend("naive"):
    ...     convhub.conv2d(np.ones((1, 2, 2)), np.ones((1, 1, 2, 2)))
    array([[[4.]]])
    >>> @convhub.use_backend("numpy")
    ... def blur(image):
    ...     return convhub.conv2d(image, np.full((1, 1, 3, 3), 1 / 9), padding="same")
    """

    def __init__(self, name: str) -> None:
        if not issubclass(type(name), str):
            raise ArgumentTypeError(f"name is {describe(name)}; it must be the name of a backend")
        self.name = str.__str__(name)  # a plain str, since a subclass may redefine comparison
        self._frame = Frame({"backend": self.name})

    def __enter__(self) -> None:
        check_name(self.name, "context", current_dispatcher())
        enter(self._frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leave(self._frame)

    def __call__(self, function: F) -> F:
        """Return the function or coroutine function, wrapped to run inside this context."""
        return _inside(self, function)


def _inside(context: AbstractContextManager[None], function: F) -> F:
    """Return a function that enters a context each time it is called."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ArgumentTypeError(
            f"function is the generator {function.__qualname__}; put the with block inside it, since "
            "a generator runs in the contexts of those that advance it"
        )
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with context:
                return await function(*args, **kwargs)

        return awaited  # type: ignore[return-value]

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with context:
            return function(*args, **kwargs)

    return called  # type: ignore[return-value]
