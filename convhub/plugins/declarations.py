"""Validates what a plugin declares: its contract, and each of its backends.

The functions named ``wrong_*`` return in one line what is wrong, or None. All read a plugin's objects, which
may raise anything; `convhub.plugins` catches it.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import sys
from collections.abc import Mapping
from typing import Any, get_args

from ..backend import CONTRACT, Accuracy, ArrayLibrary, Backend, Capabilities, KernelCache
from ..errors import short_repr
from ..problem import ITEM_BYTES, PRIMITIVES

__all__ = ["stated_contract", "written_contract", "wrong_backend", "wrong_contract", "wrong_name"]

#: The longest name and summary of a backend; both are shown in tables.
LONGEST_NAME, LONGEST_SUMMARY = 60, 500

#: The attribute in which a plugin states the contract that it was made for.
NAME = "convhub_contract"

_SWITCHES = (
    *("groups", "stride", "dilation", "padding", "asymmetric_padding"),
    *("deterministic", "long_sums", "threads"),
)

_FUNCTIONS = ("availability", "supports", "algorithm", "accuracy", "compile", "compile_profile", "expect")


# --- the contract -----------------------------------------------------------------------------------------


def stated_contract(plugin: Any, module: str) -> object:
    """Return the contract that a loaded plugin or its module states, or None."""
    beside = getattr(sys.modules.get(module), NAME, None)
    return getattr(plugin, NAME, beside)


def written_contract(module: str) -> object:
    """Return the contract that a module's source states, even if it cannot run, or None.

    A plugin for a later contract may use features that this convhub does not have, and so fail before it can
    be asked.
    """
    spec = importlib.util.find_spec(module)
    source = getattr(spec.loader, "get_source", lambda _: None)(module) if spec else None
    for statement in ast.parse(source or "").body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Constant):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(target, ast.Name) and target.id == NAME for target in targets):
                return statement.value.value
    return None


def wrong_contract(stated: object, distribution: str, convhub_version: str) -> str | None:
    """Return why a plugin that states such a contract is refused, or None."""
    written = short_repr(stated)
    offers = f"this convhub {convhub_version}".rstrip() + f" offers contract {CONTRACT}"
    if stated is None:
        return (
            f"it does not say for which contract it was made, and {offers}: if that is the one, write "
            f"{NAME} = {CONTRACT} beside its hooks"
        )
    if type(stated) is not int:
        return f"it has {NAME} = {written}, which must be a number such as {CONTRACT}"
    if stated > CONTRACT:
        other = f"upgrade convhub, or install a {distribution} made for contract {CONTRACT}"
    else:
        other = f"upgrade {distribution}, or install a convhub that offers contract {written}"
    return None if stated == CONTRACT else f"it was made for contract {written}, and {offers}: {other}"


# --- a backend --------------------------------------------------------------------------------------------


def wrong_backend(backend: Any) -> str | None:
    """Return why dispatch and tables could not work with a backend, or None."""
    if not issubclass(type(backend), Backend):
        return (
            f"its convhub_backends() returned {short_repr(backend)}, which is not a convhub.backend.Backend"
        )
    if not issubclass(type(backend.capabilities), Capabilities):
        return (
            f"its convhub_backends() returned {short_repr(backend)}, whose capabilities are not a "
            "convhub.backend.Capabilities"
        )
    wrong = wrong_name(backend.name)
    if wrong is not None:
        return f"one of its backends is named {short_repr(backend.name)}; {wrong}"
    wrong = _wrong_capabilities(backend.capabilities) or _wrong_fields(backend)
    return None if wrong is None else f"its backend {backend.name!r} declares {wrong}"


def wrong_name(name: object) -> str | None:
    """Return why no backend can have such a name, or None.

    Examples
    --------
    >>> wrong_name("my-loops"), wrong_name("auto")
    (None, "'auto' means automatic choice, and cannot be a name")
    """
    if type(name) is not str or not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
        return "a name has lowercase letters, digits, - and _ only, and begins with a letter"
    if len(name) > LONGEST_NAME:
        return f"a name has at most {LONGEST_NAME} characters"
    return "'auto' means automatic choice, and cannot be a name" if name == "auto" else None


def _wrong_capabilities(can: Capabilities) -> str | None:
    by_primitive = can.dtypes if isinstance(can.dtypes, Mapping) else dict.fromkeys(PRIMITIVES, can.dtypes)
    for primitive, dtypes in by_primitive.items():
        if primitive not in PRIMITIVES:
            return f"dtypes for {short_repr(primitive)}, which is not one of {', '.join(PRIMITIVES)}"
        if not isinstance(dtypes, tuple) or not all(name in ITEM_BYTES for name in dtypes):
            return (
                f"dtypes {short_repr(dtypes)}; they must be a tuple of names such as ('float32', 'float64')"
            )
    if not isinstance(can.devices, tuple) or not set(can.devices) <= {"cpu", "cuda"}:
        return f"devices {short_repr(can.devices)}; they must be a tuple of 'cpu' and 'cuda'"
    if can.arrays not in get_args(ArrayLibrary):
        return f"arrays {short_repr(can.arrays)}; it must be one of {', '.join(get_args(ArrayLibrary))}"
    if can.accuracy not in get_args(Accuracy):
        return f"accuracy {short_repr(can.accuracy)}; it must be one of {', '.join(get_args(Accuracy))}"
    for name in _SWITCHES:
        if type(getattr(can, name)) is not bool:
            return f"{name} {short_repr(getattr(can, name))}; it must be True or False"
    return None


def _wrong_fields(backend: Backend) -> str | None:
    order = backend.preference
    if not isinstance(order, Mapping) or not all(type(rank) is int for rank in order.values()):
        return f"preference {short_repr(order)}; it must map device types to integers"
    summary = backend.summary
    if type(summary) is not str or len(summary) > LONGEST_SUMMARY or len(summary.splitlines()) > 1:
        right = f"a string of one line, up to {LONGEST_SUMMARY} characters"
        return f"summary {short_repr(summary)}; it must be {right}"
    wrong = _wrong_options(backend.options)
    if wrong is not None:
        return wrong
    for field in (*PRIMITIVES, *_FUNCTIONS):
        value = getattr(backend, field)
        if not callable(value) and (value is not None or field in ("availability", "supports")):
            return f"{field} {short_repr(value)}; it must be a function"
    return _wrong_kernel_cache(backend.kernel_cache)


def _wrong_kernel_cache(cache: Any) -> str | None:
    if cache is None:
        return None
    if not issubclass(type(cache), KernelCache):
        return f"kernel_cache {short_repr(cache)}; it must be a convhub.backend.KernelCache, or None"
    for field in dataclasses.fields(KernelCache):
        value = getattr(cache, field.name)
        if not callable(value):
            return f"a kernel_cache whose {field.name} is {short_repr(value)}; it must be a function"
    return None


def _wrong_options(options: Any) -> str | None:
    if options is None:
        return None
    if not isinstance(options, type) or not dataclasses.is_dataclass(options):
        return f"options {short_repr(options)}; it must be a dataclass, or None"
    for field in dataclasses.fields(options):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            return f"options whose {short_repr(field.name)} has no default; each must have one"
    return None
