"""Explains which backend would run a call, and why each other one would not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from . import api, arguments
from .arrays import describe
from .dispatch.candidates import Verdict, automatic, verdicts
from .dispatch.choose import NotMeasured, choose
from .dispatch.dispatcher import Dispatcher, current_dispatcher
from .dispatch.request import BackendRequest, make_request
from .errors import ArgumentTypeError, BackendError, one_line, short_repr
from .parameters import mask_of_three
from .plugins import Failure
from .problem import Problem, with_primitive

__all__ = ["Explanation", "Part", "explain", "outcome_of", "what_each_says"]


class Part(NamedTuple):
    """What would happen to one problem.

    Parameters
    ----------
    problem : Problem
        The problem to compute.
    backend : str
        The name of the backend that would run it; empty if it would be refused, or must be measured first.
    algorithm : str
        That backend's name for its algorithm; may be empty.
    source : str
        Where the choice of the backend comes from; empty if there is none.
    verdicts : tuple of Verdict
        Each backend's verdict.
    refusal : str
        The error message if it would be refused; else empty.
    to_measure : tuple of str
        The backends that a call would measure first, since ``tune`` is on and the problem is new.
    """

    problem: Problem
    backend: str
    algorithm: str
    source: str
    verdicts: tuple[Verdict, ...]
    refusal: str
    to_measure: tuple[str, ...] = ()


class Explanation(NamedTuple):
    """What would happen in one call: a part for each primitive that it needs.

    It prints as a table for people.

    Parameters
    ----------
    parts : tuple of Part
        One for each primitive.
    failures : tuple of Failure
        The plugins and backends that could not be loaded.
    """

    parts: tuple[Part, ...]
    failures: tuple[Failure, ...]

    @property
    def backend(self) -> str:
        """The backend of the first part; empty if it would be refused, measured first, or nothing runs."""
        return self.parts[0].backend if self.parts else ""

    def __repr__(self) -> str:
        """Return the table, for use at a prompt."""
        return str(self)

    def __str__(self) -> str:
        lines: list[str] = []
        for part in self.parts:
            lines += [str(part.problem), f"  {outcome_of(part)}"]
            others = [(f"{name}:", said) for name, said in what_each_says(part) if name != part.backend]
            width = max((len(name) for name, _ in others), default=0)
            lines += [f"  {name:<{width}} {said}" for name, said in others]
        lines += [
            f"  {one_line(f.name, 60)}: could not be loaded from {f.origin}: {f.reason}"
            for f in self.failures
        ]
        return "\n".join(lines)


def explain(what: Problem | str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Explanation:
    """Return which backend (and algorithm) would run a call, and why each other one would not.

    Nothing is computed or measured: if ``tune`` is on and the problem is new, this says which backends would
    be measured.

    Parameters
    ----------
    what : Problem, str or function
        A problem, its text, or one of the four functions of convhub.
    *args, **kwargs
        With a function: the arguments of the call. With a problem: at most ``backend=``.

    Returns
    -------
    Explanation
        Print it, or read its parts.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the problem or the call is wrong in itself.

    Examples
    --------
    >>> import numpy as np, convhub
    >>> x, w = np.ones((1, 3, 8, 8)), np.ones((4, 3, 3, 3))
    >>> convhub.explain(convhub.conv2d, x, w, padding=1, backend="naive").backend
    'naive'
    >>> print(convhub.explain("forward_n1c3h8w8_k4r3s3_dilation9"))
    Traceback (most recent call last):
    ...
    convhub.errors.ShapeError: weight has a kernel of (3, 3), which with dilation (9, 9) spans 19 in height; \
