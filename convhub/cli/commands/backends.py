"""Implements ``convhub backends``, which lists the installed backends, their abilities and availability."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from ...backend import Backend, Capabilities
from ...dispatch.candidates import automatic, availability
from ...dispatch.dispatcher import Dispatcher, current_dispatcher
from ...plugins import RegisteredBackend, Registry
from ...problem import PRIMITIVES
from ..failures import failure_row, show_failures
from ..json_output import STDOUT, JsonOption, write_json
from ..output import listed, new_table, show

__all__ = ["backends"]

DEVICES = ("cpu", "cuda")

#: The default of a backend's `supports`.
_ALWAYS = next(field.default for field in dataclasses.fields(Backend) if field.name == "supports")


def backends(json_file: JsonOption = None) -> None:
    """List the backends, and the plugins that failed to load.

    The backends that are tried when none is named come first, in that order.
    """
    dispatcher = current_dispatcher()
    registry = dispatcher.registry
    order = _order(dispatcher)
    missing = {name: availability(registry.backends[name], dispatcher) for name in _ranked(registry, order)}
    if json_file is not None:
        rows = [_row(registry.backends[name], reason) for name, reason in missing.items()]
        failures = [failure_row(failure) for failure in registry.failures]
        write_json({"backends": rows, "order": order, "failures": failures}, json_file)
    if json_file == STDOUT:
        return
    if missing:
        show(_table(registry, missing))
        for name, reason in missing.items():
            if reason is not None:
                show(f"{name} is not available: {reason}")
        for line in _limits(registry):
            show(line)
        show(_order_line(order, missing))
    else:
        show("No backend is registered.")
    if registry.failures:
        show("")
    show_failures(registry.failures)


def _order(dispatcher: Dispatcher) -> dict[str, list[str]]:
    """Return for each device type the names that are tried when none is named, in order."""
    return {device: automatic(device, dispatcher) for device in DEVICES}


def _ranked(registry: Registry, order: dict[str, list[str]]) -> list[str]:
    return list(dict.fromkeys([*order["cpu"], *order["cuda"], *registry.backends]))


def _row(registered: RegisteredBackend, reason: str | None) -> dict[str, Any]:
    backend, origin = registered
    capabilities = backend.capabilities
    return {
        "name": backend.name,
        "summary": backend.summary,
        "plugin": origin.plugin,
        "distribution": origin.distribution,
        "version": origin.version,
        "devices": list(capabilities.devices),
        "primitives": list(backend.primitives),
        "dtypes": {primitive: list(capabilities.dtypes_of(primitive)) for primitive in backend.primitives},
        "arrays": capabilities.arrays,
        "groups": capabilities.groups,
        "stride": capabilities.stride,
        "dilation": capabilities.dilation,
        "padding": capabilities.padding,
        "asymmetric_padding": capabilities.asymmetric_padding,
        "accuracy": capabilities.accuracy,
        "deterministic": capabilities.deterministic,
        "long_sums": capabilities.long_sums,
        "threads": capabilities.threads,
        "decides_on_each_problem": _decides(backend),
        "available": reason is None,
        "reason": reason,
    }


def _table(registry: Registry, missing: dict[str, str | None]) -> Any:
    headers = ("Backend", "From", "Devices", "Dtypes", "Computes", "Accuracy", "Usable")
    table = new_table(*headers, flexible={"From": 8, "Dtypes": 13, "Computes": 8})
    for name, reason in missing.items():
        backend, origin = registry.backends[name]
        table.add_row(
            Text(name, style="bold"),
            f"{origin.distribution} {origin.version}".rstrip(),
            " ".join(backend.capabilities.devices),
            _dtypes(backend.capabilities),
            "all" if backend.primitives == PRIMITIVES else listed(backend.primitives, "nothing"),
            backend.capabilities.accuracy,
            Text("yes", style="green") if reason is None else Text("no", style="yellow"),
        )
    return table


def _limits(registry: Registry) -> Iterator[str]:
    """Yield the parameters that backends do not take, as far as they are declared."""
    parameters = ("groups", "stride", "dilation", "padding", "asymmetric_padding")
    for name, (backend, _) in registry.backends.items():
        lacks = [word for word in parameters if not getattr(backend.capabilities, word)]
        if lacks:
            yield f"{name} takes no {listed(lacks).replace('_', ' ')}."
    deciding = [name for name, (backend, _) in registry.backends.items() if _decides(backend)]
    if deciding:
        verb = "decides" if len(deciding) == 1 else "decide"
        yield f"{listed(deciding)} {verb} on each problem; `convhub explain PROBLEM` tells how."


def _decides(backend: Backend) -> bool:
    """Return whether a backend has its own `supports`."""
    return backend.supports is not _ALWAYS


def _dtypes(capabilities: Capabilities) -> str:
    """Return the dtypes in short form: one list for all primitives, or one for each if they differ."""
    each = {primitive: capabilities.dtypes_of(primitive) for primitive in PRIMITIVES}
    if len(set(each.values())) == 1:
        return _short(each["forward"])
    return "; ".join(f"{primitive}: {_short(dtypes)}" for primitive, dtypes in each.items() if dtypes)


def _short(dtypes: tuple[str, ...]) -> str:
    """Return ``"float16-64 int8"`` for float16, float32, float64 and int8: kinds, and the widths of each."""
    widths: dict[str, list[int]] = {}
    for dtype in dtypes:
        kind = dtype.rstrip("0123456789")
        widths.setdefault(kind, []).append(int(dtype[len(kind) :]))
    return " ".join(kind + _span(sorted(found)) for kind, found in widths.items()) or "none"


def _span(widths: list[int]) -> str:
    doubled = all(b == 2 * a for a, b in itertools.pairwise(widths))
    if len(widths) > 1 and doubled:
        return f"{widths[0]}-{widths[-1]}"
    return "/".join(map(str, widths))


def _order_line(order: dict[str, list[str]], names: dict[str, str | None]) -> str:
    tried = {name for found in order.values() for name in found}
    parts = [f"on {device} {listed(found)}" for device, found in order.items() if found]
    line = f"Tried in this order where none is named: {'; '.join(parts) or 'none'}."
    others = [name for name in names if name not in tried]
    return f"{line} Only when named: {listed(others)}." if others else line
