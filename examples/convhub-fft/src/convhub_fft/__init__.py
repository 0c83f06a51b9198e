"""Defines the backend ``fft``: convolution as products of spectra, by scipy.fft, for large kernels.

A direct convolution with a kernel of R by S takes R · S products per output; this one takes one for each
frequency, and transforms that hardly depend on the size of the kernel. If one transform takes more operations
than the sums themselves, as for small kernels and few outputs, the sums are computed tap by tap.
`convhub explain` shows which.

Accuracy
    ``normwise``: a transform mixes all pixels of an image, so that rounding errors of the largest ones reach
    all others. Transforms use float64, for float32 too. Taps are ``componentwise``, and run if accuracy is
    ``"strict"``. They add the sums of images one after another, so ``long_sums`` is False.
Values that are not finite
    A transform would spread one NaN over the whole image, so images whose results are not finite are
    recomputed tap by tap, many times slower; so are images that overflow only in a spectrum.
Memory
    At most ``options.workspace_limit`` beyond operands and result. If not even the spectra of one image and
    kernel fit, everything is summed tap by tap, which needs at least one row of all channels.
Threads
    ``options.threads`` for transforms and products of spectra. Sums by taps are products of NumPy's BLAS,
    which has its own threads, so ``threads`` is False. The bits do not depend on the number of threads.
"""

from __future__ import annotations

from convhub.backend import Accuracy, Array, Backend, Capabilities, Problem, RunOptions, hookimpl

__all__ = ["convhub_backends", "convhub_contract"]

convhub_contract = 1


# scipy is imported at the first call, since its import is slow.


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
    """Return the name of the algorithm that runs, ``fft`` or ``taps``; see `convhub_fft.plan`."""
    from .plan import plan_of

    return "fft" if plan_of(problem, options) is not None else "taps"


def accuracy(problem: Problem, options: RunOptions) -> Accuracy:
    """Return the accuracy class of the algorithm that runs."""
    return "normwise" if algorithm(problem, options) == "fft" else "componentwise"


@hookimpl
def convhub_backends() -> list[Backend]:
    """Return the backend ``fft``."""
    return [
        Backend(
            "fft",
            Capabilities(dtypes=("float32", "float64"), accuracy="normwise", long_sums=False, threads=False),
            forward,
            grad_input,
            grad_weight,
            algorithm=algorithm,
            accuracy=accuracy,
            summary="products of spectra, by scipy.fft; for large kernels",
        )
    ]
