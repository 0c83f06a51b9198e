"""The backend ``fft``: convolution as products of spectra, by scipy.fft; for large kernels.

A kernel of R by S costs a direct convolution R · S products an output; here it costs one for each frequency,
and transforms that hardly depend on its size. Where one transform takes more than the sums themselves, as it
does for small kernels and for few outputs, these are made tap by tap. `convhub explain` tells which.

Accuracy
    ``normwise``: a transform mixes all pixels of an image, so that rounding errors of the largest ones reach
    all others. Transforms are in float64, for float32 too. Taps are ``componentwise``, and run where accuracy
    is to be strict. They add the sums of images one after another, so that ``long_sums`` is False.
Not finite
    A transform would spread one NaN over the whole image, so images whose results are not finite are summed
    again tap by tap, many times slower; so is what overflows in a spectrum, and not in its result.
Memory
    At most ``options.workspace_limit`` beyond operands and result. Where not even the spectra of one image
    and kernel fit, everything is summed tap by tap, which takes a row of all channels at the least.
Threads
    ``options.threads`` for transforms and products of spectra. Sums by taps are products of NumPy's BLAS,
    which has threads of its own. The bits do not depend on how many there are.
"""

from __future__ import annotations

from convhub.backend import Accuracy, Array, Backend, Capabilities, Problem, RunOptions, hookimpl

__all__ = ["convhub_backends", "convhub_contract"]

convhub_contract = 1


# scipy takes a while to import, so it waits for the first call.


def forward(x: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``y``; see `convhub_fft.engine`."""
    from . import engine

    return engine.forward(x, w, bias, problem, options)


def grad_input(dy: Array, w: Array, bias: Array | None, problem: Problem, options: RunOptions) -> Array:
    """Return ``dx``; see `convhub_fft.engine`."""
    from . import engine

    return engine.grad_input(dy, w, bias, problem, options)


def grad_weight(dy: Array, x: Array, problem: Problem, options: RunOptions) -> Array:
    """Return ``dw``; see `convhub_fft.engine`."""
    from . import engine

    return engine.grad_weight(dy, x, problem, options)


def algorithm(problem: Problem, options: RunOptions) -> str:
    """Name what runs, ``fft`` or ``taps``; see `convhub_fft.plan`."""
    from .plan import plan_of

    return "fft" if plan_of(problem, options) is not None else "taps"


def accuracy(problem: Problem, options: RunOptions) -> Accuracy:
    """Return the accuracy class of what runs."""
    return "normwise" if algorithm(problem, options) == "fft" else "componentwise"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``fft``."""
    return [
        Backend(
            "fft",
            Capabilities(dtypes=("float32", "float64"), accuracy="normwise", long_sums=False),
            forward,
            grad_input,
            grad_weight,
            algorithm=algorithm,
            accuracy=accuracy,
            summary="products of spectra, by scipy.fft; for large kernels",
        )
    ]
