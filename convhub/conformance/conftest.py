"""Which backends and problems the suite runs over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

import hypothesis
import pytest

from convhub import config
from convhub.candidates import availability, current_registry
from convhub.conformance import plugin
from convhub.conformance.calls import settings
from convhub.conformance.subjects import Subject, problems_for, refuses_all
from convhub.conformance.trial import CheckFailure, Trial
from convhub.conformance.verify import Finding
from convhub.problem import Problem

# "ci" tries the same examples every time; "dev" new ones at each run.
hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True, deadline=None, max_examples=60)
hypothesis.settings.register_profile("dev", print_blob=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

#: Of the data in every test but the random ones.
SEED = 0


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Load the suite's plugin, unless ``-p`` or an entry point has."""
    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, plugin.__name__)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test for every backend and device, and where it takes a problem, for every problem."""
    if "subject" not in metafunc.fixturenames:
        return
    subjects = _subjects(metafunc.config)
    if "problem" not in metafunc.fixturenames:
        metafunc.parametrize(
            "subject", [pytest.param(s, id=str(s), marks=_marks(s)) for s in subjects], scope="session"
        )
        return
    kind = metafunc.module.PROBLEMS
    parameters: dict[tuple[Problem, Subject], object] = {}
    for subject in subjects:
        if subject.missing is not None:
            parameters[_NO_PROBLEM, subject] = None
            continue
        for problem in problems_for(kind, subject):
            parameters[problem, subject] = None
    # Backends that share a problem follow each other, since they share what the oracle says of it.
    order = {problem: i for i, problem in enumerate(dict.fromkeys(problem for problem, _ in parameters))}
    metafunc.parametrize(
        ("problem", "subject"),
        [
            pytest.param(problem, subject, id=f"{subject}-{problem}", marks=_marks(subject))
            for problem, subject in sorted(parameters, key=lambda pair: order[pair[0]])
        ],
    )


#: Stands where a backend cannot run at all, so that its tests are there, and skipped with the reason.
_NO_PROBLEM = Problem("forward", 1, 1, 1, (1, 1), (1, 1))


def _marks(subject: Subject) -> tuple[pytest.MarkDecorator, ...]:
    return () if subject.missing is None else (pytest.mark.skip(reason=f"{subject}: {subject.missing}"),)


def _subjects(pytest_config: pytest.Config) -> list[Subject]:
    """Return every backend that is asked for, once for each of its devices and under each of the options."""
    resolved = config.current()
    registry = current_registry(resolved)
    names = pytest_config.getoption("convhub_backend", None) or list(registry.backends)
    texts = plugin.option_texts(pytest_config)
    subjects = []
    for name in names:
        backend = registry.backends[name].backend
        missing = availability(backend, resolved)
        for device in backend.capabilities.devices:
            subject = Subject(name, device)
            subject = subject._replace(missing=missing or refuses_all(subject))
            subjects += [subject._replace(options=text) for text in ("", *_of(name, texts))]
    return subjects


def _of(name: str, texts: dict[str, str]) -> list[str]:
    return [text for text, backend in texts.items() if backend == name]


@pytest.fixture(autouse=True)
def _options_of_the_subject(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the backend's own options in the environment while a test runs on a subject that has some."""
    call = getattr(request.node, "callspec", None)
    subject = call.params.get("subject") if call is not None else None
    if subject is None or not subject.options:
        yield
        return
    with settings(options=subject.options):
        yield


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[Iterable[Finding]], None]:
    """Give the function that puts findings into the summary, and fails or skips the test by them."""

    def judge(findings: Iterable[Finding]) -> None:
        found = list(findings)
        plugin.record(request, found)
        failed = [finding for finding in found if finding.outcome == "failed"]
        if failed:
            pytest.fail("\n".join(map(_text, failed)), pytrace=False)
        if all(finding.outcome == "skipped" for finding in found):
            pytest.skip(found[0].detail if found else "nothing to check")

    return judge


def _text(finding: Finding) -> str:
    trial = Trial(finding.backend, finding.problem, SEED, finding.check)
    return str(CheckFailure(trial, finding.detail))
