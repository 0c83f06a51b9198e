"""Finds the backend that a call asks for: by its argument, or by the block around it."""

from __future__ import annotations

from typing import NamedTuple

from ..arrays import describe
from ..config.overrides import Overrides, overrides_here
from ..errors import ArgumentTypeError

__all__ = ["BackendRequest", "make_request"]


class BackendRequest(NamedTuple):
    """The requested backend, and where it was named: "argument" or "context". None: see the configuration.

    `overrides` are the settings of the `convhub.settings` blocks around the call; None: those around the code
    that makes the choice. A backward pass may run in another thread, where these blocks are not in force.
    """

    name: str | None
    source: str
    overrides: Overrides | None = None


def make_request(backend: str | None) -> BackendRequest:
    """Return the requested backend: the `backend` argument of a call, or else the innermost block's.

    The name ``"auto"`` asks for automatic choice, whatever is configured.

    Raises
    ------
    ArgumentTypeError
        If `backend` is neither a text nor None.
    """
    overrides = overrides_here()
    if backend is None:
        if overrides is None:
            return _NOBODY
        name = overrides.backend
        return BackendRequest(name, "default" if name is None else "context", overrides)
    if type(backend) is not str:
        raise ArgumentTypeError(
            f"backend is {describe(backend)}; it must be the name of a backend, as a plain str, or None"
        )
    return BackendRequest(backend, "argument", overrides)


_NOBODY = BackendRequest(None, "default")
