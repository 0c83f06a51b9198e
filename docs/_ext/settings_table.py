"""Defines the directive ``settings``, which lists every setting of the schema with variable and example.

``{backend-options}`` describes the options of convhub's own backends.
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
from convhub.cli.setting_values import as_toml
from convhub.config import KEYS, VARIABLES, Settings

LAYER = "forward_n8c64h56w56_k64r3s3_pad1x1"
SMALL = "forward_n1c1h4w4_k1r3s3"

#: For each setting, a command that shows its effect; the build adds its output.
EXAMPLES = {
    "backend": f"CONVHUB_BACKEND=numpy convhub explain {SMALL}",
    "priority": f"CONVHUB_PRIORITY=naive,numpy convhub explain {SMALL}",
    "fallback": "CONVHUB_BACKEND=numba CONVHUB_FALLBACK=true convhub explain forward_int64_n1c1h4w4_k1r3s3",
    "accuracy": f"CONVHUB_ACCURACY=strict convhub explain {LAYER} --backend numba | grep would",
    "threads": f"CONVHUB_THREADS=1 convhub explain {LAYER} --backend numba | grep would",
    "workspace_limit": f"CONVHUB_WORKSPACE_LIMIT='128 KiB' convhub explain {LAYER} | grep would",
    "allow_tf32": "CONVHUB_ALLOW_TF32=true convhub config | grep tf32",
    "tune": "CONVHUB_TUNE=true convhub config | grep tune",
    "verbose": (
        "CONVHUB_VERBOSE=true CONVHUB_BACKEND=numpy python -c "
        "'import numpy, convhub; convhub.conv2d(numpy.ones((1, 4, 4)), numpy.ones((1, 1, 3, 3)))'"
    ),
    "check": "CONVHUB_CHECK=true convhub config | grep check",
    "plugins": "CONVHUB_PLUGINS=false convhub config | grep plugins",
    "disable_plugins": "CONVHUB_DISABLE_PLUGINS=cupy,torch convhub backends",
    "options": f"CONVHUB_OPTIONS=numba.winograd=never convhub explain {LAYER} --backend numba | grep would",
}


class SettingsReference(SphinxDirective):
    """Each setting, with its allowed values, default, meaning, variable and an example."""

    def run(self) -> list[nodes.Node]:
        """Return them as docutils nodes."""
        return self.parse_text_to_nodes("\n".join(_settings()))


class BackendOptions(SphinxDirective):
    """The options of convhub's own backends, from the dataclasses that they declare."""

    def run(self) -> list[nodes.Node]:
        """Return them as docutils nodes."""
        return self.parse_text_to_nodes("\n".join(_options()))


def _settings() -> Iterator[str]:
    defaults = Settings()
    variables = {key: variable for variable, key in VARIABLES.items()}
    for key, (meaning, right) in KEYS.items():
        yield from _head(key, right, getattr(defaults, key))
        yield from (f"{meaning[0].upper()}{meaning[1:]}.", "")
        yield from (f":::{{envvar}} {variables[key]}", "The same, from the environment.", ":::", "")
        yield from (":::{example}", EXAMPLES[key], ":::", "::::", "")


def _options() -> Iterator[str]:
    for name, (backend, _) in sorted(plugins.registry(plugins=False).backends.items()):
        if backend.options is None:
            continue
        described = {found.name: found.desc for found in ClassDoc(backend.options)["Parameters"]}
        types = get_type_hints(backend.options)
        for field in dataclasses.fields(backend.options):
            kind = _written(types[field.name])
            yield from _head(f"options.{name}.{field.name}", kind, field.default)
            yield from (" ".join(described[field.name]).replace("``", "`"), "::::", "")


def _head(key: str, kind: str, default: Any) -> Iterator[str]:
    yield f"::::{{confval}} {key}"
    yield f":type: {json.dumps(kind, ensure_ascii=False)}"
    yield f":default: {json.dumps(f'`{as_toml(default)}`')}"
    yield ""


def _written(kind: Any) -> str:
    """Return a readable name of a type, or of one value of a `Literal`."""
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
