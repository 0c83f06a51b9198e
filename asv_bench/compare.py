"""Compares the speed of two revisions, and reports a slowdown by its exit code.

asv measures both in alternating rounds. A benchmark that looks slower or faster by more than `FACTOR` is
measured once more, in twice as many rounds, and counts only if the result is confirmed, so that a machine
that was busy for a moment raises no alarm. The environment has the packages of the current one: see `linked`.

    python asv_bench/compare.py BASE [HEAD]

The exit code is 0 if nothing got slower, 1 if a benchmark got slower or no longer runs, and 2 if the
revisions could not be compared.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asv import results, util
from asv.machine import MachineCollection
from keep import keep

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parent
FOLDER = HERE / ".asv" / "compare"

#: The ratio of times from which asv reports a change.
FACTOR = 1.25
ROUNDS = 4

#: How many are measured again at a time, the slowest first: one confirmed slowdown is enough for an alarm,
#: and then no more are measured.
MOST_SUSPECTS = 12

#: Minutes after which nothing is measured again, as docs/track-performance.md says.
LIMIT = 15

#: The time of one benchmark of one revision in one round, with its process and first call, on a Zen 3 core.
#: It is used for the estimate only.
SECONDS = 0.45

#: The benchmarks to measure, as asv's regular expressions: the engines of this repository, each primitive,
#: and the overhead of a call. The numba engine has an algorithm for nearly each class of layer; numpy has one
#: for all, and torch's are not part of this repository.
CHOSEN = (
    r"TimeLayers.*\('numba', .*, 'float32'\)",
    r"TimeLayers.*\('numba', .*, '3x3', 'float64'\)",
    r"TimeLayers.*\('numpy', .*, '(3x3|1x1|depthwise|transposed)', 'float32'\)",
    r"TimeLayers.*\('torch', .*, '(3x3|transposed)', 'float32'\)",
    r"TimeSmallLayers.*\('naive', .*, 'small'\)",
    r"TimeSmallLayers.*\('(naive|numba|numpy|torch)', .*, 'tiny'\)",
    r"timeraw_import\('convhub'\)",
)

#: The libraries of engines. Both revisions use the same ones, so each process can start with those that the
#: chosen engines need, already imported: most of the time goes to starting processes.
LIBRARIES = ("numba", "torch")

#: Prints what asv finds: the name of each benchmark, and the texts of its parameters.
DISCOVER = """
import json
from asv_runner.discovery import disc_benchmarks
print(json.dumps({one.name: one.params for one in disc_benchmarks("benchmarks")}))
"""


class Pace(NamedTuple):
    """The time of a benchmark of two revisions in one round, and when nothing is measured again."""

    seconds: float
    deadline: float  # of time.monotonic


class Row(NamedTuple):
    """A line of the table of ``asv compare``: a value may be "failed" or "n/a".

    The mark is "+" if asv finds it slower by more than the factor, and significantly; "-" if faster.
    """

    mark: str
    before: str
    after: str
    ratio: str
    name: str

    @property
    def has_both(self) -> bool:
        """Whether both revisions have a time."""
        return not {self.before, self.after} & {"failed", "n/a"}

    @property
    def lost(self) -> bool:
        """Whether there was a time, and no longer is."""
        return self.before not in ("failed", "n/a") and self.after in ("failed", "n/a")


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    given = _parser().parse_args(arguments)
    try:
        base, head = _commit("BASE", given.base), _commit("HEAD", given.head)
        same = base == head
        head = _twin(base) if same else head
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if same:
        print(f"BASE and HEAD are both {base[:8]}, which is compared with a copy of it, {head[:8]}.")
    elif given.head == "HEAD" and _git("status", "--porcelain", "--untracked-files=no"):
        print("Uncommitted changes are not measured.")
    _log().unlink(missing_ok=True)
    if not Path(MachineCollection.get_machine_file_path()).exists():  # asv would ask about the machine
        _asv(HERE / "asv.conf.json", "machine", "--yes")
    codes = []
    for turn in range(given.times):
        if given.times > 1:
            print(f"Comparison {turn + 1} of {given.times}:")
        codes.append(_compare(base, head, given.bench or CHOSEN, given.rounds))
    if given.times > 1:
        print(f"{given.times} comparisons: {codes.count(0)} without an alarm, {codes.count(1)} with one")
    return max(codes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("base", metavar="BASE", help="a commit, branch or tag, such as main~1")
    parser.add_argument(
        "head", metavar="HEAD", nargs="?", default="HEAD", help="another (default: %(default)s)"
    )
    parser.add_argument(
        "--bench", action="append", metavar="REGEX", help="measure these instead (repeatable)"
    )
    parser.add_argument(
        "--rounds", type=_positive, default=ROUNDS, metavar="N", help="by default %(default)s"
    )
    parser.add_argument(
        "--times", type=_positive, default=1, metavar="N", help="compare N times; by default once"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it is {text}, and must be 1 or more")
    return number


def _commit(argument: str, revision: str) -> str:
    """Return the hash of a revision.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not found:
        raise ValueError(
            f"{argument} is {revision!r}, which is no revision of this repository; it must be a commit, "
            "branch or tag, such as main~1"
        )
    return found


