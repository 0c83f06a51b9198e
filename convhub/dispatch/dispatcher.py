"""Holds the settings and plugins that decisions are based on, and the decisions made under them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import plugins
from ..backend import Backend
from ..config import MOST_BLOCKS, Config, current, outside_blocks
from ..config.overrides import Overrides
from ..plugins import Registry
from ..problem import Problem
from .choice import Choice
from .queries import Refusal

__all__ = ["Dispatcher", "Memory", "current_dispatcher", "known_dispatcher", "make_dispatcher"]

#: The most choices kept outside of blocks, and inside of them: each is small, but shapes vary without end.
MOST_CHOICES = 4096
MOST_CHOICES_INSIDE = 512


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Answers and warnings that are asked for or given only once, inside and outside of blocks.

    Threads that ask for the first time at the same moment may each be answered. It is discarded when the
    settings outside of blocks, `base`, change. `availability` has each backend's answer; `warnings` has what
    distinguishes each warning that was given.
    """

    base: Config
    availability: dict[Backend, Refusal | None] = field(default_factory=dict)
    warnings: set[tuple[str, ...]] = field(default_factory=set)


@dataclass(frozen=True, slots=True, eq=False)
class Dispatcher:
    """The settings in force, the backends under them, and the decisions made.

    `choices` are keyed by the problem and the backend request. There are at most `most_choices`, and they may
    be cleared at any time.
    """

    config: Config
    registry: Registry
    memory: Memory
    most_choices: int
    choices: dict[tuple[Problem, str | None, str], Choice] = field(default_factory=dict)


#: The dispatchers of the settings in force, outside of blocks and inside of those entered so far.
_dispatchers: dict[Config, Dispatcher] = {}
_memory: Memory | None = None

#: Returns the dispatcher of a Config, or None if there is none yet; bound once, since every call needs it.
known_dispatcher = _dispatchers.get


def current_dispatcher(overrides: Overrides | None = None) -> Dispatcher:
    """Return the dispatcher of the settings in force now, which loads the plugins when it is first needed.

    Parameters
    ----------
    overrides : Overrides, optional
        As for `convhub.config.current`.

    Raises
    ------
    ConfigurationError
        If a setting is wrong.
    """
    config = current(overrides)
    return known_dispatcher(config) or make_dispatcher(config)


def make_dispatcher(config: Config) -> Dispatcher:
    """Return a new dispatcher, which replaces those of settings that are no longer in force."""
    global _memory
    registry = plugins.registry(config.settings.plugins, config.settings.disable_plugins)
    base, memory = outside_blocks(), _memory
    if memory is None or memory.base is not base:
        memory = _memory = Memory(base)
        _dispatchers.clear()  # They belonged to other settings.
    inside = [known for known in list(_dispatchers) if known is not base]
    if config is not base and len(inside) >= MOST_BLOCKS:
        for known in inside:
            _dispatchers.pop(known, None)
    most_choices = MOST_CHOICES if config is base else MOST_CHOICES_INSIDE
    dispatcher = _dispatchers[config] = Dispatcher(config, registry, memory, most_choices)
    return dispatcher
