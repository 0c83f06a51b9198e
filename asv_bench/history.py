"""Runs a few benchmarks over the repository's history, and writes a table, a figure and a CSV file.

asv runs the current benchmarks on every revision of the main line that changes the CPU engines. Torch is
measured in the same run as a yardstick, and the figure and the table show its time over a backend's, which
hardly depends on the machine. The fastest sample counts, since other programs only add to a time.

    python asv_bench/history.py                  # measure what is not measured yet, then write
    python asv_bench/history.py --most 4         # measure only four revisions, evenly spread
    python asv_bench/history.py --from-results   # only write
"""

from __future__ import annotations

import argparse
import ast
import csv
import itertools
import math
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asv import util
from asv.machine import MachineCollection
from asv.results import Results, iter_results
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from convhub.plotting import ACCENT, INK, MUTED, SECOND, canvas, heading

HERE = Path(__file__).parent
ROOT = HERE.parent

#: A revision is part of the history if it changes any of these.
ENGINES = ("backends/convhub_numba", "backends/convhub_numpy")

#: The benchmark, and the values of its parameters: each engine's algorithms for common layers.
BENCHMARK = "layers.TimeLayers.time_call"
YARDSTICK = "torch itself"
BACKENDS = ("numba", "numpy")
PRIMITIVES = ("forward", "grad_weight")
LAYERS = ("3x3", "3x3 strided", "1x1", "depthwise")
DTYPES = ("float32",)

#: The type of asv's environment: the packages of the current one, and a revision of convhub.
ENVIRONMENT = "linked"

#: The lines of the page around the table.
BEGIN = "<!-- what follows is made by asv_bench/history.py -->\n"
END = "<!-- what precedes is made by asv_bench/history.py -->\n"

COLOURS = (ACCENT, "#0d9488", SECOND, "#8250c4")


class Revision(NamedTuple):
    """A commit: the beginning of its hash, its date and time, and the first line of its message."""

    revision: str
    date: str
    subject: str


class Row(NamedTuple):
    """A line of the CSV file."""

    revision: str
    date: str
    subject: str
    backend: str
    layer: str
    primitive: str
    dtype: str
    milliseconds: float
    torch_milliseconds: float
    machine: str

    @property
    def ratio(self) -> float:
        """Torch's time over the backend's."""
        return self.torch_milliseconds / self.milliseconds


# --- which revisions, and their measurement ---------------------------------------------------------------


def revisions(repository: Path, paths: Sequence[str] = ENGINES, most: int | None = None) -> list[Revision]:
    """Return the revisions of the main line that change any of `paths`, oldest first.

    Parameters
    ----------
    repository : Path
        A git repository.
    paths : sequence of str
        Files or folders in it.
    most : int, optional
        Return only this number of revisions, evenly spread, with the first and the last.
    """
    if most is not None and most < 2:
        raise ValueError(f"most is {most}; it must be 2 or more, for the first and the last revision")
    command = ["git", "log", "--first-parent", "--reverse", "--abbrev=10", "--format=%h%x09%cI%x09%s"]
    shown = subprocess.run(
        [*command, "--", *paths], cwd=repository, check=True, capture_output=True, text=True
    ).stdout
    found = [Revision(*line.split("\t", 2)) for line in shown.splitlines()]
    if most is None or most >= len(found):
        return found
    return [found[round(index * (len(found) - 1) / (most - 1))] for index in range(most)]


def measure(chosen: Sequence[Revision]) -> int:
    """Let asv measure revisions, none twice, and return its exit code, which is not 0 if a benchmark failed.

    Processes start with all libraries imported, since most of the time goes to starting them.
    """
    if not Path(MachineCollection.get_machine_file_path()).exists():
        _asv("machine", "--yes")
    with tempfile.TemporaryDirectory() as folder:
        hashes = Path(folder, "hashes")
        hashes.write_text("".join(f"{one.revision}\n" for one in chosen), encoding="utf-8")
        return _asv(
            *("run", f"HASHFILE:{hashes}", "--environment", ENVIRONMENT, "--launch-method", "forkserver"),
            *("--cpu-affinity", "0", "--attribute", "rounds=3", "--record-samples"),
            *("--skip-existing-successful", "--bench", _regex()),
        )


def _regex() -> str:
    """Return the regular expression for the benchmark's name and the text of its parameters."""
    names = ((*BACKENDS, YARDSTICK), PRIMITIVES, LAYERS, DTYPES)
    alternatives = ("'(" + "|".join(map(re.escape, values)) + ")'" for values in names)
    return rf"{re.escape(BENCHMARK)}\({', '.join(alternatives)}\)$"


