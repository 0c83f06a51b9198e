"""``make test-gpu`` where there is no GPU: what it would run, how it judges, what it writes and refuses."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from convhub.conformance.report import findings as suite_report
from convhub.conformance.report.rows import OUTCOMES
from convhub.system.gpu import Gpu, GpuError
from convhub.system.machine import this_machine
from convhub.versioned_json import write_json
from gpu import record, run, sanitizer
from gpu.device import conftest as device_conftest
from gpu.record import read_checks

ROOT = Path(__file__).parents[2]
CHIP = Gpu("Some Chip 80GB", "9.0", 132, 80 * 2**30, "580.65.06", "13.1")


def junit(cases):
    return f"<testsuites><testsuite>{cases}</testsuite></testsuites>"


def option(command, name):
    return command[command.index(name) + 1]


def of_suite(subject, passed, failed, skipped, why=()):
    counts = dict.fromkeys(OUTCOMES, 0) | {"passed": passed, "failed": failed, "skipped": skipped}
    reasons = {"declined": {}, "skipped": dict(why)}
    name = subject.partition("-")[0]
    return suite_report.Tested(subject, name, "convhub", "1", "full", 0, counts, {}, {}, reasons, [], {})


def report_of(found):
    return suite_report.Report("1", 1, "2000-01-01", 1.0, this_machine({}), found)


class FakeMachine:
    """Runs nothing: notes the commands, and leaves behind what each would have, `codes` by a word in it."""

    def __init__(self, **codes):
        self.codes = codes
        self.commands = []
        self.variables = []
        self.outcomes = [of_suite("cupy-cuda", 90, 0, 5), of_suite("torch-cuda", 80, 0, 7, {"why": 7})]
        self.junit = (
            '<testsuites><testsuite><testcase name="a"/><testcase name="b"/></testsuite></testsuites>'
        )
        self.log = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"

    def __call__(self, command, variables):
        self.commands.append(list(command))
        self.variables.append(variables)
        if "--convhub-report" in command:
            write_json(report_of(self.outcomes), Path(option(command, "--convhub-report")))
        if "--junitxml" in command:
            Path(option(command, "--junitxml")).write_text(self.junit)
        if "--log-file" in command and self.log is not None:
            Path(option(command, "--log-file")).write_text(self.log)
        return next((code for word, code in self.codes.items() if word in command), 0)


@pytest.fixture
def sanitizer_there(monkeypatch):
    monkeypatch.setattr(sanitizer, "find", lambda: ["compute-sanitizer"])


@pytest.fixture
def session(tmp_path, sanitizer_there):
    def make(machine, **rest):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return run.Session(machine, tmp_path / "results", scratch, **rest)

    return make


# --- the stages -------------------------------------------------------------------------------------------


def test_every_stage_passes_where_all_is_well(session):
    machine = FakeMachine()
    stages = run.run(list(run.STAGES), session(machine), CHIP)
    assert all(stage.passed for stage in stages)
    assert [stage.name for stage in stages] == [
        "conformance",
        "tests",
        *("memcheck", "racecheck", "synccheck", "initcheck"),
        *(f"benchmark {name}" for name in ("float32", "tf32", "float64", "float16", "bfloat16")),
    ]
    assert (
        stages[0].summary
        == "cupy-cuda: 90 passed, 0 failed, 5 skipped; torch-cuda: 80 passed, 0 failed, 7 skipped"
    )
    assert stages[1].summary == "2 passed, 0 failed, 0 skipped"
    assert stages[2].summary == "ERROR SUMMARY: 0 errors"


def test_what_each_stage_runs(session):
    machine = FakeMachine()
    run.run(list(run.STAGES), session(machine, quick=True), CHIP)
    suite, tests, memcheck, *_ = machine.commands
    assert suite[:5] == [sys.executable, "-m", "pytest", "-q", "convhub/conformance"]
    assert option(suite, "--convhub-device") == "cuda"
    backends = [after for word, after in itertools.pairwise(suite) if word == "--convhub-backend"]
    assert backends == ["cupy", "torch"]
    assert "tests/gpu/device" in tests
    assert machine.variables[1] == {device_conftest.REQUIRED: "1"}
    assert memcheck[:3] == ["compute-sanitizer", "--tool", "memcheck"]
    assert option(memcheck, "--error-exitcode") == "86"
    assert option(memcheck, "--padding") == "256"
    assert memcheck[-2] == sys.executable
    assert Path(memcheck[-1]) == ROOT / "tests" / "gpu" / "sanitizer_run.py"
    assert Path(memcheck[-1]).exists()
    benches = [command for command in machine.commands if "bench" in command]
    assert [(option(c, "--dtype"), "--tf32" in c) for c in benches] == [
        ("float32", False),
        ("float32", True),
        ("float64", False),
        ("float16", False),
        ("bfloat16", False),
    ]
    for command in benches:
        assert {"--quick", "--save-to"} <= set(command)
        assert (option(command, "--device"), option(command, "--backend")) == ("cuda", "cupy")
        assert option(command, "--primitive") == "all"


@pytest.mark.parametrize(
    ("outcomes", "code", "summary"),
    [
        (
            [of_suite("cupy-cuda", 9, 1, 0), of_suite("torch-cuda", 9, 0, 0)],
            1,
            "cupy-cuda: 9 passed, 1 failed",
        ),
        ([of_suite("cupy-cuda", 0, 0, 3), of_suite("torch-cuda", 9, 0, 0)], 0, "nothing of cupy was checked"),
        ([of_suite("cupy-cuda", 9, 0, 0)], 0, "nothing of torch was checked"),
        ([], 0, "nothing of cupy was checked; nothing of torch was checked"),
    ],
)
def test_a_suite_that_checks_nothing_has_not_passed(session, outcomes, code, summary):
    machine = FakeMachine(**{"convhub/conformance": code})
    machine.outcomes = outcomes
    (stage,) = run.conformance(session(machine))
    assert not stage.passed
    assert summary in stage.summary


def test_a_suite_that_dies_has_not_passed(session, monkeypatch):
    (stage,) = run.conformance(session(lambda command, variables: 139))
    assert (stage.passed, stage.summary) == (False, "the suite wrote no report, and ended with code 139")
    (stage,) = run.tests(session(lambda command, variables: 139))
    assert (stage.passed, stage.summary) == (False, "pytest wrote no report, and ended with code 139")


SKIPPED = '<testcase><skipped message="one device"/></testcase>'


@pytest.mark.parametrize(
    ("cases", "code", "passed", "summary"),
    [
        ("<testcase/><testcase><failure/></testcase>", 1, False, "1 passed, 1 failed, 0 skipped"),
        ("<testcase><error/></testcase>", 1, False, "0 passed, 1 failed, 0 skipped"),
        (
            '<testcase><skipped message="one device"/></testcase>',
            0,
            False,
            "0 passed, 0 failed, 1 skipped; one device",
        ),
        (
            '<testcase/><testcase><skipped message="one device"/></testcase>' * 2,
            0,
            True,
            "2 passed, 0 failed, 2 skipped; one device",
        ),
    ],
)
def test_tests_are_counted(session, cases, code, passed, summary):
    machine = FakeMachine(**{"tests/gpu/device": code})
    machine.junit = junit(cases)
    (stage,) = run.tests(session(machine))
    assert (stage.passed, stage.summary) == (passed, summary)


def test_a_tool_that_finds_something_or_does_not_end_has_not_passed(session, capsys):
    machine = FakeMachine(racecheck=86)
    summary = "RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)"
    machine.log = f"========= Race reported\n========= {summary}\n"
    stages = {stage.name: stage for stage in run.sanitize(session(machine))}
    assert [name for name, stage in stages.items() if not stage.passed] == ["racecheck"]
    assert stages["racecheck"].summary == summary
    assert "Race reported" in capsys.readouterr().out
    # Code 0 without a summary, too, is no result.
    machine = FakeMachine()
    machine.log = "========= COMPUTE-SANITIZER\n"
    assert not any(stage.passed for stage in run.sanitize(session(machine)))


def test_without_compute_sanitizer_its_stages_fail_and_say_what_to_install(session, monkeypatch):
    def missing():
        raise sanitizer.MissingError("it is not there: pip install it")

    monkeypatch.setattr(sanitizer, "find", missing)
    machine = FakeMachine()
    stages = list(run.sanitize(session(machine)))
    assert [(stage.passed, stage.summary) for stage in stages] == [
        (False, "it is not there: pip install it")
    ] * 4
    assert machine.commands == []


# --- what is kept -----------------------------------------------------------------------------------------


def test_a_failed_stage_does_not_stop_the_later_ones_and_all_is_written(session, tmp_path, capsys):
    machine = FakeMachine(**{"tests/gpu/device": 1})
    made = session(machine)
    made.results.mkdir()
    (made.results / "README.md").write_text(f"# Page\n\n{record.BEGIN}\nold\n{record.END}\n\nmore\n")
    run.run(list(run.STAGES), made, CHIP)
    assert len(machine.commands) == 11
    (path,) = made.results.glob("*.json")
    checks = read_checks(path)
    assert path.name == f"{checks.date}-some-chip-80gb-checks.json"
    assert [stage.name for stage in checks.stages if not stage.passed] == ["tests"]
    assert checks.conformance[1].skips == {"why": 7}
    assert checks.gpu == CHIP
    assert checks.revision != ""
    # No path of the machine is in it.
    assert str(tmp_path) not in path.read_text()
    assert sys.prefix not in path.read_text()
    page = (made.results / "README.md").read_text()
    assert f"| {checks.date} | Some Chip 80GB | correctness | failed: tests |" in page
    assert page.startswith("# Page\n\n")
    assert page.endswith(f"{record.END}\n\nmore\n")
    assert "FAILED  tests, 0 s: 2 passed" in capsys.readouterr().out


def test_a_part_of_the_stages_leaves_no_record_of_checks(session):
    made = session(FakeMachine())
    assert [stage.name for stage in run.run(["conformance"], made, CHIP)] == ["conformance"]
    assert not made.results.exists()


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1)])
def test_the_exit_code(monkeypatch, tmp_path, sanitizer_there, code, expected):
    monkeypatch.setattr(run, "device", lambda: CHIP)
    monkeypatch.setattr(run, "execute", FakeMachine(**{"--tf32": code}))
    assert run.main(["benchmark", "--results", str(tmp_path)]) == expected


def test_a_stage_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        run.main(["benhcmark"])
    assert ended.value.code == 2
    assert (
        "STAGE is 'benhcmark'; it must be of conformance, tests, sanitizer, benchmark"
        in capsys.readouterr().err
    )


def test_a_command_runs_in_the_root_with_its_variables(capfd):
    code = run.execute(
        [sys.executable, "-c", "import os; print(os.getcwd(), os.environ['A_B'])"], {"A_B": "c"}
    )
    assert code == 0
    assert f"{ROOT} c" in capfd.readouterr().out
    assert run.execute([sys.executable, "-c", "raise SystemExit(3)"], {}) == 3


# --- no device --------------------------------------------------------------------------------------------


def test_each_that_must_reach_the_device_is_asked(monkeypatch):
    torch = pytest.importorskip("torch")

    def none():
        raise GpuError("there is no NVIDIA driver: nothing")

    monkeypatch.setattr(run, "gpus", none)
    with pytest.raises(SystemExit, match="no CUDA device: there is no NVIDIA driver: nothing"):
        run.device()
    monkeypatch.setattr(run, "gpus", lambda: (CHIP,))
    monkeypatch.setattr(run, "why_not", lambda: "no CUDA device: CuPy is not installed")
    with pytest.raises(SystemExit, match="no CUDA device: CuPy is not installed"):
        run.device()
    monkeypatch.setattr(run, "why_not", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(SystemExit, match="is built without CUDA; remove this env.*PIP_EXTRA_INDEX_URL"):
        run.device()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(SystemExit, match="for CUDA 13.0 finds none, though the driver does"):
        run.device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert run.device() == CHIP


@pytest.mark.usefixtures("without_gpu")
def test_make_says_so_before_it_installs_anything():
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    command = ["make", "test-gpu", f"PYTHON={sys.executable}", "CUDA=99"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no CUDA device: there is no NVIDIA driver: " in done.stderr
    assert "pip" not in done.stdout
    assert not (ROOT / ".venv-cuda99").exists()


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("required", [False, True])
def test_tests_for_a_gpu_are_skipped_with_the_reason_and_fail_where_it_must_be_there(required):
    variables = {device_conftest.REQUIRED: "1"} if required else {}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-ra",
        "tests/gpu/device",
        "-k",
        "same_devices",
    ]
    environment = {name: value for name, value in os.environ.items() if name != device_conftest.REQUIRED}
    done = subprocess.run(
        command, cwd=ROOT, env=environment | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == required, done.stdout
    assert f"{'1 error' if required else '1 skipped'}" in done.stdout
    assert "no CUDA device: " in done.stdout


# --- compute-sanitizer ------------------------------------------------------------------------------------


def program(path, executable=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755 if executable else 0o644)
    return path


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    for name in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(sanitizer, "WHEELS", ("convhub-has-no-such-wheel", "convhub-nor-this"))
    if Path("/usr/local/cuda/bin/compute-sanitizer").exists():
        pytest.skip("a CUDA toolkit is installed here")


def test_compute_sanitizer_is_found_on_the_path_or_in_the_toolkit(nowhere, monkeypatch, tmp_path):
    there = program(tmp_path / "toolkit" / "bin" / "compute-sanitizer")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "toolkit"))
    assert sanitizer.find() == [str(there)]
    first = program(tmp_path / "path" / "compute-sanitizer")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert sanitizer.find() == [str(first)]


def test_compute_sanitizer_is_found_in_a_wheel(nowhere, monkeypatch, tmp_path):
    """In that for CUDA 13 it lies ready; in that for CUDA 12 it is not executable, its parts elsewhere."""
    for wheel, folder, parts in (("one", "cu13", None), ("two", "cuda_sanitizer_api", "lib")):
        info = tmp_path / f"convhub_{wheel}_wheel-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: convhub-{wheel}-wheel\nVersion: 1\n")
        (info / "RECORD").write_text(
            f"nvidia/{folder}/bin/compute-sanitizer,,\nnvidia/{folder}/docs/index.html,,\n"
        )
        path = program(tmp_path / "nvidia" / folder / "bin" / "compute-sanitizer", executable=parts is None)
        if parts:
            program(tmp_path / "nvidia" / folder / parts / "libsanitizer-collection.so")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(sanitizer, "WHEELS", ("convhub-has-no-such-wheel", f"convhub-{wheel}-wheel"))
        found = sanitizer.find()
        assert found[0] == str(path)
        assert os.access(path, os.X_OK)
        assert found[1:] == (["--injection-path", str(tmp_path / "nvidia" / folder / parts)] if parts else [])


def test_compute_sanitizer_is_missing(nowhere):
    with pytest.raises(sanitizer.MissingError, match=r"neither on PATH.*-m pip install convhub-has-no-such"):
        sanitizer.find()
