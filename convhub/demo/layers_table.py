"""Prints the errors of the random layers, as two tables."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .layers import QUANTITIES, Report
from .printing import captioned_table, fraction, say
from .torch_direct import HOW_TO_GET, ITSELF

__all__ = ["show"]

#: What the notebook printed for its own MSE against torch, or why it printed nothing.
NOTEBOOK_MSE = {
    ("conv2d", "output"): "4e-16 … 8e-14",
    ("conv2d", "grad input"): "5e-17 … 4e-14",
    ("conv2d", "grad weight"): "0 … 5e-09",
    ("conv2d", "grad bias"): "0",
    ("conv_transpose2d", "output"): "5e-15",
    ("conv_transpose2d", "grad input"): "never computed",
    ("conv_transpose2d", "grad weight"): "not kept",
    ("conv_transpose2d", "grad bias"): "ones only",
}

BOUND_CAPTION = (
    "Worst element of all layers, as a fraction of (8 + √terms) · eps · (|x| ⋆ |w|), against float64; up to "
    "1 is rounding. The notebook that this began with returned, in its transposed backward, zeros as the "
    "gradient of the input, and as that of the bias the number of outputs, which is right only where "
    "grad_output is all ones. Its column shows what these answers score where grad_output is random: the "
    "gradients in the other columns are those that it never computed."
)
MSE_CAPTION = (
    "Largest mean squared difference from torch in float32 over all layers; beside it what the notebook, "
    "which had no other measure, printed for its own layers: 1e-16 … 1e-14 and more. It is absolute and "
    "grows with the numbers, so that sums over many pixels (grad weight, grad bias) look worse than they "
    "are: the table above tells more."
)


def show(report: Report, console: Console) -> None:
    """Print the tables, and the backends or comparisons left out."""
    console.print(_bounds(report))
    if report.mse:
        console.print()
        console.print(_squares(report))
    else:
        say(console, HOW_TO_GET, "yellow")
    for backend, reasons in report.declined.items():
        say(console, f"{backend} declined {len(reasons)} layers, the first with: {reasons[0]}")


def _bounds(report: Report) -> Table:
    table = captioned_table(
        "Error, as a fraction of the bound", BOUND_CAPTION, *_torch_last(report.fractions), "notebook"
    )
    for operation in ("conv2d", "conv_transpose2d"):
        table.add_row(Text(operation, style="bold"))
        for quantity in QUANTITIES:
            values = (
                report.fractions[n].get(operation, {}).get(quantity) for n in _torch_last(report.fractions)
            )
            wrong = report.notebook.get(quantity) if operation == "conv_transpose2d" else None
            table.add_row(f"  {quantity}", *map(fraction, values), fraction(wrong))
    return table


def _squares(report: Report) -> Table:
    table = captioned_table("Mean squared difference from torch", MSE_CAPTION, *report.mse, "notebook")
    for operation in ("conv2d", "conv_transpose2d"):
        table.add_row(Text(operation, style="bold"))
        for quantity in QUANTITIES:
            ranges = (by.get(operation, {}).get(quantity) for by in report.mse.values())
            cells = ("·" if r is None else _short(r[1]) for r in ranges)
            table.add_row(f"  {quantity}", *cells, Text(NOTEBOOK_MSE[operation, quantity], style="dim"))
    return table


def _torch_last(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: name == ITSELF)


def _short(value: float) -> str:
    return f"{value:.0e}" if value else "0"
