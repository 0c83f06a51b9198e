"""Keeps `torch.compile` from tracing convhub, without importing torch.

torch's compiler, Dynamo, traces Python code and compiles a version of it for each new number that it meets:
for convhub's checks of arguments that is once per layer, until its limit is reached. convhub's work is no
torch graph, so Dynamo should call it untraced. That takes three measures, two of which are possible only once
Dynamo has been imported, which may happen at any time:

- public functions carry a mark that makes Dynamo call them from a compiled function without tracing;
- this package's files are on Dynamo's skip list, since Dynamo looks at each frame when it runs;
- functions marked by `hidden`, and the backends' code below them, run with Dynamo turned off.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["hidden", "hide_from_dynamo", "is_hidden", "opaque"]

F = TypeVar("F", bound=Callable[..., Any])

#: Whether Dynamo has been found and configured.
is_hidden = False

_lock = threading.Lock()
_hidden: list[Any] = []


def opaque(function: F) -> F:
    """Mark a function as one that Dynamo calls but does not trace, as `torch.compiler.disable` does."""
    marked: Any = function
    marked._torchdynamo_disable = True
    marked._torchdynamo_disable_msg = "convhub chooses a backend and calls it; that is no graph of torch's"
    return function


def hidden(function: F) -> F:
    """Run a function, and everything that it calls, with Dynamo turned off once Dynamo is imported.

    Until then it is the function itself, which costs nothing; then its name in its module is rebound to a
    wrapper.
    """
    _hidden.append(function)
    return function


@opaque
def hide_from_dynamo() -> None:
    """Tell Dynamo what not to trace, if it is imported. Public functions begin with this call."""
    global is_hidden
    torch = sys.modules.get("torch")
    # The attribute is set at the end of the import, the entry in `sys.modules` at its start; and asking torch
    # for an attribute that is missing would import it.
    dynamo: Any = None if torch is None else vars(torch).get("_dynamo")
    if dynamo is None:
        return
    with _lock:
        if not is_hidden:
            dynamo.trace_rules.add(__package__)
            for function in _hidden:
                function.__globals__[function.__name__] = dynamo.disable(function)
            is_hidden = True
