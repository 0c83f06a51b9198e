"""Images shared out to a pool of threads that is started at the first call, and anew in a forked process."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from convhub.backend import Backend, Capabilities

from . import sliding

#: The most threads.
MOST = 8

_lock = threading.Lock()
_pools: dict[int, ThreadPoolExecutor] = {}


def _after_fork():
    global _lock
    _lock = threading.Lock()  # another thread may have held it
    _pools.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _map(function, count, threads):
    """Return the function's results for each index, by at most so many threads."""
    if threads == 1 or count < 2:
        return [function(i) for i in range(count)]
    with _lock:
        pool = _pools.setdefault(os.getpid(), ThreadPoolExecutor(MOST))
    workers = min(threads, count, MOST)
    shares = [range(i, count, workers) for i in range(workers)]
    found = list(pool.map(lambda share: [(i, function(i)) for i in share], shares))
    return [result for _, result in sorted((pair for share in found for pair in share), key=lambda p: p[0])]


def _by_image(name):
    right = getattr(sliding.backend, name)

    def function(first, second, bias, problem, options):
        one = problem.replace(batch=1)

        def image(i):
            return right(first[i : i + 1], second, bias, one, options)

        found = _map(image, problem.batch, options.threads)
        return np.concatenate(found) if found else np.zeros(problem.result_shape, first.dtype)

    return function


def pooled_grad_weight(dy, x, problem, options):
    """Add up the images' gradients in their order, so that bits do not depend on the threads."""
    one = problem.replace(batch=1)

    def image(i):
        return sliding.backend.grad_weight(dy[i : i + 1], x[i : i + 1], one, options)

    found = _map(image, problem.batch, options.threads)
    return np.stack(found).sum(axis=0) if found else np.zeros(problem.result_shape, dy.dtype)


backend = Backend(
    "pooled",
    Capabilities(dtypes=("float32", "float64"), long_sums=False),
    *(_by_image("forward"), _by_image("grad_input"), pooled_grad_weight),
)
