"""Backends with one realistic fault each, which the conformance suite must find at level quick.

`faults` says what a fault is and keeps all of them; each other file holds those of one kind. `caught.json`
records on which quick problem each is found; ``record`` renews it, and docs/conformance-faults.md with it.
"""

from __future__ import annotations

from convhub.backend import hookimpl

from . import (
    arithmetic,
    between_calls,
    bias,
    callers,
    classes,
    contract,
    fast_products,
    geometry,
    gradients,
    integers,
    layers,
    leaks,
    memory,
    noise,
    process_state,
    scales,
    sizes,
    special_values,
    state,
    tensors,
    threads,
    tolerated,
    views,
    workspace,
)
from .faults import FAULTS, TOLERATED, Fault, right_backend, variants

__all__ = ["FAULTS", "TOLERATED", "Fault", "convhub_backends", "right_backend", "variants"]

KINDS = (
    geometry,
    sizes,
    layers,
    gradients,
    bias,
    arithmetic,
    special_values,
    scales,
    fast_products,
    integers,
    contract,
    memory,
    views,
    state,
    between_calls,
    threads,
    callers,
    process_state,
    noise,
    classes,
    tensors,
    leaks,
    workspace,
    tolerated,
)


@hookimpl
def convhub_backends():
    """Return every broken backend, every tolerated one, and the right one that all are made of."""
    made = [fault.backend(primitive) for fault, primitive in variants(FAULTS)]
    made += [fault.backend(primitive) for fault, primitive in variants(TOLERATED)]
    return [*made, right_backend]
