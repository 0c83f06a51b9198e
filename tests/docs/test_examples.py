"""What the documentation makes from the code: examples of commands, and the table of algorithms."""

from __future__ import annotations

import re
import sys

import pytest
from convhub_cupy import planner
from convhub_numba import planner as numba_planner
from support.markdown_pages import ROOT

from convhub import config

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import algorithm_table
import command_examples
import settings_table


def test_every_setting_has_an_example():
    assert set(settings_table.EXAMPLES) == set(config.KEYS)


def test_every_algorithm_of_the_gpu_engine_is_in_the_table_with_its_kernels():
    _, _, *rows = algorithm_table.lines(planner)
    tried = [(primitives, a.name) for primitives, a in listed()]
    assert [re.match(r"\| (.*?) \| `(\w+)` \|", row).groups() for row in rows] == tried
    assert "| forward, grad_input | `winograd` | [`winograd_weight.cu`](" in "\n".join(rows)
    for target in re.findall(r"\]\((.*?)\)", "\n".join(rows)):
        assert (ROOT / "docs" / target).is_file(), target


def test_every_algorithm_of_the_cpu_engine_is_in_the_table_once():
    _, _, *rows = algorithm_table.lines(numba_planner)
    runs = {
        name: primitives
        for primitives, name in (re.match(r"\| (.*?) \| `(\w+)` \|", row).groups() for row in rows)
    }
    assert len(runs) == len(rows)
    assert {a.name for a in numba_planner.ALGORITHMS} == set(runs)
    for algorithm in numba_planner.ALGORITHMS:
        assert set(algorithm.primitives) <= set(runs[algorithm.name].split(", "))
        assert algorithm.summary in "\n".join(rows)


def listed():
    """Yield each algorithm with the primitives that try it."""
    assert planner.ALGORITHMS["forward"] is planner.ALGORITHMS["grad_input"]
    for primitives, algorithms in (
        ("forward, grad_input", planner.ALGORITHMS["forward"]),
        ("grad_weight", planner.ALGORITHMS["grad_weight"]),
    ):
        for algorithm in algorithms:
            yield primitives, algorithm


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