the padded input (8, 8) with padding ((0, 0), (0, 0)) has only 8, and must have 19 or more
    """
    problems = _problems(what, args, kwargs)
    request = make_request(kwargs.get("backend"))
    dispatcher = current_dispatcher()
    parts = tuple(_part(problem, request, dispatcher) for problem in problems)
    return Explanation(parts, dispatcher.registry.failures)


def _problems(what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Problem]:
    """Return the problems that the arguments of `explain` describe."""
    for function, problems_of in _PROBLEMS.items():
        if what is function:
            try:
                bound = inspect.signature(function).bind(*args, **kwargs)
            except TypeError as error:
                raise ArgumentTypeError(
                    f"explain was given arguments that {function.__name__} does not take: {error}"
                ) from error
            return problems_of(bound)
    if issubclass(type(what), str):
        what = Problem.parse(what)
    if not issubclass(type(what), Problem):
        raise ArgumentTypeError(
            f"what is {describe(what)}; it must be a Problem, its text, or one of convhub's four functions"
        )
    if args or kwargs.keys() - {"backend"}:
        raise ArgumentTypeError(
            f"explain of a problem was given {short_repr([*args, *kwargs])}; it takes only backend="
        )
    return [what]


def outcome_of(part: Part) -> str:
    """Return in one line what would happen to a problem."""
    if part.backend:
        algorithm = f" ({part.algorithm})" if part.algorithm else ""
        return f"would run on {part.backend}{algorithm}, by {part.source}"
    if part.to_measure:
        return f"would be measured first, since tune is on, on {', '.join(part.to_measure)}"
    # The lines after the first have the reason of each backend.
    return f"would be refused: {part.refusal.splitlines()[0].removesuffix(':')}"


def what_each_says(part: Part) -> list[tuple[str, str]]:
    """Return each backend with its reason against a problem, or its part in running it."""
    rows = []
    for name, reason in part.verdicts:
        if name == part.backend:
            reason = "runs it"
        elif name in part.to_measure:
            reason = "would be measured; the fastest runs it"
        rows.append((name, reason or why_not_chosen(name, part.problem)))
    return rows


def why_not_chosen(name: str, problem: Problem) -> str:
    """Return why a backend that can run `problem` was not chosen."""
    tried = automatic(problem.device, current_dispatcher())
    return "could run it, but is not chosen" if name in tried else "could run it, but only when it is named"


def _part(problem: Problem, request: BackendRequest, dispatcher: Dispatcher) -> Part:
    said = verdicts(problem, dispatcher)
    try:
        choice = choose(problem, request, measure=False)
    except NotMeasured as unknown:
        return Part(problem, "", "", "", said, "", unknown.candidates)
    except BackendError as error:
        return Part(problem, "", "", "", said, str(error))
    return Part(problem, choice.backend.name, choice.algorithm, choice.source, said, "")


def _conv2d(bound: inspect.BoundArguments, extra: str) -> Problem:
    bound.apply_defaults()
    given = bound.arguments
    call, _ = arguments.conv2d_call(
        {name: given[name] for name in ("input", "weight", extra)},
        *(given[name] for name in ("stride", "padding", "dilation", "groups")),
    )
    return call.problem


def _conv_transpose2d(bound: inspect.BoundArguments, extra: str) -> Problem:
    bound.apply_defaults()
    given = bound.arguments
    call, _ = arguments.conv_transpose2d_call(
        {name: given[name] for name in ("input", "weight", extra)},
        *(given[name] for name in ("stride", "padding", "output_padding", "groups", "dilation")),
    )
    return call.problem


def _gradients(problem: Problem, bound: inspect.BoundArguments) -> list[Problem]:
    mask = mask_of_three(bound.arguments["output_mask"])
    for_input = with_primitive(problem, "grad_input" if problem.primitive == "forward" else "forward")
    candidates = (for_input, with_primitive(problem, "grad_weight"))
    return [candidate for candidate, is_wanted in zip(candidates, mask, strict=False) if is_wanted]


_PROBLEMS: dict[Any, Callable[[inspect.BoundArguments], list[Problem]]] = {
    api.conv2d: lambda bound: [_conv2d(bound, "bias")],
    api.conv2d_backward: lambda bound: _gradients(_conv2d(bound, "grad_output"), bound),
    api.conv_transpose2d: lambda bound: [_conv_transpose2d(bound, "bias")],
    api.conv_transpose2d_backward: lambda bound: _gradients(_conv_transpose2d(bound, "grad_output"), bound),
}