def _asv(*arguments: str) -> int:
    variables = os.environ | {"ASV_PRELOAD": "numba numpy torch"}
    command = [sys.executable, "-m", "asv", *arguments]
    return subprocess.run(command, cwd=HERE, env=variables, check=False).returncode


# --- what asv has measured --------------------------------------------------------------------------------


def rows_of(chosen: Sequence[Revision], results: Path) -> list[Row]:
    """Return asv's results of revisions, without backends that a revision does not have yet.

    Parameters
    ----------
    chosen : sequence of Revision
        The revisions.
    results : Path
        asv's folder of results.

    Raises
    ------
    ValueError
        If the folder does not have the results of exactly one machine, or has times without samples, from a
        command other than `measure`.
    """
    machines = sorted(path.parent for path in results.glob("*/machine.json"))
    if len(machines) != 1:
        names = ", ".join(path.name for path in machines) or "none"
        raise ValueError(f"{results} must have the results of one machine, and has those of: {names}")
    benchmark = util.load_json(str(results / "benchmarks.json"))[BENCHMARK]
    measured = {
        found.commit_hash: found
        for found in iter_results(str(machines[0]))
        if found.env_name.startswith(ENVIRONMENT)
        and found.benchmark_version.get(BENCHMARK) == benchmark["version"]
    }
    rows = []
    for one in chosen:
        found = next((found for commit, found in measured.items() if commit.startswith(one.revision)), None)
        times = _milliseconds(found, benchmark) if found else {}
        if found and not times and _has_times(found, benchmark):
            raise ValueError(
                f"{results} has times of {one.revision} without samples, which another command left there; "
                f"`asv rm commit_hash={one.revision}*` removes them, and this then measures it"
            )
        for backend, primitive, layer, dtype in itertools.product(BACKENDS, PRIMITIVES, LAYERS, DTYPES):
            ours, torch = (times.get((row, primitive, layer, dtype)) for row in (backend, YARDSTICK))
            if found and ours is not None and torch is not None:
                rows.append(Row(*one, backend, layer, primitive, dtype, ours, torch, found.params["cpu"]))
    return rows


def _has_times(found: Results, benchmark: dict[str, Any]) -> bool:
    """Return whether any cell has a time, with or without samples; a failure is None, and n/a is nan."""
    values = found.get_result_value(BENCHMARK, benchmark["params"])
    return any(value is not None and not math.isnan(value) for value in values)


def _milliseconds(found: Results, benchmark: dict[str, Any]) -> dict[tuple[str, ...], float]:
    """Return the fastest sample for each combination of parameters that has any, to four digits."""
    names = itertools.product(*benchmark["params"])
    samples = found.get_result_samples(BENCHMARK, benchmark["params"])
    return {
        tuple(map(ast.literal_eval, name)): float(f"{1e3 * min(taken):.4g}")
        for name, taken in zip(names, samples, strict=True)
        if taken
    }


# --- table, figure and CSV file ---------------------------------------------------------------------------


def write(rows: Sequence[Row], docs: Path) -> None:
    """Write the CSV file and the figure, and the table into the page."""
    page = docs / "history.md"
    before, _, after = split_page(page.read_text(encoding="utf-8"))
    write_csv(rows, docs / "benchmarks" / "history.csv")
    draw(rows, docs / "benchmarks" / "history.svg")
    page.write_text(before + table(rows) + after, encoding="utf-8")


def split_page(page: str) -> tuple[str, str, str]:
    """Return the text before the table, the table, and the text after it.

    Raises
    ------
    ValueError
        If the page has no place for a table.
    """
    try:
        before, rest = page.split(BEGIN)
        between, after = rest.split(END)
    except ValueError:
        raise ValueError(f"the page must have one place for the table, from {BEGIN!r} to {END!r}") from None
    return before + BEGIN, between, END + after


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """Write rows, with a heading."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


def read_csv(path: Path) -> list[Row]:
    """Return the rows of a file that `write_csv` wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        heading, *lines = csv.reader(file)
    if heading != list(Row._fields):
        raise ValueError(f"{path} has the columns {heading}; they must be {list(Row._fields)}")
    return [Row(*line[:7], float(line[7]), float(line[8]), line[9]) for line in lines]