def _twin(commit: str) -> str:
    """Return a commit with the same files, on no branch, since asv keeps one result for each commit."""
    fixed = {"GIT_AUTHOR_DATE": "2000-01-01T00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00Z"}
    for role in ("AUTHOR", "COMMITTER"):
        fixed |= {f"GIT_{role}_NAME": "asv", f"GIT_{role}_EMAIL": "asv@localhost"}
    made = _git("commit-tree", f"{commit}^{{tree}}", "-p", commit, "-m", f"Twin of {commit}", **fixed)
    if not made:
        raise ValueError(f"git cannot write a commit to this repository, which a twin of {commit[:8]} needs")
    return made


def _git(*arguments: str, **variables: str) -> str:
    """Return the output of git, or nothing if it fails."""
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def _compare(base: str, head: str, chosen: Sequence[str], rounds: int) -> int:
    begun, cells = time.monotonic(), _count(chosen)
    expected = 2 * SECONDS * cells * rounds
    print(
        f"{cells} benchmarks of two revisions in {rounds} rounds take about {_minutes(expected)}.", flush=True
    )
    measured = _measure(base, head, chosen, rounds)
    pace = Pace((time.monotonic() - begun) / (cells * rounds), begun + 60 * LIMIT)
    lost = [row for row in measured if row.lost]
    broken = [row for row in measured if row.before == row.after == "failed"]
    if broken or not any(row.has_both for row in measured):
        _print_rows(broken or measured)
        print(f"They could not be compared. The last lines of asv's log, {_log()}:\n{_last_said()}")
        return 2
    changed = [row for row in measured if row.mark in ("+", "-")]
    if changed:
        print(f"{len(changed)} of {len(measured)} look changed.")
        changed = _confirmed(base, head, changed, 2 * rounds, pace)
    slower = [row for row in changed if row.mark == "+"] + lost
    _print_rows(lost + changed)
    if lost:
        print(f"{_log()} says why some no longer run.")
    if slower:
        print(f"{len(slower)} of {len(measured)} are slower by more than {FACTOR}, or no longer run.")
        return 1
    print(f"None of {len(measured)} is slower by more than {FACTOR}; {len(changed)} are faster.")
    return 0


def _confirmed(base: str, head: str, changed: list[Row], rounds: int, pace: Pace) -> list[Row]:
    """Measure the changed rows once more, and return those that are confirmed, the slowest first.

    A row that looks slower, and for which no time is left, is returned as it is.
    """
    suspects = sorted(changed, key=lambda row: float(row.ratio), reverse=True)
    confirmed: list[Row] = []
    while suspects:
        some = suspects[:MOST_SUSPECTS]
        expected = pace.seconds * len(some) * rounds
        if time.monotonic() + expected > pace.deadline:
            print(f"{len(suspects)} could not be measured again within {LIMIT} minutes.")
            confirmed += [row for row in suspects if row.mark == "+"]
            break
        suspects = suspects[MOST_SUSPECTS:]
        print(
            f"{len(some)} are measured again, in {rounds} rounds: about {_minutes(expected)}.",
            flush=True,
        )
        confirmed += _changed_again(base, head, some, rounds)
        slower = any(row.mark == "+" or row.lost for row in confirmed)
        if suspects and (slower or suspects[0].mark == "-"):
            print(f"{len(suspects)} more were not measured again.")
            break
    return sorted(confirmed, key=lambda row: math.inf if row.lost else float(row.ratio), reverse=True)


def _changed_again(base: str, head: str, suspects: list[Row], rounds: int) -> list[Row]:
    """Measure again, and return the rows that have changed in the same way.

    Their fastest calls must have changed by as much. Other programs only make calls slower, and long calls
    more often, so they can move a median; the fastest of many calls was not affected.
    """
    before = {row.name: row.mark for row in suspects}
    again = _measure(base, head, [f"{re.escape(name)}$" for name in before], rounds)
    least = _fastest_calls()
    rows = []
    for row in again:
        ratio = least[head][row.name] / least[base][row.name] if row.has_both else 1.0
        as_much = {"+": ratio > FACTOR, "-": ratio < 1 / FACTOR}
        if row.lost or (row.mark == before[row.name] and as_much[row.mark]):
            rows.append(row)
    return rows


