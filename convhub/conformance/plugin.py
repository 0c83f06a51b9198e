"""Adds the suite to pytest: its options, its tests, its report, and the summary at the end.

An installed convhub adds it to every run of pytest, so it imports the suite only when that is requested.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..config.option_text import options_from_text, text_of_options
from .author import LEVELS, MARKER, Wanted
from .report.gathering import ATTRIBUTE, Gatherer

if TYPE_CHECKING:
    from .suite import Case

__all__ = ["DEVICE", "OPTION", "OPTIONS"]

OPTION = "--convhub-backend"
OPTIONS = "--convhub-options"
DEVICE = "--convhub-device"


GATHERER = pytest.StashKey[Gatherer]()
STDERR = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that say what is checked, and where the report goes."""
    group = parser.getgroup("convhub", "convhub's conformance suite")
    group.addoption(
        OPTION,
        action="append",
        metavar="NAME",
        dest="convhub_backend",
        help="check this backend; may be repeated (default: every one)",
    )
    group.addoption(
        OPTIONS,
        action="append",
        metavar="NAME.KEY=VALUE",
        dest="convhub_options",
        help="check backend NAME once more under this option of its own, or several with commas, at level "
        "quick; may be repeated",
    )
    group.addoption(
        DEVICE,
        metavar="TYPE",
        dest="convhub_device",
        help="check backends on this type of device only, such as cuda (default: each that they run on)",
    )
    group.addoption(
        "--convhub-level",
        choices=LEVELS,
        help="how much to check (default: full, and quick under --convhub-options)",
    )
    group.addoption(
        "--convhub-only",
        action="append",
        metavar="CHECK",
        help="run this check only, such as 'random data'; may be repeated",
    )
    group.addoption(
        "--convhub-problem",
        action="append",
        metavar="PROBLEM",
        help="check this problem only, or those that match a pattern such as 'grad_*'; may be repeated",
    )
    group.addoption("--convhub-seed", type=_seed, metavar="N", help="of all random data (default: 0)")
    group.addoption(
        "--convhub-xfails", type=Path, metavar="FILE.toml", help="failures that are known, as docs tell"
    )
    group.addoption("--convhub-report", type=Path, metavar="FILE.json", help="write what was found there")
    group.addoption("--convhub-progress", type=Path, metavar="FILE", help="write there how far it is")
    group.addoption(
        "--convhub-findings", type=Path, metavar="FILE", help="write there each test's findings as it ends"
    )
    group.addoption(
        "--convhub-timeout",
        type=_seconds,
        metavar="S",
        help="end the process if one test takes longer (default: 600, and 1800 at level full)",
    )
    group.addoption(
        "--convhub-total-timeout",
        type=_seconds,
        metavar="S",
        help="end the process if the run takes longer (default: 7200, and 43200 at level full)",
    )
    parser.addini("convhub_options", f"what {OPTIONS} says where it is not given", type="linelist")


def _seed(text: str) -> int:
    seed = int(text)
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, not {seed}")
    return seed


