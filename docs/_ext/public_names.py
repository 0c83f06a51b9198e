"""Warns, which is an error in this build, where the reference and the list of public names do not agree."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from public_surface import PUBLIC
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)

Surface = Mapping[str, Sequence[str]]


def missing(public: Surface, described: AbstractSet[str]) -> Iterator[str]:
    """Yield the public names that are not among those that are described."""
    for module, names in public.items():
        for name in names:
            full = f"{module}.{name}"
            if full not in described and not _is_described_elsewhere(full, described):
                yield full


def unlisted(public: Surface, described: AbstractSet[str]) -> Iterator[str]:
    """Yield what is described and is neither a public name nor an attribute of one, nor a public module."""
    known = {*public, *(f"{module}.{name}" for module, names in public.items() for name in names)}
    for full in sorted(described):
        if full not in known and full.rpartition(".")[0] not in known - {*public}:
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
    # autodoc adds, as an alias, the name by which the module has it that defines it.
    objects = env.domaindata["py"]["objects"]
    described = {name for name, entry in objects.items() if not entry.aliased}
    for name in missing(PUBLIC, described):
        logger.warning("%s is public, and no page of docs/reference describes it", name)
    for name in unlisted(PUBLIC, described):
        logger.warning(
            "%s is described, and is not among the public names of docs/_ext/public_surface.py", name
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the check that runs when all pages are read."""
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
