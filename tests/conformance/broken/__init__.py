"""Backends with one realistic fault each, which the conformance suite must find at level quick.

`faults` says what a fault is and keeps all of them; each other file holds those of one kind. `caught.json`
records on which quick problem each is found; ``record`` renews it, and docs/conformance-faults.md with it.
"""

from __future__ import annotations

from convhub.backend import hookimpl

from . import (
    arithmetic,
    bias,
    classes,
    contract,
    geometry,
    gradients,
    integers,
    leaks,
    memory,
    noise,
    process_state,
    sizes,
    special_values,
    state,
    tensors,
    threads,
    tolerated,
    workspace,
)
from .faults import FAULTS, TOLERATED, Fault, right_backend, variants

__all__ = ["FAULTS", "TOLERATED", "Fault", "convhub_backends", "right_backend", "variants"]

KINDS = (
    geometry,
    sizes,
    gradients,
    bias,
    arithmetic,
    special_values,
    integers,
    contract,
    memory,
    state,
    threads,
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
