"""Backends with one realistic fault each, which the conformance suite must find at level quick.

`faults` says what a fault is and keeps all of them; each other file holds those of one kind. `caught.json`
records on which quick problem each is found; ``record`` renews it, and docs/conformance-faults.md with it.
"""

from __future__ import annotations

from types import ModuleType

from convhub import plugins
from convhub.backend import hookimpl

from . import (
    after_some_calls,
    answers,
    arithmetic,
    between_calls,
    bias,
    bias_cases,
    caches,
    callers,
    classes,
    contract,
    deep_channels,
    fast_products,
    geometry,
    gradients,
    integers,
    kernels,
    layers,
    leaks,
    lines,
    memory,
    noise,
    nonfinite_values,
    offsets,
    once_missed,
    precision,
    process_state,
    refusals,
    scales,
    several_callers,
    single_sizes,
    sizes,
    special_values,
    state,
    strides,
    tensors,
    threads,
    tolerated,
    types,
    types_and_sizes,
    views,
    workspace,
)
from .faults import FAULTS, TOLERATED, Fault, right_backend, variants

__all__ = ["FAULTS", "TOLERATED", "Fault", "register", "right_backend", "unregister", "variants"]

KINDS = (
    geometry,
    sizes,
    lines,
    kernels,
    offsets,
    layers,
    deep_channels,
    single_sizes,
    types_and_sizes,
    once_missed,
    gradients,
    bias,
    bias_cases,
    arithmetic,
    precision,
    special_values,
    nonfinite_values,
    scales,
    fast_products,
    integers,
    types,
    contract,
    answers,
    refusals,
    memory,
    views,
    strides,
    state,
    between_calls,
    caches,
    after_some_calls,
    threads,
    callers,
    several_callers,
    process_state,
    noise,
    classes,
    tensors,
    leaks,
    workspace,
    tolerated,
)


#: How many backends one plugin offers here; convhub takes no more than 1000 of one.
MOST = 500


def register() -> None:
    """Register every broken backend, every tolerated one, and the right one that all are made of."""
    made = [fault.backend(primitive) for fault, primitive in variants(FAULTS)]
    made += [fault.backend(primitive) for fault, primitive in variants(TOLERATED)]
    made.append(right_backend)
    for part in range(0, len(made), MOST):
        plugin = ModuleType(f"broken {part}")
        plugin.convhub_backends = _offering(made[part : part + MOST])
        plugins.register(plugin, plugin.__name__)
        _registered.append(plugin.__name__)


def _offering(backends):
    """Return the hook that offers these backends."""

    @hookimpl
    def convhub_backends():
        return backends

    return convhub_backends


def unregister() -> None:
    """Take them out again."""
    while _registered:
        plugins.unregister(_registered.pop())


_registered: list[str] = []
