"""A plugin of asv that leaves out of its tables the rows and columns that nobody asked for.

``asv run --bench "TimeSmallLayers.*'mine'"`` measures one row, and asv prints all, with "n/a" in those that
it was not asked for: as in those that a backend declines, which are worth seeing. So this remembers which
cells asv is asked for, and hands only their rows and columns to what draws the table. Files of results are
untouched.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

from asv import results, runner

__all__ = ["asked_for"]

#: By the name of the benchmark, the numbers of the cells that were asked for last; None means every cell.
_selected: dict[str, Collection[int] | None] = {}

_run_benchmark = runner.run_benchmark
_draw = results._format_benchmark_result


def asked_for(cells: Sequence[Any], params: list[list[str]], selected: Collection[int]) -> tuple[list, list]:
    """Return the cells and the values of each parameter that some selected cell has.

    Parameters
    ----------
    cells : sequence
        One for each combination of the parameters' values, the last parameter changing fastest.
    params : list of lists of str
        The values of each parameter.
    selected : collection of int
        The numbers of the cells that were asked for.

    Returns
    -------
    tuple of two lists
        The cells that remain, and `params` without the values of which no cell was asked for.
    """
    combinations = list(itertools.product(*params))
    used = [{combinations[number][axis] for number in selected} for axis in range(len(params))]
    kept = [
        cell
        for cell, values in zip(cells, combinations, strict=True)
        if all(value in some for value, some in zip(values, used, strict=True))
    ]
    return kept, [[v for v in values if v in some] for values, some in zip(params, used, strict=True)]


def _remember(benchmark: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    _selected[benchmark["name"]] = options.get("selected_idx")
    return _run_benchmark(benchmark, *arguments, **options)


def _draw_asked_for(cells: Sequence[Any], benchmark: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    selected = _selected.get(benchmark["name"])
    if selected:
        cells, params = asked_for(cells, benchmark["params"], selected)
        benchmark = {**benchmark, "params": params}
    return _draw(cells, benchmark, *arguments, **options)


runner.run_benchmark = _remember
results._format_benchmark_result = _draw_asked_for
