"""Checks a backend as a whole: what it declares, what it imports, and gradients of its gradients."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from .. import api
from ..backend import Accuracy, RunOptions
from ..callers_code import raised_by_caller
from ..config import current
from ..dispatch.options import run_options
from ..errors import ConvhubError
from ..problem import ITEM_BYTES, PRIMITIVES, Problem
from .calls import refuse_fallback, refused, registered
from .checks import threads
from .levels import narrowed, quick, usual_dtypes
from .problems.cases import declared_problem
from .subjects import Subject
from .trial import CheckFailure, Skip, Trial
from .verify import Finding
from .watch import watching

__all__ = ["WHOLE_CHECKS", "check_whole"]

#: Libraries that a plugin may import only when it is first called.
HEAVY = ("cupy", "jax", "numba", "pandas", "scipy", "tensorflow", "torch")

_IMPORT_ONE_PLUGIN = """
import importlib.metadata, json, sys
import convhub
already = set(sys.modules)
for entry in importlib.metadata.entry_points(group="convhub", name=sys.argv[1]):
    entry.load()
print(json.dumps(sorted(set(sys.modules) - already)))
"""


class Broken(Exception):  # noqa: N818 - the name says what it is
    """A backend broke a promise that concerns no single problem."""


def declaration(subject: Subject, seed: int) -> None:
    """Check that at least one primitive is declared, and only dtypes and devices that exist."""
    backend = registered(subject.backend).backend
    if not backend.primitives:
        raise Broken(f"backend {subject.backend!r} offers no primitive")
    unknown = set(backend.capabilities.devices) - {"cpu", "cuda"}
    if unknown:
        raise Broken(f"devices are {sorted(unknown)}; they must be of 'cpu' and 'cuda'")
    accuracy = backend.capabilities.accuracy
    if type(accuracy) is not str or accuracy not in get_args(Accuracy):
        raise Broken(f"the accuracy class is {accuracy!r}; it must be {_CLASSES}")
    for primitive in backend.primitives:
        dtypes = backend.capabilities.dtypes_of(primitive)
        if not dtypes:
            raise Broken(f"backend {subject.backend!r} offers {primitive}, and declares no dtype for it")
        for dtype in dtypes:
            if dtype not in ITEM_BYTES:
                raise Broken(f"{primitive} declares the dtype {dtype!r}, which convhub does not know")


#: The accuracy classes, as messages show them.
_CLASSES = " or ".join(map(repr, get_args(Accuracy)))

#: How many declared problems a backend may decline, none taken, before it is taken to decline all.
DRAWS = 400


def takes_what_it_declares(subject: Subject, seed: int) -> None:
    """Check that at least one problem is taken of those that the capabilities declare."""
    entry = registered(subject.backend)
    rng = np.random.default_rng(seed)
    reason: object = None
    drawn = (declared_problem(rng, entry.backend, subject.device) for _ in range(DRAWS))
    for problem in (*quick(entry.backend, subject.device), *drawn):
        if entry.backend.capabilities.refusal(problem) is not None:
            continue
        reason = refused(subject.backend, problem)
        if reason is None:
            return
    raise Broken(f"no problem of those that its capabilities declare is taken; the last reason: {reason}")


def answers(subject: Subject, seed: int) -> None:
    """Check that `supports`, `accuracy`, `algorithm` and `compile` answer as the contract requires."""
    entry = registered(subject.backend)
    backend, options = entry.backend, run_options(entry, current())
    rng = np.random.default_rng(seed)
    supported = None
    for _ in range(30):
        problem = declared_problem(rng, backend, subject.device)
        answer = backend.supports(problem)
        supported = problem if answer is True else supported
        if answer is not True and not (isinstance(answer, str) and answer):
            raise Broken(f"supports({problem}) gave {answer!r}; it must be True or a reason")
        if answer is True and backend.accuracy is not None:
            accuracy = backend.accuracy(problem, options)
            if type(accuracy) is not str or accuracy not in get_args(Accuracy):
                raise Broken(f"accuracy({problem}) gave {accuracy!r}; it must be {_CLASSES}")
        if answer is True and backend.algorithm is not None:
            name = backend.algorithm(problem, options)
            if not isinstance(name, str):
                raise Broken(f"algorithm({problem}) gave {name!r}; it must be a text")
    if supported is not None and backend.compile is not None:
        _compiles(backend.compile, supported, options)


def _compiles(function: Callable[[Problem, RunOptions], int], problem: Problem, options: RunOptions) -> None:
    """Check one problem only, since compiling takes seconds."""
    try:
        counts = [function(problem, options) for _ in range(2)]
    except ConvhubError:  # as the contract allows where nothing can be kept
        return
    if not all(type(count) is int and count >= 0 for count in counts):
        raise Broken(f"compile({problem}) gave {counts[0]!r}; it must be a number of kernels")
    if counts[1]:
        raise Broken(f"compile({problem}) gave {counts[1]} when called again; it must be 0")


def first_calls(subject: Subject, seed: int) -> None:
    """Check that threads get right results which all make their first call at once.

    It comes before all that calls the backend, so that whatever is set up once is set up here.
    """
    backend = registered(subject.backend).backend
    problems = [
        narrowed(Problem.parse(f"{primitive}_{usual[0]}_{FIRST}_{subject.device}"), backend.capabilities)
        for primitive in PRIMITIVES
        if (usual := usual_dtypes(backend, primitive))
    ]
    trials = [Trial(subject.backend, p, seed, "first calls") for p in problems]
    trials = [trial for trial in trials if refused(subject.backend, trial.problem) is None]
    if not trials:
        raise Skip("the backend takes none of the problems")
    try:
        threads.first_calls(trials)
    except CheckFailure as failure:
        raise Broken(f"{failure.what}; each thread made its first call then") from failure


def light_import(subject: Subject, seed: int) -> None:
    """Check that heavy libraries are not imported before the first call."""
    origin = registered(subject.backend).origin
    if origin.distribution == "this process":
        raise Skip("registered by hand, so there is no plugin to import")
    safe = ["-P"] if sys.flags.safe_path else []
    command = [sys.executable, *safe, "-c", _IMPORT_ONE_PLUGIN, origin.plugin]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    heavy = set(json.loads(printed.splitlines()[-1])) & set(HEAVY)
    if heavy:
        raise Broken(f"{origin} imports {', '.join(sorted(heavy))}; it must wait until it is called")


#: The problem of first calls.
FIRST = "n2c4h9w8_k6r3s3_pad1x1"

#: The problem to differentiate: every parameter differs from its default, and each axis from the other.
DIFFERENTIATED = "float64_n2c2h5w6_k4r3s2_stride2x1_pad1x2_dilation1x2_groups2"


def gradients(subject: Subject, seed: int) -> None:
    """Check autograd of first and second order against finite differences, by `torch.autograd.gradcheck`."""
    problem = Problem.parse(f"{DIFFERENTIATED}_{subject.device}")
    for primitive in PRIMITIVES:
        reason = refused(subject.backend, problem.replace(primitive=primitive))
        if reason is not None:
            raise Skip(f"autograd needs {primitive} as well: {reason}")
    try:
        import torch
    except ImportError as error:
        raise Skip("torch is not installed") from error
    parameters: dict[str, Any] = {
        "stride": problem.stride,
        "padding": (1, 2),
        "dilation": problem.dilation,
        "groups": problem.groups,
        "backend": subject.backend,
    }
    random = torch.Generator().manual_seed(seed)

    def operand(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(subject.device).requires_grad_()

    function: Callable[..., Any]
    for function, shape, channels in (
        (api.conv2d, problem.input_shape, problem.out_channels),
        (api.conv_transpose2d, problem.output_shape, problem.in_channels),
    ):
        operands = [operand(*shape), operand(*problem.weight_shape), operand(channels)]

        def of(*given: Any, function: Callable[..., Any] = function) -> Any:
            return function(*given, **parameters)

        # Both raise if they find a difference.
        torch.autograd.gradcheck(of, operands, fast_mode=True)
        torch.autograd.gradgradcheck(of, operands, fast_mode=True)


#: Each check by its name: a function of a subject and a seed that raises if a promise is broken.
WHOLE_CHECKS: dict[str, Callable[[Subject, int], None]] = {
    "declaration": declaration,
    "first calls": first_calls,
    "takes what it declares": takes_what_it_declares,
    "answers": answers,
    "light import": light_import,
    "gradients": gradients,
}


def check_whole(name: str, subject: Subject, seed: int = 0) -> Finding:
    """Run the check of that name; it fails if the backend raises, or lets another backend compute."""
    refuse_fallback()
    passed = Finding(subject.backend, None, name, "passed", None, "", seed)
    with watching(subject.backend) as others:
        try:
            WHOLE_CHECKS[name](subject, seed)
        except Skip as skip:
            finding = passed._replace(outcome="skipped", detail=str(skip))
        except Broken as broken:
            finding = passed._replace(outcome="failed", detail=str(broken))
        # This is a plugin's code: whatever it raises is the finding, `SystemExit` and pytest's outcomes too.
        except BaseException as error:
            if raised_by_caller(error):
                raise
            finding = passed._replace(outcome="failed", detail=f"{type(error).__name__}: {error}")
        else:
            finding = passed
    if others.complaint:
        return finding._replace(outcome="failed", detail=others.complaint)
    return finding
