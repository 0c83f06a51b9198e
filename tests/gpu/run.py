"""Everything that a GPU can show, in one go: this is ``make test-gpu``.

The conformance suite for `cupy` and `torch` on the device, the tests in `device`, compute-sanitizer over
every kernel, and the benchmark. A stage that fails does not keep the later ones from running, but makes the
exit code 1. What was found goes to dated files in docs/gpu-results, and into the list on the page there.

    PYTHONPATH=tests python -m gpu.run                  # all stages
    PYTHONPATH=tests python -m gpu.run benchmark        # only that, without a record of the checks
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from convhub.conformance.report.findings import read_report
from convhub.system.gpu import Gpu, GpuError, gpus
from convhub.system.versions import versions

from . import sanitizer
from .device.conftest import REQUIRED, why_not
from .record import Checks, Stage, Summary, save_checks, summary_of, write_listing

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "gpu-results"
PAGE = "README.md"

BACKENDS = ("cupy", "torch")
#: What is timed: the options of `convhub bench` that differ.
TIMED = {
    "float32": ("--dtype", "float32"),
    "tf32": ("--dtype", "float32", "--tf32"),
    "float64": ("--dtype", "float64"),
    "float16": ("--dtype", "float16"),
    "bfloat16": ("--dtype", "bfloat16"),
}
#: Each process that checks has a context of its own on the device.
MOST_PROCESSES = 8

Command = Sequence[str]
#: Runs a command with some more variables in the environment, and returns its exit code.
Execute = Callable[[Command, dict[str, str]], int]


@dataclass(frozen=True)
class Session:
    """What the stages share: how commands are run, where results go, and a folder that is thrown away."""

    execute: Execute
    results: Path
    scratch: Path
    quick: bool = False


def execute(command: Command, variables: dict[str, str]) -> int:
    """Run a command in the root of the repository; what it prints is seen at once."""
    print(f"\n$ {shlex.join(command)}", flush=True)
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode


def timed(
    session: Session,
    name: str,
    command: Command,
    judge: Callable[[int], tuple[bool, str]],
    variables: dict[str, str] | None = None,
) -> Stage:
    """Run one stage; `judge` makes of the exit code whether it has passed, and what was found."""
    start = time.monotonic()
    passed, summary = judge(session.execute(command, variables or {}))
    return Stage(name, told(command), passed, round(time.monotonic() - start, 1), summary)


def told(command: Command) -> str:
    """Return a command as the record has it: without the paths of this machine."""
    return shlex.join("python" if word == sys.executable else _without_folder(word) for word in command)


def _without_folder(word: str) -> str:
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


# --- the stages -------------------------------------------------------------------------------------------


def conformance(session: Session) -> Iterator[Stage]:
    """Run the suite; every backend must have been checked, and no check may have failed."""
    report = _report(session)
    processes = min(MOST_PROCESSES, os.cpu_count() or 1)
    command = [sys.executable, "-m", "pytest", "-q", "convhub/conformance", "--convhub-device", "cuda"]
    for backend in BACKENDS:
        command += ["--convhub-backend", backend]
    command += ["--convhub-report", str(report), "--numprocesses", str(processes), "--dist", "worksteal"]

    def judge(code: int) -> tuple[bool, str]:
        if not report.exists():
            return False, f"the suite wrote no report, and ended with code {code}"
        summaries = _summaries(session)
        passed = {summary.subject: summary.passed for summary in summaries}
        missing = [name for name in BACKENDS if not passed.get(f"{name}-cuda")]
        told = [
            f"{found.subject}: {found.passed} passed, {found.failed} failed, {found.skipped} skipped"
            for found in summaries
        ]
        told += [f"nothing of {name} was checked" for name in missing]
        return code == 0 and not missing, "; ".join(told)

    yield timed(session, "conformance", command, judge)


def _summaries(session: Session) -> list[Summary]:
    """Return what the suite's report says; nothing where there is none."""
    report = _report(session)
    return [summary_of(tested) for tested in read_report(report).tested] if report.exists() else []


def _report(session: Session) -> Path:
    return session.scratch / "conformance.json"


def tests(session: Session) -> Iterator[Stage]:
    """Run the tests in ``device``, which may not skip where there is no device."""
    report = session.scratch / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-ra", "tests/gpu/device", "--junitxml", str(report)]

    def judge(code: int) -> tuple[bool, str]:
        if not report.exists():
            return False, f"pytest wrote no report, and ended with code {code}"
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
        skipped = [skip.get("message", "") for case in cases for skip in case.iter("skipped")]
        failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
        passed = len(cases) - failed - len(skipped)
        told = f"{passed} passed, {failed} failed, {len(skipped)} skipped"
        return code == 0 and passed > 0, "; ".join([told, *dict.fromkeys(skipped)])

    yield timed(session, "tests", command, judge, {REQUIRED: "1"})


