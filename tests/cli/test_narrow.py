"""Every table can be read on a terminal of 60 columns, and nothing of it is cut off."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from convhub.bench.formatting import CLASS_HEADERS, LAYER_HEADERS
from convhub.cli import output
from convhub.cli.conformance_report import HEADERS
from convhub.cli.narrow import fitted
from convhub.cli.output import new_table

PROBLEM = "forward_float32_n1c3h8w8_k4r3s3"

#: Headers, the columns that break, and a long row of each kind of table that there is.
TABLES = {
    "backends": (
        ("Backend", "From", "Devices", "Dtypes", "Computes", "Accuracy", "Usable"),
        {"From": 8, "Dtypes": 13, "Computes": 8},
        ("numba", "convhub 0.1.0", "cpu cuda", "float16-64 bfloat16", "all", "componentwise", "yes"),
    ),
    "explain": (("Backend", "What it says"), {"What it says": 20}, ("numba", "could run it, " * 20)),
    "verify": (
        ("Check", "Passed", "Failed", "Skipped", "Worst error / bound"),
        {"Check": 20},
        ("unchanged operands", "10000", "10000", "10000", "0.0322"),
    ),
    "conformance": (("Check", *HEADERS.values()), {"Check": 20}, ("unchanged operands", *["10000"] * 6)),
    "classes": (CLASS_HEADERS, {"Class": 8}, ("large depthwise", *["100.00x"] * (len(CLASS_HEADERS) - 1))),
    "layers": (
        LAYER_HEADERS,
        {"Class": 6, "Problem": 20, "Call": 8},
        ("stem", PROBLEM, "conv_transpose2d", "numba (indirect)", "1000.172", "100.1", "100.16x"),
    ),
}


@pytest.mark.parametrize(("headers", "flexible", "row"), TABLES.values(), ids=TABLES)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_table_fits_and_keeps_every_word(headers, flexible, row, width):
    row = (*row, *["100.1"] * (len(headers) - len(row)))
    table = new_table(*headers, flexible=flexible)
    table.add_row(*row)
    table.add_row("another", *row[1:])
    console = Console(file=io.StringIO(), width=width, markup=False)
    for part in fitted(table, console):
        console.print(part, crop=False)
    text = console.file.getvalue()
    assert all(len(line.rstrip()) <= width for line in text.splitlines())
    shown = "".join(text.split())
    for word in {*" ".join(row).split(), "another"}:
        # A cell that breaks has its parts in several lines, which come apart in the text.
        assert word in shown or all(part in shown for part in (word[:8], word[-3:])), word
    for header in headers[1:]:  # where a row becomes lines, its first cell stands without one
        assert all(word in text for word in header.split())


def test_commands_on_a_terminal_of_60_columns(run, monkeypatch, absent, toy):
    console = output.new_console
    monkeypatch.setattr(output, "UNBROKEN", 60)
    assert console().width == 60
    for arguments in (
        ["backends"],
        ["doctor"],
        ["explain", PROBLEM],
        ["verify", PROBLEM, "--backend", toy],
    ):
        lines = run(*arguments).stdout.splitlines()
        assert [line for line in lines if len(line) > 60] == []
        assert "toy" in "".join(lines)
