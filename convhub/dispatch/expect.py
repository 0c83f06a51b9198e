"""Tells a backend which calls will probably follow the one at hand, so that it can compile meanwhile."""

from __future__ import annotations

import logging

from ..callers_code import raised_by_caller
from ..problem import Primitive, Problem, with_primitive
from .choose import choose
from .request import BackendRequest

__all__ = ["expect"]

logger = logging.getLogger("convhub")

#: What has been told already; it is cleared when it is full.
_told: set[tuple[Problem, str | None, tuple[Primitive, ...]]] = set()
MOST_TOLD = 4096


def expect(problem: Problem, request: BackendRequest, primitives: tuple[Primitive, ...]) -> None:
    """Tell the backend that runs `problem`, once, that calls of other primitives of it will probably follow.

    Parameters
    ----------
    problem : Problem
        The problem at hand.
    request : BackendRequest
        The request for a backend to run it.
    primitives : tuple of str
        The primitives that will follow. Another backend may run them in the end.

    Raises
    ------
    BackendError
        If no backend runs `problem`; nothing that a backend does with the news is raised.
    """
    key = (problem, request.name, primitives)
    if key in _told:
        return
    if len(_told) >= MOST_TOLD:
        _told.clear()
    _told.add(key)
    choice = choose(problem, request)
    function = choice.backend.expect
    for primitive in primitives:
        if function is None or primitive not in choice.backend.primitives:
            continue
        try:
            function(with_primitive(problem, primitive), choice.options)
        # The call at hand needs nothing of this: a failure must neither stop it nor stay unseen.
        except BaseException as error:
            if raised_by_caller(error):
                raise
            logger.exception("convhub: expect of %s failed at %s", choice.origin, problem)
