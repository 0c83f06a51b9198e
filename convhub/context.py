"""`use_backend`: name a backend for a block, a function or a task."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from .arrays import describe
from .dispatch import check_name, named_in_context
from .errors import ArgumentTypeError

__all__ = ["use_backend"]

F = TypeVar("F", bound=Callable[..., Any])


class use_backend:  # noqa: N801 - used as a function is, like `contextlib.suppress`
    """Name the backend of every call in a ``with`` block, or in a decorated function.

    Only the current thread and task are concerned, and tasks that start from there. An argument
    ``backend=`` of a call is stronger; configuration is weaker.

    Parameters
    ----------
    name : str
        The backend, which is used or refused, as if each call had named it; or ``"auto"``.

    Raises
    ------
    ArgumentTypeError
        If `name` is no text.
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
        self.name = str.__str__(name)  # a plain one, whatever a subclass makes of comparing names

    def __enter__(self) -> None:
        check_name(self.name, "context")
        # A stack in an immutable tuple, and no token kept on self: one object may be entered again, and
        # by several threads at once.
        named_in_context.set((*named_in_context.get(), self.name))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        names = list(named_in_context.get())
        # Its own, wherever it is: a generator may leave in another order than it entered.
        del names[len(names) - 1 - names[::-1].index(self.name)]
        named_in_context.set(tuple(names))

    def __call__(self, function: F) -> F:
        """Return `function`, or coroutine function, that runs inside this context."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ArgumentTypeError(
                f"function is the generator {function.__qualname__}; put the with block inside it, since "
                "a generator runs in the contexts of those that advance it"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return called  # type: ignore[return-value]
