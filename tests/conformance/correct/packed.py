"""The second operand is packed once for equal numbers: a cache whose keys say everything."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import numpy as np

from convhub.backend import Backend, Capabilities

from . import sliding

_lock = threading.Lock()
_packed: OrderedDict = OrderedDict()
#: How many are kept.
MOST = 8


def _pack(array, problem):
    array = np.ascontiguousarray(array)
    key = problem, hashlib.blake2b(array.tobytes()).digest()
    with _lock:
        if key not in _packed:
            _packed[key] = np.asfortranarray(array)
            if len(_packed) > MOST:
                _packed.popitem(last=False)
        return _packed[key]


def packed_forward(x, w, bias, problem, options):
    return sliding.backend.forward(x, _pack(w, problem), bias, problem, options)


def packed_grad_input(dy, w, bias, problem, options):
    return sliding.backend.grad_input(dy, _pack(w, problem), bias, problem, options)


backend = Backend(
    "packed",
    Capabilities(dtypes=("float64", "complex64"), long_sums=False),
    *(packed_forward, packed_grad_input),
)
