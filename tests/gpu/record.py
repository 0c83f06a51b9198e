"""What a run on a GPU found, as a dated file, and the list of all such files in the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from convhub.bench.archive import slug
from convhub.bench.results import Report, read_report
from convhub.bench.summary import summaries
from convhub.conformance.report.findings import Tested
from convhub.problem import Problem
from convhub.system.gpu import Gpu

FORMAT = 1
SUFFIX = "-checks"

#: Between these lines of the page the list is made again.
BEGIN, END = "<!-- the list of results begins -->", "<!-- the list of results ends -->"
NONE = "None yet: no result here is of a real device."


@dataclass(frozen=True)
class Stage:
    """One part of a run.

    Parameters
    ----------
    name : str
        "conformance", "tests", the name of a tool of compute-sanitizer, or "benchmark" and its dtype.
    command : str
        What was run.
    passed : bool
        Whether all was well; what did not run has not passed.
    seconds : float
        How long it took.
    summary : str
        What came of it, in a line.
    """

    name: str
    command: str
    passed: bool
    seconds: float
    summary: str


@dataclass(frozen=True)
class Summary:
    """What the suite found for one backend on the device: counts of checks, and why those are not all.

    `worst` is the largest error of each dtype and primitive, in units of its bound; None is no number.
    """

    subject: str
    passed: int
    failed: int
    skipped: int
    skips: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    worst: dict[str, dict[str, float | None]] = field(default_factory=dict)


def summary_of(tested: Tested) -> Summary:
    """Return what the record keeps of a report of the suite."""
    counts = tested.counts
    return Summary(
        tested.subject,
        counts["passed"],
        counts["failed"] + counts["xpassed"],
        counts["skipped"] + counts["declined"],
        {reason: count for reasons in tested.reasons.values() for reason, count in reasons.items()},
        {check: found["failed"] for check, found in tested.checks.items() if found["failed"]},
        tested.worst,
    )


@dataclass(frozen=True)
class Checks:
    """A whole run: when, on what, of which revision of convhub, and what each stage and the suite found."""

    date: str
    gpu: Gpu
    versions: dict[str, str]
    revision: str
    stages: list[Stage]
    conformance: list[Summary] = field(default_factory=list)
    format: int = FORMAT

    @property
    def passed(self) -> bool:
        return all(stage.passed for stage in self.stages)


def save_checks(checks: Checks, folder: Path) -> tuple[Path, Path]:
    """Write the run as JSON and as Markdown; one of earlier on the same day is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{checks.date}-{slug(checks.gpu.name)}{SUFFIX}.json"
    data.write_bytes(msgspec.json.format(msgspec.json.encode(checks)) + b"\n")
    text = data.with_suffix(".md")
    text.write_text(to_markdown(checks), encoding="utf-8")
    return data, text


def read_checks(path: Path) -> Checks:
    return msgspec.json.decode(path.read_bytes(), type=Checks)


def to_markdown(checks: Checks) -> str:
    lines = [
        f"# {checks.gpu.name}, {checks.date}: {'passed' if checks.passed else 'failed'}",
        "",
        f"- {checks.gpu}",
        f"- {', '.join(f'{name} {version}' for name, version in checks.versions.items())}",
        f"- revision {checks.revision}",
        "",
        "| Stage | Outcome | Seconds | Found |",
        "| --- | --- | ---: | --- |",
    ]
    lines += [
        f"| {stage.name} | {'passed' if stage.passed else '**failed**'} | {stage.seconds:.0f} "
        f"| {_escaped(stage.summary)} |"
        for stage in checks.stages
    ]
    for summary in checks.conformance:
        lines += ["", f"## {summary.subject}", ""]
        lines += [f"- skipped {count}: {_escaped(why)}" for why, count in summary.skips.items()]
        lines += [f"- failed {count}: {_escaped(check)}" for check, count in summary.failures.items()]
        lines += [
            f"- worst error in {dtype}, of its bound: "
            + ", ".join(f"{primitive} {_number(ratio)}" for primitive, ratio in of_dtype.items())
            for dtype, of_dtype in summary.worst.items()
        ]
    return "\n".join(lines) + "\n"


def _number(ratio: float | None) -> str:
    return "no number" if ratio is None else f"{ratio:.3g}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\|_*`<>\[\]])", r"\\\1", text)


# --- the list of all results ------------------------------------------------------------------------------


def listing(folder: Path) -> str:
    """Return a table of all results in a folder, the newest first, or the sentence that there are none."""
    rows = [_row(path) for path in sorted(folder.glob("*.json"), reverse=True)]
    if not rows:
        return NONE
    table = ["| Date | Chip | What | Outcome | Files |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*table, *(f"| {' | '.join(cells)} |" for cells in rows)])


def _row(path: Path) -> tuple[str, ...]:
    files = f"[tables]({path.stem}.md), [data]({path.name})"
    if path.stem.endswith(SUFFIX):
        checks = read_checks(path)
        return checks.date, checks.gpu.name, "correctness", _outcome(checks), files
    report = read_report(path)
    return report.date, report.machine.chip, _what(report), _escaped(_means(report)), files


def _outcome(checks: Checks) -> str:
    failed = [stage.name for stage in checks.stages if not stage.passed]
    return f"failed: {', '.join(failed)}" if failed else f"passed: {len(checks.stages)} stages"


def _what(report: Report) -> str:
    """Return what was timed against what, and in which types."""
    dtypes = dict.fromkeys(Problem.parse(row.problem).dtype for row in report.rows)
    tf32 = report.settings.allow_tf32
    names = ("TF32" if tf32 and dtype == "float32" else dtype for dtype in dtypes)
    return _escaped(f"{report.settings.backend} against {report.settings.against}, {', '.join(names)}")


def _means(report: Report) -> str:
    """Return the mean of classes of each primitive: the other side's time over convhub's."""
    means = {found.primitive: found.ratio for found in summaries(report.rows)}
    return ", ".join(f"{name} {'none' if mean is None else f'{mean:.2f}x'}" for name, mean in means.items())


def write_listing(page: Path, folder: Path) -> None:
    """Make the list in the page again.

    Raises
    ------
    ValueError
        If the page has not the two lines between which the list stands.
    """
    page.write_text(with_listing(page.read_text(encoding="utf-8"), folder), encoding="utf-8")


def with_listing(text: str, folder: Path) -> str:
    """Return the page's text with the list as it should be."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"the page must have the lines {BEGIN} and {END}, each once")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{listing(folder)}\n\n{END}{after}"
