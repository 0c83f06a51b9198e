"""The directive ``settings``: every setting and its environment variable, from the configuration's schema.

``{backend-options}`` describes the options that convhub's own backends have.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

from docutils import nodes
from numpydoc.docscrape import ClassDoc
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from convhub import plugins
from convhub.cli.config import as_toml
from convhub.config import KEYS, VARIABLES, Settings


class SettingsReference(SphinxDirective):
    """Each setting, with type, default, variable and meaning."""

    def run(self) -> list[nodes.Node]:
        """Return them as nodes of Sphinx."""
        return self.parse_text_to_nodes("\n".join(_settings()))


class BackendOptions(SphinxDirective):
    """The options of convhub's own backends, from the dataclasses that they declare."""

    def run(self) -> list[nodes.Node]:
        """Return them as nodes of Sphinx."""
        return self.parse_text_to_nodes("\n".join(_options()))


def _settings() -> Iterator[str]:
    defaults, types = Settings(), get_type_hints(Settings)
    variables = {key: variable for variable, key in VARIABLES.items()}
    for key, (meaning, right) in KEYS.items():
        yield from _head(key, types[key], getattr(defaults, key))
        yield from (f"{meaning[0].upper()}{meaning[1:]}.", "", f"May be {right}.", "")
        yield from (f":::{{envvar}} {variables[key]}", "The same, from the environment.", ":::", "::::", "")


def _options() -> Iterator[str]:
    for name, (backend, _) in sorted(plugins.registry(plugins=False).backends.items()):
        if backend.options is None:
            continue
        described = {found.name: found.desc for found in ClassDoc(backend.options)["Parameters"]}
        types = get_type_hints(backend.options)
        for field in dataclasses.fields(backend.options):
            yield from _head(f"options.{name}.{field.name}", types[field.name], field.default)
            yield from (" ".join(described[field.name]).replace("``", "`"), "::::", "")


def _head(key: str, kind: Any, default: Any) -> Iterator[str]:
    yield f"::::{{confval}} {key}"
    yield f":type: {json.dumps(_written(kind))}"
    yield f":default: {json.dumps(f'`{as_toml(default)}`')}"
    yield ""


def _written(kind: Any) -> str:
    """Return a type, or one value of a `Literal`, as people write it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict or kind is dict:
        return "table"
    if origin is list:
        return f"list of {_written(arguments[0])}"
    if arguments:  # of a union, or of a Literal
        return ", or ".join(map(_written, arguments))
    if isinstance(kind, type):
        return {str: "text", int: "number", bool: "true or false"}[kind]
    return as_toml(kind)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives."""
    app.add_directive("settings", SettingsReference)
    app.add_directive("backend-options", BackendOptions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