def table(rows: Sequence[Row]) -> str:
    """Return the ratios of the first backend as a Markdown table, with one row for each revision."""
    ratios = {
        (row.revision, row.layer, row.primitive): row.ratio for row in rows if row.backend == BACKENDS[0]
    }
    lines = [
        f"Torch's time over {BACKENDS[0]}'s, {' / '.join(PRIMITIVES)}, one thread, {_setting(rows)}.",
        "",
        f"| Date | Revision | {' | '.join(LAYERS)} | What changed |",
        f"| ---: | --- | {' | '.join('---:' for _ in LAYERS)} | --- |",
    ]
    for one in _revisions(rows):
        cells = [
            " / ".join(_cell(ratios.get((one.revision, layer, primitive))) for primitive in PRIMITIVES)
            for layer in LAYERS
        ]
        subject = textwrap.shorten(one.subject, 80, placeholder=" …").replace("|", "\\|")
        lines.append(f"| {one.date[:10]} | `{one.revision[:7]}` | {' | '.join(cells)} | {subject} |")
    return "\n".join(lines) + "\n"


def _cell(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Save the ratios as a figure, with a row of axes for each backend and a column for each primitive."""
    shown = _revisions(rows)
    order = [one.revision for one in shown]
    labels = [f"{one.date[:10]}  {one.revision[:7]}" for one in shown]
    edges = {"left": 0.055, "right": 0.985, "top": 0.87, "bottom": 0.17, "hspace": 0.2, "wspace": 0.06}
    with canvas(path, 12.5, 7.4) as figure:
        figure.text(
            0.012, 0.963, "Torch's time over ours, revision by revision", fontsize=14, fontweight="bold"
        )
        figure.text(0.012, 0.935, f"one thread, {_setting(rows)}", color=MUTED)
        shape = len(BACKENDS), len(PRIMITIVES)
        grid = figure.subplots(*shape, sharex=True, sharey="row", squeeze=False, gridspec_kw=edges)
        panels = itertools.product(BACKENDS, PRIMITIVES)
        for (backend, primitive), axes in zip(panels, grid.flat, strict=True):
            _lines(axes, [row for row in rows if (row.backend, row.primitive) == (backend, primitive)], order)
            heading(axes, f"{backend}: {primitive}")
        for axes in grid[-1]:
            axes.set_xticks(range(len(order)), labels, rotation=90, fontsize=8)
        for axes in grid[:, 0]:
            axes.set_ylabel("torch's time / ours")
        lines = grid[0, 0].get_lines()[: len(LAYERS)]
        figure.legend(lines, LAYERS, loc="upper right", ncols=len(LAYERS), frameon=False)


def _lines(axes: Axes, rows: Sequence[Row], order: Sequence[str]) -> None:
    """Draw a line for each class of layers over the revisions, with its name as an id in the file."""
    for layer, colour in zip(LAYERS, COLOURS, strict=True):
        chosen = [row for row in rows if row.layer == layer]
        places = [order.index(row.revision) for row in chosen]
        ratios = [row.ratio for row in chosen]
        (line,) = axes.plot(places, ratios, color=colour, lw=1.6, marker="o", ms=3.5)
        if chosen:
            line.set_gid(name_of(chosen[0]))
    axes.axhline(1, color=INK, lw=0.8, zorder=1)
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    axes.minorticks_off()
    axes.grid(axis="y", color="#eceef1", lw=0.8)
    axes.set_axisbelow(True)


def name_of(row: Row) -> str:
    """Return the name of a row's line in the figure's file."""
    return f"{row.backend} {row.primitive} {row.layer}".replace(" ", "-")


def _revisions(rows: Iterable[Row]) -> list[Revision]:
    """Return the revisions of rows, in order."""
    return list(dict.fromkeys(Revision(row.revision, row.date, row.subject) for row in rows))


def _setting(rows: Iterable[Row]) -> str:
    return ", ".join(dict.fromkeys(f"{row.dtype}, {row.machine}" for row in rows))


def main() -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, metavar="N", help="measure only N revisions, evenly spread")
    parser.add_argument(
        "--from-results", action="store_true", help="measure nothing; write the results that asv has"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "docs",
        help="a folder with history.md and benchmarks/, whose files are replaced (default: docs/)",
    )
    given = parser.parse_args()
    results = HERE / ".asv" / "results"
    every = revisions(ROOT)
    code = 0
    try:
        if not given.from_results:
            code = measure(revisions(ROOT, most=given.most))
        rows = rows_of(every, results)
        if not rows:
            raise ValueError(f"{results} has none of {len(every)} revisions; run this without --from-results")
        write(rows, given.output)
    except ValueError as error:
        sys.exit(f"history: {error}")
    print(f"{len(_revisions(rows))} of {len(every)} revisions are in {given.output / 'history.md'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
