"""Warns, which is an error in this build, of each public name that the reference does not describe."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

#: The modules whose ``__all__`` is the public interface.
MODULES = ("convhub", "convhub.backend", "convhub.hookspecs", "convhub.errors", "convhub.conformance")


def missing(modules: Iterable[str], described: AbstractSet[str]) -> Iterator[str]:
    """Yield the public names of modules that are not in `described`."""
    for module in modules:
        for name in importlib.import_module(module).__all__:
            full = f"{module}.{name}"
            if full not in described and not _is_described_elsewhere(full, described):
                yield full


def _is_described_elsewhere(full: str, described: AbstractSet[str]) -> bool:
    """Return whether an object is described under another name, such as ``convhub.errors.X``."""
    module, _, name = full.rpartition(".")
    thing = getattr(importlib.import_module(module), name)
    others = (other for other in described if other.endswith(f".{name}"))
    return any(_thing(other) is thing for other in others)


def _thing(full: str) -> object:
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name, None)


def _check(_: Sphinx, env: BuildEnvironment) -> None:
    for name in missing(MODULES, env.domaindata["py"]["objects"].keys()):
        logger.warning("%s is public, and no page of docs/reference describes it", name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the check that runs when all pages are read."""
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
