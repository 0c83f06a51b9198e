"""The backend ``torch``: torch's own convolution as an engine, on CPU and CUDA.

On CPU it is never picked unless it is named or measured to be faster: a caller with torch tensors could
have called torch. It is here to be compared with, and so that one configuration serves every machine.

Threads
    ``options.threads`` is not used. torch's number of threads belongs to the whole process, so a
    convolution should not change it; set it with ``torch.set_num_threads``. With another number of
    threads, gradients have other bits (oneDNN and torch divide their sums among threads), so the
    backend does not declare itself deterministic; with the same number, bits are the same.
Long sums
    Some of torch's sums of very many equal numbers leave convhub's bound: on CPU by 23 times at 65,536 terms
    and 76 times at a million (torch 2.13), which are added one after another. So the backend declares
    ``long_sums=False``.
Types
    Complex numbers are computed as real and imaginary parts. On CPU, 16-bit floats are widened to float32
    first, which takes memory for the copies.
Not finite
    On CPU, operands with NaN or infinities are computed again, tap by tap, where torch's padding would
    spread them. On CUDA they are not looked for, since that would wait for the device: a NaN in
    grad_output may reach weights there that it is not multiplied for.
"""

from __future__ import annotations

from importlib.util import find_spec

from convhub.backend import Answer, Array, Backend, Capabilities, Problem, RunOptions, hookimpl

__all__ = ["convhub_backends", "convhub_contract"]

#: The version of the contract in `convhub.backend` that this backend was written for.
convhub_contract = 1

# torch convolves some integers, but without dilation, and has no gradients for them.
_DTYPES = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")


def availability() -> Answer:
    """Say whether torch is installed, without importing it."""
    if find_spec("torch") is None:
        return "torch is not installed: pip install 'convhub[torch]'"
    return True


def supports(problem: Problem) -> Answer:
    """Say whether this torch can use the device of the problem."""
    if problem.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            return "torch finds no CUDA device, or was built without CUDA"
    return True


def algorithm(problem: Problem, options: RunOptions) -> str:
    """Name the library that torch passes the problem to, as far as its type tells."""
    if problem.device == "cuda":
        return "cuDNN"
    return "torch" if problem.dtype in ("float64", "complex128") else "oneDNN"


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``; see `convhub_torch.engine`."""
    from . import engine

    return engine.forward(x, w, bias, problem, options)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``; see `convhub_torch.engine`."""
    from . import engine

    return engine.grad_input(dy, w, bias, problem, options)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``; see `convhub_torch.engine`."""
    from . import engine

    return engine.grad_weight(dy, x, problem, options)


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``torch``."""
    return [
        Backend(
            "torch",
            Capabilities(
                dtypes=_DTYPES,
                devices=("cpu", "cuda"),
                arrays="torch",
                deterministic=False,
                long_sums=False,
                threads=False,
            ),
            forward,
            grad_input,
            grad_weight,
            availability=availability,
            supports=supports,
            algorithm=algorithm,
            preference={"cuda": 10},
            summary="torch's own convolution (oneDNN, cuDNN)",
        )
    ]
