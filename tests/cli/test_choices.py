"""Options with a few possible values are such as every allowed typer understands, and read well."""

from __future__ import annotations

import typing

import pytest

from convhub.bench.results import Memory
from convhub.cli import choices
from convhub.cli.app import app
from convhub.conformance.author import LEVELS
from convhub.problem import PRIMITIVES

CALLBACKS = [command.callback for command in app.registered_commands]


def parts(hint):
    """Yield a type hint and whatever it is made of."""
    yield hint
    for argument in typing.get_args(hint):
        yield from parts(argument)


@pytest.mark.parametrize("callback", CALLBACKS, ids=lambda callback: callback.__name__)
def test_no_option_is_a_literal(callback):
    """typer before 0.19 ends every command, ``--version`` included, where one option is a `Literal`."""
    hints = typing.get_type_hints(callback, include_extras=True)
    assert not [
        name for name in hints if any(typing.get_origin(p) is typing.Literal for p in parts(hints[name]))
    ]


def test_the_choices_are_those_of_what_they_stand_for():
    assert [choice.value for choice in choices.LevelChoice] == sorted(LEVELS, reverse=True)
    assert {choice.value for choice in choices.PrimitiveChoice} == {*PRIMITIVES, "all"}
    assert {choice.value for choice in choices.MemoryChoice} - {"both"} < set(typing.get_args(Memory))
    assert [choice.value for choice in choices.AccuracyChoice] == ["standard", "strict"]


def test_a_wrong_choice_is_told_with_the_right_ones(run):
    result = run("conformance", "numpy", "--level", "foo")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "'foo' is not one of 'quick', 'full'" in result.stderr


def test_choices_reach_what_runs_as_plain_texts(run):
    """A member of an enum would show as ``<MemoryChoice.keep: 'keep'>`` in messages."""
    help_text = " ".join(run("bench", "--help").stdout.split())
    for shown in ("forward|grad_input|grad_weight|all", "standard|strict", "both|keep|system"):
        assert shown in help_text
    result = run(
        "bench", "--memory", "system", "--device", "cuda", "--against", "numpy", "--backend", "numpy"
    )
    assert result.exit_code == 2
    assert "MemoryChoice" not in result.stderr
