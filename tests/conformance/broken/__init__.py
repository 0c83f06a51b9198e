"""Backends with one realistic fault each, which the conformance suite must find at level quick.

`faults` says what a fault is and keeps all of them; each other file holds those of one kind. `caught.json`
records on which quick problem each is found; ``record`` renews it, and docs/conformance-faults.md with it.
"""

from __future__ import annotations

from convhub.backend import hookimpl

from . import (
    after_some_calls,
    answers,
    arithmetic,
    bias,
    bias_cases,
    caches,
    callers,
    contract,
    deep_channels,
    geometry,
    gradients,
    integers,
    kernels,
    lines,
    memory,
    nonfinite_values,
    offsets,
    precision,
    refusals,
    single_sizes,
    sizes,
    special_values,
    state,
    threads,
    tolerated,
    types,
    types_and_sizes,
    views,
)
from .faults import FAULTS, TOLERATED, Fault, right_backend, variants

__all__ = ["FAULTS", "TOLERATED", "Fault", "convhub_backends", "right_backend", "variants"]

KINDS = (
    geometry,
    sizes,
    lines,
    kernels,
    offsets,
    deep_channels,
    single_sizes,
    types_and_sizes,
    gradients,
    bias,
    bias_cases,
    arithmetic,
    precision,
    special_values,
    nonfinite_values,
    integers,
    types,
    contract,
    answers,
    refusals,
    memory,
    views,
    state,
    caches,
    after_some_calls,
    threads,
    callers,
    tolerated,
)


@hookimpl
def convhub_backends():
    """Return every broken backend, every tolerated one, and the right one that all are made of."""
    made = [fault.backend(primitive) for fault, primitive in variants(FAULTS)]
    made += [fault.backend(primitive) for fault, primitive in variants(TOLERATED)]
    return [*made, right_backend]
