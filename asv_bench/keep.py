"""Adds the results of one run of asv to those that `make bench-publish` and `asv show` read."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection
from datetime import UTC
from pathlib import Path

from asv import util
from asv.results import Results, iter_results
from asv.runner import BenchmarkResult

__all__ = ["keep"]


def keep(measured: Path, kept: Path, commits: Collection[str]) -> int:
    """Copy the measured cells of `commits`, replacing earlier results of the same cells.

    Parameters
    ----------
    measured, kept : Path
        Folders of asv's results: the source and the destination.
    commits : collection of str
        The hashes of the commits to copy.

    Returns
    -------
    int
        How many commits had results.
    """
    count = 0
    if not (measured / "benchmarks.json").exists():  # nothing ran
        return count
    benchmarks = util.load_json(str(measured / "benchmarks.json"))
    for new in iter_results(str(measured)):
        if new.commit_hash not in commits:
            continue
        folder = kept / new.params["machine"]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(measured / "benchmarks.json", kept)
        shutil.copy(measured / new.params["machine"] / "machine.json", folder)
        requirements = new._requirements
        whole = Results(
            new.params, requirements, new.commit_hash, new.date, new._python, new.env_name, new.env_vars
        )
        whole.load_data(str(kept))
        for name in new.get_all_result_keys():
            _add(whole, new, benchmarks[name])
        whole.save(str(kept))
        count += 1
    return count


def _add(whole: Results, new: Results, benchmark: dict) -> None:
    """Add the cells of one benchmark that have a value, with their samples."""
    name, params = benchmark["name"], benchmark["params"]
    values, samples = new.get_result_value(name, params), new.get_result_samples(name, params)
    pairs = list(zip(samples, new.get_result_stats(name, params), strict=True))
    result = BenchmarkResult(
        result=values,
        samples=samples,
        number=[None if taken is None else statistics["number"] for taken, statistics in pairs],
        errcode=0,
        stderr="",
        profile=None,
    )
    chosen = {number for number, value in enumerate(values) if not (value is None or math.isnan(value))}
    whole.add_result(
        benchmark,
        result,
        started_at=util.js_timestamp_to_datetime(new.started_at[name]).replace(tzinfo=UTC),
        record_samples=True,
        selected_idx=chosen,
    )
