"""Defines the directive ``command``, which describes a command from the help of the program itself.

``{command} bench`` describes ``convhub bench``; without an argument, ``convhub`` itself. A warning, which is
an error in this build, names options that no page describes. ``{pytest-options}`` describes convhub's options
for pytest.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from types import SimpleNamespace
from typing import Any

import typer.main
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from convhub.cli.app import app as program
from convhub.conformance import plugin

logger = logging.getLogger(__name__)


class Command(SphinxDirective):
    """Usage, help and options of one command."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the content of ``--help`` as docutils nodes."""
        name = self.arguments[0] if self.arguments else ""
        if name and name not in names():
            raise self.error(f"convhub has no command {name!r}; they are {', '.join(names())}")
        return self.parse_text_to_nodes("\n".join(_lines(name)))


class PytestOptions(SphinxDirective):
    """The options that the conformance suite adds to pytest."""

    def run(self) -> list[nodes.Node]:
        """Return them as docutils nodes."""
        lines = [*_directive("program", "pytest"), ""]
        for option, settings in pytest_options().items():
            taken = settings.get("metavar", "") if settings.get("action") != "store_true" else ""
            lines += _directive("option", f"{option} {taken}".strip(), settings["help"])
        return self.parse_text_to_nodes("\n".join(lines))


def names() -> list[str]:
    """Return the names of the commands."""
    return [*typer.main.get_command(program).commands]  # type: ignore[attr-defined]


def parameters(name: str) -> Iterator[tuple[str, str]]:
    """Yield the syntax and the help of each argument and option of a command."""
    command, context = _command(name)
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield record


def pytest_options() -> dict[str, dict[str, Any]]:
    """Return the options that convhub's plugin adds to pytest."""
    added: dict[str, dict[str, Any]] = {}
    group = SimpleNamespace(addoption=lambda option, **settings: added.update({option: settings}))
    parser = SimpleNamespace(getgroup=lambda *_, **__: group, addini=lambda *_, **__: None)
    plugin.pytest_addoption(parser)  # type: ignore[arg-type]
    return added


def _command(name: str) -> tuple[Any, Any]:
    command: Any = typer.main.get_command(program)
    if name:
        command = command.commands[name]
    return command, command.make_context(_full(name), [], resilient_parsing=True)


def _full(name: str) -> str:
    return f"convhub {name}".strip()


def _lines(name: str) -> Iterator[str]:
    command, context = _command(name)
    yield from _directive("program", _full(name))
    yield from inspect.cleandoc(command.help).splitlines()
    yield ""
    yield from ("```text", " ".join((_full(name), *command.collect_usage_pieces(context))), "```", "")
    for written, text in parameters(name):
        yield from _directive("option", written, text)


def _directive(name: str, argument: str, text: str = "") -> list[str]:
    return [f"::::{{{name}}} {argument}", text.replace("[", r"\["), "::::", ""]


def options() -> Iterator[tuple[str, str]]:
    """Yield all pairs of command and option, in Sphinx's notation."""
    for name in ("", *names()):
        for written, _ in parameters(name):
            for option in written.split(", "):
                yield _full(name).replace(" ", "-"), option.partition(" ")[0]


def missing(described: AbstractSet[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the options that are not in `described`."""
    return (option for option in options() if option not in described)


def _check(_: Sphinx, env: BuildEnvironment) -> None:
    for command, option in missing(env.domaindata["std"]["progoptions"].keys()):
        logger.warning("no page describes %s of %s", option, command)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives, and the check that runs when all pages are read."""
    app.add_directive("command", Command)
    app.add_directive("pytest-options", PytestOptions)
    app.connect("env-check-consistency", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
