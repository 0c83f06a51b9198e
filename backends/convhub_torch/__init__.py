"""The backend ``torch``: torch itself as an engine, on CPUs through oneDNN and on GPUs through cuDNN.

Importing this module costs nothing: torch is imported when a primitive is first called. On a CPU it runs
only when it is named, or when tuning finds it faster.
"""

from __future__ import annotations

import importlib.util

from convhub.backend import Answer, Array, Backend, Capabilities, Problem, RunOptions, hookimpl

__all__ = ["convhub_backends"]

DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


def availability() -> Answer:
    """Return True, or what to install."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed: pip install 'convhub[torch]'"
    return True


def supports(problem: Problem) -> Answer:
    """Return True, or that torch finds no GPU."""
    if problem.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            return "torch finds no CUDA device on this machine"
    return True


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``; see `convhub.backend`."""
    from . import engine

    return engine.forward(x, w, bias, problem, options)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``; see `convhub.backend`."""
    from . import engine

    return engine.grad_input(dy, w, bias, problem, options)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``; see `convhub.backend`."""
    from . import engine

    return engine.grad_weight(dy, x, problem, options)


def algorithm(problem: Problem, options: RunOptions) -> str:
    """Name the library that torch hands the problem to."""
    return "cuDNN" if problem.device == "cuda" else "oneDNN"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``torch``."""
    return [
        Backend(
            "torch",
            Capabilities(dtypes=DTYPES, devices=("cpu", "cuda"), arrays="torch"),
            forward,
            grad_input,
            grad_weight,
            availability=availability,
            supports=supports,
            algorithm=algorithm,
            preference={"cuda": 10},
            summary="torch itself",
        )
    ]
