"""Removes rows and columns that were not requested from asv's tables, as a plugin of asv.

``asv run --bench "TimeSmallLayers.*'mine'"`` measures one row, but asv prints all, with "n/a" in rows that
were not requested, just as in rows that a backend declines, which should be visible. So this module remembers
the requested cells, and passes only their rows and columns to the function that draws the table. Files of
results are not changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

from asv import results, runner

__all__ = ["asked_for"]

#: For each benchmark, the numbers of the cells that were requested last; None means every cell.
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
        The numbers of the requested cells.

    Returns
    -------
    tuple of two lists
        The cells that remain, and `params` without values that no requested cell has.
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
