"""Keeps `torch.compile` from tracing convhub, without importing torch.

torch's compiler, Dynamo, follows Python code and compiles a version of it for each new number that it meets:
for convhub's checks of arguments that is once per layer, until its limit is reached. What convhub does is no
graph of torch's, so Dynamo is to call it as it is. That takes three things, two of which cannot be done
before Dynamo is there, and it may be imported at any time:

- public functions carry a mark, with which Dynamo calls them from a compiled function and does not follow;
- files of this package are on Dynamo's list of those to skip, since it looks at each frame when that runs;
- what runs below `hidden`, which is code of backends, runs with Dynamo turned off.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["hidden", "hide_from_dynamo", "is_hidden", "opaque"]

F = TypeVar("F", bound=Callable[..., Any])

#: Whether Dynamo has been seen, and told.
is_hidden = False

_lock = threading.Lock()
_hidden: list[Any] = []


def opaque(function: F) -> F:
    """Mark a function as one that Dynamo calls and does not trace: what `torch.compiler.disable` does."""
    marked: Any = function
    marked._torchdynamo_disable = True
    marked._torchdynamo_disable_msg = "convhub chooses a backend and calls it; that is no graph of torch's"
    return function


def hidden(function: F) -> F:
    """Let a function, and all that it calls, run with Dynamo turned off, as soon as there is one.

    Until then it is the function itself, which costs nothing; then its name stands for another in its module.
    """
    _hidden.append(function)
    return function


@opaque
def hide_from_dynamo() -> None:
    """Tell Dynamo what it is not to trace, if it is there. Public functions begin with this."""
    global is_hidden
    torch = sys.modules.get("torch")
    # The attribute is set when the import has ended, the entry in `sys.modules` when it begins; and asking
    # torch for an attribute that is not there would import it.
    dynamo: Any = None if torch is None else vars(torch).get("_dynamo")
    if dynamo is None:
        return
    with _lock:
        if not is_hidden:
            dynamo.trace_rules.add(__package__)
            for function in _hidden:
                function.__globals__[function.__name__] = dynamo.disable(function)
            is_hidden = True