def sanitize(session: Session) -> Iterator[Stage]:
    """Run every kernel under each tool of compute-sanitizer."""
    program = [sys.executable, str(Path(__file__).with_name("sanitizer_run.py"))]
    for tool in sanitizer.TOOLS:
        log = session.scratch / f"{tool}.log"
        try:
            command = sanitizer.command(tool, log, program)
        except sanitizer.MissingError as error:
            yield Stage(tool, told(program), False, 0.0, str(error))
            continue

        def judge(code: int, log: Path = log) -> tuple[bool, str]:
            told = sanitizer.summary(log)
            if code or not told:
                print(log.read_text(errors="replace") if log.exists() else "there is no log", flush=True)
            return code == 0 and bool(told), told or f"it did not come to an end: exit code {code}"

        yield timed(session, tool, command, judge)


def benchmark(session: Session) -> Iterator[Stage]:
    """Time the backend beside torch, in every type."""
    for name, options in TIMED.items():
        command = [sys.executable, "-m", "convhub.cli", "bench", "--device", "cuda", "--backend", "cupy"]
        command += ["--primitive", "all", *options, "--save-to", str(session.results)]
        command += ["--quick"] if session.quick else []

        def judge(code: int) -> tuple[bool, str]:
            return code == 0, "saved" if code == 0 else f"exit code {code}"

        yield timed(session, f"benchmark {name}", command, judge)


STAGES = {"conformance": conformance, "tests": tests, "sanitizer": sanitize, "benchmark": benchmark}


# --- all of them ------------------------------------------------------------------------------------------


def device() -> Gpu:
    """Return the first GPU; end the program, with the reason, where it cannot be used.

    Each is asked: the driver, CuPy, and torch.
    """
    try:
        first, *_ = gpus()
    except GpuError as error:
        raise SystemExit(f"no CUDA device: {error}") from error
    reason = why_not() or torch_without_cuda()
    if reason is not None:
        raise SystemExit(reason)
    return first


def torch_without_cuda() -> str | None:
    """Return why torch cannot use the device, or None."""
    import torch

    if torch.cuda.is_available():
        return None
    built = torch.version.cuda
    if built is None:
        return (
            f"no CUDA device: torch {torch.__version__} is built without CUDA; remove this environment, "
            f"{sys.prefix}, and set PIP_EXTRA_INDEX_URL to an index that has torch's build for your CUDA"
        )
    return f"no CUDA device: torch {torch.__version__} for CUDA {built} finds none, though the driver does"


def revision() -> str:
    """Return the commit that is checked out, and whether files differ from it."""
    commands = (["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "-uno"])
    try:
        commit, changes = (
            subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} and changes" if changes else commit


def run(names: Sequence[str], session: Session, gpu: Gpu) -> list[Stage]:
    """Run the stages of these names, and write what is to be kept; say at the end how each went."""
    stages = [stage for name in names for stage in STAGES[name](session)]
    if set(names) == set(STAGES):
        found = _summaries(session)
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        known = {"python": platform.python_version()} | versions()
        checks = Checks(today, gpu, known, revision(), stages, found)
        save_checks(checks, session.results)
    page = session.results / PAGE
    if page.exists():
        write_listing(page, session.results)
    print(f"\n{gpu}")
    for stage in stages:
        outcome = "passed" if stage.passed else "FAILED"
        print(f"{outcome}  {stage.name}, {stage.seconds:.0f} s: {stage.summary}")
    return stages


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description="Check and time convhub on a CUDA device.")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}; all by default")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of the dated files")
    parser.add_argument("--quick", action="store_true", help="time two layers of each class only")
    given = parser.parse_args(arguments)
    for name in given.stages:
        if name not in STAGES:
            parser.error(f"STAGE is {name!r}; it must be of {', '.join(STAGES)}")
    gpu = device()
    print(gpu)
    with tempfile.TemporaryDirectory() as scratch:
        session = Session(execute, given.results, Path(scratch), given.quick)
        stages = run(given.stages or list(STAGES), session, gpu)
    return not all(stage.passed for stage in stages)


if __name__ == "__main__":
    sys.exit(main())
