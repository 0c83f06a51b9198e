"""Defines the directive ``backend-table``, a table of what convhub's own backends declare.

It reads `Capabilities`, which needs neither a GPU nor the library of a backend.
"""

from __future__ import annotations

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from convhub import plugins
from convhub.backend import Backend
from convhub.problem import ITEM_BYTES, PRIMITIVES

DEVICES = ("cpu", "cuda")
PARAMETERS = ("stride", "padding", "asymmetric_padding", "dilation", "groups")


class BackendTable(SphinxDirective):
    """A line for each backend, then a table with a column for each backend and a row for each property."""

    def run(self) -> list[nodes.Node]:
        """Return both as docutils nodes."""
        return self.parse_text_to_nodes("\n".join(_lines(own_backends())))


def own_backends() -> list[Backend]:
    """Return convhub's own backends, in the order of their preference."""
    found = [backend for backend, _ in plugins.registry(plugins=False).backends.values()]
    return sorted(found, key=lambda b: (-b.preference.get("cpu", -1000), -b.preference.get("cuda", -1000)))


def _lines(backends: list[Backend]) -> Iterator[str]:
    for backend in backends:
        yield f"- `{backend.name}`: {backend.summary}"
    yield ""
    yield "| | " + " | ".join(f"`{backend.name}`" for backend in backends) + " |"
    yield "| --- |" + " --- |" * len(backends)
    for label, cells in _rows(backends):
        yield f"| {label} | " + " | ".join(cells) + " |"


def _rows(backends: list[Backend]) -> Iterator[tuple[str, list[str]]]:
    yield "devices", [", ".join(backend.capabilities.devices) for backend in backends]
    yield "arrays", [backend.capabilities.arrays for backend in backends]
    for device in DEVICES:
        yield f"chosen on {device}", [_turn(backend, device, backends) for backend in backends]
    for primitive in PRIMITIVES:
        yield f"`{primitive}`", [_mark(primitive in backend.primitives) for backend in backends]
    yield "gradients of any order", [_mark(backend.primitives == PRIMITIVES) for backend in backends]
    for dtype in ITEM_BYTES:
        if any(_takes(backend, dtype) != "–" for backend in backends):
            yield dtype, [_takes(backend, dtype) for backend in backends]
    for name in PARAMETERS:
        label = name.replace("_", " ")
        yield label, [_mark(getattr(backend.capabilities, name)) for backend in backends]
    yield "accuracy class", [_accuracy(backend) for backend in backends]
    yield "equal bits for equal calls", [_mark(backend.capabilities.deterministic) for backend in backends]


def _mark(is_so: bool) -> str:
    return "yes" if is_so else "–"


def _turn(backend: Backend, device: str, backends: list[Backend]) -> str:
    """Return the position at which a backend is tried on a device, if none is named."""
    if device not in backend.capabilities.devices:
        return "–"
    if device not in backend.preference:
        return "when named"
    higher = sum(
        other.preference.get(device, -1000) > backend.preference[device]
        for other in backends
        if device in other.capabilities.devices
    )
    ordinals = ("first", "second", "third", "fourth", "fifth")
    return ordinals[higher] if higher < len(ordinals) else f"{higher + 1}th"


def _takes(backend: Backend, dtype: str) -> str:
    """Return whether a backend takes a dtype, or the primitives that take it."""
    taking = [name for name in backend.primitives if dtype in backend.capabilities.dtypes_of(name)]
    return _mark(bool(taking)) if len(taking) in (0, len(backend.primitives)) else ", ".join(taking)


def _accuracy(backend: Backend) -> str:
    declared = backend.capabilities.accuracy
    return declared if backend.accuracy is None else f"{declared}, or better for some problems"


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("backend-table", BackendTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
