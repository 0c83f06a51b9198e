"""Imports one plugin and asks it for its backends, whatever it does meanwhile.

Nothing that a plugin raises leaves this module, not even `SystemExit`: it becomes the reason why the plugin
is refused. An import that hangs cannot be stopped, and one that ends the process (`os._exit`) cannot be
survived; with the logger ``convhub`` at DEBUG its plugin is the last one named.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import pluggy

from .. import hookspecs
from ..backend import CONTRACT, Backend
from ..callers_code import raised_by_caller
from ..errors import did_you_mean, kind_of, one_line, safe_str, short_repr
from . import declarations

__all__ = ["BY_HAND", "OWN_DISTRIBUTION", "Failure", "Origin", "Source", "ask_backends", "load"]

logger = logging.getLogger("convhub")

#: The most backends that one plugin may provide; more come from a generator that does not end.
MOST_BACKENDS = 1000
#: The distribution that holds this file.
OWN_DISTRIBUTION = "convhub"
#: Serves as the distribution of a plugin that was registered by hand.
BY_HAND = "this process"


class Origin(NamedTuple):
    """Where a plugin comes from.

    Parameters
    ----------
    plugin : str
        The name of its entry point.
    distribution : str
        The installed distribution.
    version : str
        The distribution's version; empty if there is none.
    """

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        owner = one_line(f"{self.distribution} {self.version}".rstrip(), 100)
        return f"plugin {short_repr(self.plugin)} of {owner}"


class Failure(NamedTuple):
    """A plugin, or one backend of it, that cannot be used, and why.

    Parameters
    ----------
    name : str
        The name of the plugin or backend.
    origin : Origin
        Where it comes from.
    reason : str
        Why it cannot be used, in one line or more.
    """

    name: str
    origin: Origin
    reason: str


class Source(NamedTuple):
    """A plugin that has not been loaded yet, and the module that it is or belongs to."""

    origin: Origin
    load: Callable[[], Any]
    module: str


def load(manager: pluggy.PluginManager, source: Source, unique: str) -> str | None:
    """Import a plugin and register it under the name `unique`; return why it is refused, or None."""
    logger.debug("convhub: loading %s", source.origin)
    try:
        plugin = source.load()
        wrong = _wrong_contract(declarations.stated_contract(plugin, source.module), source.origin)
        if wrong is not None:
            return wrong
        manager.register(plugin, name=unique)
        callers = manager.get_hookcallers(plugin) or []
    # Nothing that a plugin's module raises while it is imported may get further.
    except BaseException as error:
        if raised_by_caller(error):
            raise
        raised = f"{kind_of(error)} when it was loaded: {safe_str(error)}"
        other = _contract_of_broken(source)
        return raised if other is None else f"{other} ({raised})"
    known = {name for name in vars(hookspecs) if name.startswith("convhub_")}
    if not callers:
        manager.unregister(name=unique)
        return "it implements no hook; mark its convhub_backends with @convhub.backend.hookimpl"
    for caller in callers:
        if caller.name not in known:
            manager.unregister(name=unique)
            near = did_you_mean(caller.name, known)
            return f"it implements the hook {caller.name!r}, which does not exist.{near}"
    return None


def _wrong_contract(stated: object, origin: Origin) -> str | None:
    if stated is None and origin.distribution == BY_HAND:
        return None  # It was written for the convhub it runs with.
    if type(stated) is int and stated == CONTRACT:
        return None  # No message is needed, so no metadata is read.
    return declarations.wrong_contract(stated, origin.distribution, _own_version())


def _own_version() -> str:
    import importlib.metadata  # too slow for `import convhub`

    try:
        return importlib.metadata.version(OWN_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:  # run from source, not installed
        return ""


def _contract_of_broken(source: Source) -> str | None:
    """Return why the contract of a plugin that cannot be loaded is refused, or None."""
    try:
        written = declarations.written_contract(source.module)
    # The plugin is broken already, and its first error has been kept.
    except BaseException as error:
        if raised_by_caller(error):
            raise
        return None
    return None if written is None else _wrong_contract(written, source.origin)


def ask_backends(function: Callable[[], Any], origin: Origin) -> tuple[list[Backend], list[Failure]]:
    """Call a plugin's `convhub_backends`; return its valid backends, and what is wrong with the others."""
    try:
        answer = list(itertools.islice(function(), MOST_BACKENDS + 1))
    except BaseException as error:
        if raised_by_caller(error):
            raise
        reason = f"{kind_of(error)} from its convhub_backends(): {safe_str(error)}"
        return [], [Failure(origin.plugin, origin, reason)]
    if len(answer) > MOST_BACKENDS:
        reason = f"its convhub_backends() returned more than {MOST_BACKENDS} backends, and may have no end"
        return [], [Failure(origin.plugin, origin, reason)]
    good: list[Backend] = []
    failures: list[Failure] = []
    for backend in answer:
        name = origin.plugin
        try:
            if issubclass(type(backend), Backend) and type(backend.name) is str:
                name = one_line(backend.name, 60)
            wrong = declarations.wrong_backend(backend)
        # A declaration may hold anything, even objects that raise when they are read.
        except BaseException as error:
            if raised_by_caller(error):
                raise
            wrong = f"{kind_of(error)} when the declaration of a backend was read: {safe_str(error)}"
        if wrong is None:
            good.append(backend)
        else:
            failures.append(Failure(name, origin, wrong))
    return good, failures