def _fastest_calls() -> dict[str, dict[str, float]]:
    """Return the least time of each benchmark, by commit and by its name in asv's table."""
    least: dict[str, dict[str, float]] = {}
    for result in results.iter_results(str(FOLDER / "results")):
        times = least.setdefault(result.commit_hash, {})
        for key in result.get_all_result_keys():
            params = result.get_result_params(key)
            cells = itertools.product(*params)
            for cell, samples in zip(cells, result.get_result_samples(key, params), strict=True):
                if samples:
                    times[f"{key}({', '.join(cell)})" if cell else key] = min(samples)
    return least


def _count(chosen: Sequence[str]) -> int:
    """Return how many cells of all benchmarks are chosen, by the names that asv gives them."""
    done = subprocess.run(
        [sys.executable, "-c", DISCOVER], cwd=HERE, capture_output=True, text=True, check=True
    )
    names = (
        f"{name}({', '.join(cell)})"
        for name, params in json.loads(done.stdout).items()
        for cell in itertools.product(*params)
    )
    return sum(any(re.search(regex, name) for regex in chosen) for name in names)


def _minutes(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _print_rows(rows: list[Row]) -> None:
    if rows:
        print(f"\n{'before':>12}  {'after':>12}  {'ratio':>6}  benchmark")
    for row in rows:
        print(f"{row.before:>12}  {row.after:>12}  {row.ratio:>6}  {row.name}")
    if rows:
        print()


def _measure(base: str, head: str, chosen: Sequence[str], rounds: int) -> list[Row]:
    """Measure two commits in alternating rounds, and return asv's comparison."""
    configuration = _configure()
    preloaded = " ".join(name for name in LIBRARIES if name in " ".join(chosen))
    revisions = FOLDER / "revisions"
    revisions.write_text(f"{head}\n{base}\n", encoding="utf-8")
    command = ["run", f"HASHFILE:{revisions}", "--environment", "linked", "--show-stderr"]
    command += ["--launch-method", "forkserver", "--interleave-rounds", "--cpu-affinity", "0"]
    command += ["--attribute", f"rounds={rounds}", "--record-samples"]
    for regex in chosen:
        command += ["--bench", regex]
    _asv(configuration, *command, ASV_PRELOAD=preloaded)
    # asv's site would not show a commit that is on no branch, such as a copy.
    commits = [commit for commit in (base, head) if _git("branch", "--all", "--contains", commit)]
    keep(FOLDER / "results", HERE / ".asv" / "results", commits)
    shown = _asv(configuration, "compare", base, head, "--factor", str(FACTOR))
    # The table also has benchmarks that were not chosen, or that both revisions decline.
    return [row for row in _rows(shown) if (row.before, row.after) != ("n/a", "n/a")]


def _configure() -> Path:
    """Write the configuration of a comparison, with a separate folder of results, which is emptied."""
    shutil.rmtree(FOLDER / "results", ignore_errors=True)
    configuration = util.load_json(str(HERE / "asv.conf.json"), js_comments=True)
    install = [line.replace("{conf_dir}", str(HERE)) for line in configuration["install_command"]]
    configuration |= {"repo": str(ROOT), "results_dir": str(FOLDER / "results"), "install_command": install}
    configuration |= {key: str(HERE / configuration[key]) for key in ("benchmark_dir", "env_dir", "html_dir")}
    path = FOLDER / "asv.conf.json"
    util.write_json(str(path), configuration)
    return path


def _asv(configuration: Path, *arguments: str, **variables: str) -> str:
    """Return the output of a command of asv, write it to the log, and print a line for each round."""
    command = [sys.executable, "-m", "asv", "--config", str(configuration), *arguments]
    lines = []
    # asv itself finds `linked` by this variable, and removes it for its child processes.
    variables = os.environ | {"PYTHONPATH": str(HERE)} | variables
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        _log().open("a", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            lines.append(line)
            found = re.search(r"commit (\w{8}).*\((round \d+/\d+)\)", line)
            if found:
                print(f"  {found[2]}: {found[1]}", flush=True)
    return "".join(lines)


def _last_said() -> str:
    said = _log().read_text(encoding="utf-8").splitlines() if _log().exists() else []
    return "\n".join(f"  {line}" for line in said[-8:])


def _log() -> Path:
    return FOLDER / "log.txt"


def _rows(printed: str) -> Iterator[Row]:
    """Yield the lines of asv's table."""
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == len(Row._fields) and cells[4] != "Benchmark (Parameter)" and set(line) - set("|-: "):
            yield Row(*cells)


if __name__ == "__main__":
    sys.exit(main())
