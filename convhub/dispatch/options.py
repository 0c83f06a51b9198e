"""Parses a backend's own options, and passes them on with the settings that concern its arithmetic."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import types
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..backend import Backend, RunOptions
from ..callers_code import raised_by_caller
from ..config import Config
from ..errors import BackendContractError, ConfigurationError, describe_error, did_you_mean, short_repr
from ..plugins import RegisteredBackend
from ..system.apart import apart

__all__ = ["run_options", "wrong_options"]


def run_options(registered: RegisteredBackend, config: Config) -> RunOptions:
    """Return the settings that concern a backend's arithmetic, with its own options in their declared types.

    Raises
    ------
    ConfigurationError
        If ``[options.NAME]`` holds an option that the backend does not have, or a wrong value.
    BackendContractError
        If the type that the backend declares for its options cannot be made.
    """
    backend = registered.backend
    table = config.settings.options.get(backend.name, {})
    own: Any = None
    if table or backend.options is not None:
        for error in wrong_options(registered, config):
            raise error
        own = _made(backend, table)
    return RunOptions(
        threads=config.threads,
        workspace_limit=config.workspace_limit,
        accuracy=config.settings.accuracy,
        allow_tf32=config.settings.allow_tf32,
        backend=own,
    )


@functools.cache
def _msgspec() -> Any:
    """Return the library that converts types: only needed for backends with options of their own."""
    return apart(importlib.import_module, "msgspec")


def _made(backend: Backend, table: dict[str, Any]) -> Any:
    return None if backend.options is None else _msgspec().convert(table, backend.options)


def wrong_options(
    registered: RegisteredBackend, config: Config
) -> Iterator[ConfigurationError | BackendContractError]:
    """Yield an error for each option that a backend does not have, or that has a wrong value."""
    backend = registered.backend
    table = config.settings.options.get(backend.name, {})
    known = [field.name for field in dataclasses.fields(backend.options)] if backend.options else []
    for word in sorted(table.keys() - {*known}):
        place = config.place_of("options", backend.name, word)
        yield ConfigurationError(
            f"{place}: [options.{backend.name}] has {short_repr(word)}; that backend has "
            f"{', '.join(sorted(known)) or 'no options'}.{did_you_mean(word, known)}"
        )
    table = {word: value for word, value in table.items() if word in known}
    try:
        _made(backend, table)
    except _msgspec().ValidationError as error:
        yield from _wrong_values(backend, table, config, error)
    except BaseException as error:
        if raised_by_caller(error):
            raise
        wrong = BackendContractError(
            f"{registered} declares options of the type {backend.options.__name__}, "  # type: ignore[union-attr]
            f"which cannot be made from {short_repr(table, 200)}: {describe_error(error)}"
        )
        wrong.__cause__ = error
        yield wrong


def _wrong_values(
    backend: Backend, table: dict[str, Any], config: Config, error: Exception
) -> Iterator[ConfigurationError]:
    """Yield an error for each option whose value has a wrong type; `error` is that of the whole table."""
    hints = get_type_hints(backend.options, include_extras=True)
    found = False
    for word, value in table.items():
        try:
            _msgspec().convert(value, hints[word])
        except _msgspec().ValidationError as reason:
            found = True
            place = config.place_of("options", backend.name, word)
            right = written_type(hints[word])
            words = _words(hints[word])
            said_by_type = "" if words else f" ({reason})"
            near = did_you_mean(value, words) if isinstance(value, str) else ""
            wrong = ConfigurationError(
                f"{place}: options.{backend.name}.{word} is {short_repr(value)}; it must be "
                f"{right or 'what that backend declares'}{said_by_type}.{near}"
            )
            wrong.__cause__ = reason
            yield wrong
    if not found:  # only the combination of values is refused
        place = config.place_of("options", backend.name)
        yield ConfigurationError(f"{place}: [options.{backend.name}] is {short_repr(table)}: {error}")


def written_type(kind: Any) -> str:
    """Return the allowed values of an option of a type, in words; empty where only the type itself can tell.

    Examples
    --------
    >>> written_type(Literal["auto", "never"]), written_type(int | None)
    ('"auto" or "never"', 'a whole number')
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        import json

        return _listed(json.dumps(value) for value in arguments)
    if origin in (Union, types.UnionType):
        words = [written_type(part) for part in arguments if part is not type(None)]
        return _listed(words) if all(words) else ""
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
    return plain.get(kind, "")


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _words(kind: Any) -> list[str]:
    """Return the texts that a type allows, as far as it names them."""
    if get_origin(kind) is Literal:
        return [value for value in get_args(kind) if isinstance(value, str)]
    return [word for part in get_args(kind) for word in _words(part)]
