"""Examples of commands in the documentation: each setting has one, and a command that fails is an error."""

from __future__ import annotations

import sys

import pytest
from support.markdown_pages import ROOT

from convhub import config

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import command_examples
import settings_table


def test_every_setting_has_an_example():
    assert set(settings_table.EXAMPLES) == set(config.KEYS)


def test_a_command_is_taken_apart_as_by_a_shell():
    line = "CONVHUB_WORKSPACE_LIMIT='1 MiB' convhub config | grep limit"
    command = command_examples.Command.parse(line)
    assert command == ({"CONVHUB_WORKSPACE_LIMIT": "1 MiB"}, ["convhub", "config"], "limit")


def test_what_is_shown_is_what_the_command_prints():
    line = "CONVHUB_THREADS=3 convhub config | grep threads"
    assert "3" in command_examples.output(line)
    with pytest.raises(command_examples.CommandError, match="ended with 2, not 0"):
        command_examples.output("CONVHUB_THREADS=none convhub config")
    assert "CONVHUB_THREADS" in command_examples.output("CONVHUB_THREADS=none convhub config", ends=2)