def _seconds(text: str) -> float:
    from .time_limits import refusal

    seconds = float(text)
    wrong = refusal(seconds)
    if wrong is not None:
        raise ValueError(f"the limit is {wrong}")
    return seconds


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of the suite's tests."""
    config.addinivalue_line("markers", f"{MARKER}(wanted): see convhub.conformance.conformance_cases")
    gatherer = Gatherer(config)
    config.stash[GATHERER] = gatherer
    config.pluginmanager.register(gatherer, "convhub gatherer")
    progress = config.getoption("convhub_progress", None)
    if progress is not None and not gatherer.is_worker:
        from .report.progress import Progress

        config.pluginmanager.register(Progress(progress), "convhub progress")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what was opened for messages about time limits, if it was."""
    if STDERR in config.stash:
        os.close(config.stash[STDERR])
        del config.stash[STDERR]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """End the process if a test of the suite takes too long."""
    if item.get_closest_marker(MARKER) is None:
        return (yield)
    from .time_limits import DEFAULTS, Limits

    config = item.config
    case: Case = item.callspec.params["case"]  # type: ignore[attr-defined]
    test, run = config.getoption("convhub_timeout"), config.getoption("convhub_total_timeout")
    limits = Limits(test or DEFAULTS[case.level].test, run or DEFAULTS[case.level].run)
    with limits.kept(config.stash[GATHERER].started, _standard_error(config)):
        return (yield)


def _standard_error(config: pytest.Config) -> int:
    """Return a copy of the descriptor of standard error, in whose place pytest has a file during tests."""
    if STDERR not in config.stash:
        capturing = config.pluginmanager.getplugin("capturemanager")
        with capturing.global_and_fixture_disabled() if capturing else contextlib.nullcontext():
            config.stash[STDERR] = os.dup(2)
    return config.stash[STDERR]


def option_texts(config: pytest.Config) -> dict[str, str]:
    """Return the options under which backends are checked once more, as a map from text to backend name."""
    named = {}
    for text in config.getoption("convhub_options", None) or config.getini("convhub_options"):
        options = options_from_text(text)
        if isinstance(options, dict) and all(isinstance(table, dict) and table for table in options.values()):
            if len(options) != 1:
                raise pytest.UsageError(
                    f"{OPTIONS} is {text!r}, of {' and '.join(options)}; give one for each"
                )
            named[text_of_options(options)] = next(iter(options))
        else:  # It is refused when it is put in force.
            named[text] = text.partition(".")[0].strip()
    asked = config.getoption("convhub_backend", None)
    return {text: name for text, name in named.items() if not asked or name in asked}


def pytest_collection(session: pytest.Session) -> None:
    """Refuse unregistered backends, and options and devices that they do not have, before anything else."""
    asked = dict.fromkeys(session.config.getoption("convhub_backend") or (), OPTION)
    device = session.config.getoption("convhub_device")
    texts = option_texts(session.config)
    asked |= dict.fromkeys(texts.values(), OPTIONS)
    file = session.config.getoption("convhub_xfails")
    narrowed = _narrowed(session.config)
    if not asked and file is None and device is None and not any(narrowed):
        return
    from ..config import current
    from ..dispatch.dispatcher import current_dispatcher
    from ..dispatch.names import unknown_backend
    from ..dispatch.options import run_options
    from ..errors import ArgumentError, ConfigurationError
    from .calls import settings
    from .report.xfails import read_xfails
    from .selection import selection_of
    from .suite import NAMES

    dispatcher = current_dispatcher()
    backends = dispatcher.registry.backends
    for name, source in asked.items():
        if name not in backends:
            raise pytest.UsageError(str(unknown_backend(name, source, dispatcher)))
        devices = backends[name].backend.capabilities.devices
        if source == OPTION and device not in (None, *devices):
            raise pytest.UsageError(f"{DEVICE} is {device!r}; {name} runs on {' and '.join(devices)} only")
    there = {one for r in backends.values() for one in r.backend.capabilities.devices}
    if device not in (None, *there):
        raise pytest.UsageError(f"{DEVICE} is {device!r}; there are {', '.join(sorted(there))}")
    for text, name in texts.items():
        try:
            with settings(options=text):
                run_options(backends[name], current())
        except ConfigurationError as error:
            raise pytest.UsageError(f"{OPTIONS} {text}: {error}") from error
    try:
        if file is not None:
            read_xfails(file, NAMES)
        selection_of(*narrowed)
    except ArgumentError as error:
        raise pytest.UsageError(str(error)) from error


def _narrowed(config: pytest.Config) -> tuple[list[str], list[str]]:
    """Return the checks and the problems that alone are asked for, as texts."""
    return config.getoption("convhub_only") or [], config.getoption("convhub_problem") or []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that `conformance_cases` marked with the suite's problems."""
    mark = metafunc.definition.get_closest_marker(MARKER)
    if mark is None:
        return
    from ..errors import ConvhubError

    (wanted,) = mark.args
    try:
        cases = _cases(metafunc.config, wanted, metafunc.definition.path.parent)
    except ConvhubError as error:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from error
    metafunc.parametrize("case", cases, ids=[str(case) for case in cases])


def _cases(config: pytest.Config, wanted: Wanted, folder: Path) -> list[Case]:
    from ..dispatch.dispatcher import current_dispatcher
    from ..dispatch.names import check_name
    from .report.xfails import Xfails, read_xfails
    from .selection import selection_of
    from .subjects import subjects_of
    from .suite import NAMES, cases_of, side_by_side

    names = [wanted.backend] if wanted.backend else config.getoption("convhub_backend")
    file = config.getoption("convhub_xfails") or (wanted.xfails and folder / wanted.xfails)
    xfails = read_xfails(Path(file), NAMES) if file else Xfails()
    asked = config.getoption("convhub_level") or wanted.level
    seed = config.getoption("convhub_seed")
    if seed is None:
        seed = wanted.seed or 0
    texts, device = option_texts(config), config.getoption("convhub_device")
    subjects = []
    dispatcher = current_dispatcher()
    for name in names or dispatcher.registry.backends:
        check_name(name, "conformance_cases", dispatcher)
        found = subjects_of(name, [text for text, backend in texts.items() if backend == name])
        subjects += [subject for subject in found if device in (None, subject.device)]
    narrowed = _narrowed(config)
    selection = selection_of(*narrowed)
    config.stash[GATHERER].used.append((subjects, xfails))
    if any(narrowed):
        config.stash[GATHERER].pytest_deselected()
    cases = []
    for subject in subjects:
        # A run under options checks only what differs from the first one; quick finds that.
        level = asked or ("quick" if subject.options else "full")
        cases += selection.of(cases_of(subject, level, seed, xfails))
    return side_by_side(cases)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach a test's findings to its report, as plain data that another process can receive."""
    report = yield
    if item.get_closest_marker(MARKER) is not None and (call.when == "call" or report.failed):
        import msgspec

        case: Case = item.callspec.params["case"]  # type: ignore[attr-defined]
        done = case.done if call.when == "call" else None
        setattr(report, ATTRIBUTE, msgspec.to_builtins(done))
    return report
