"""The suite as people run it: by pytest, from a repository or anywhere, on a backend of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import convhub.conformance

FOLDER = Path(convhub.conformance.__file__).parent

THIRD_PARTY = """
import dataclasses
from support import toy_backend
from convhub.backend import hookimpl

convhub_contract = 1

def forward(x, w, bias, problem, options):
    y = toy_backend.forward(x, w, bias, problem, options)
    y[..., -1, :] = 0
    return y

@hookimpl
def convhub_backends():
    narrow = dataclasses.replace(toy_backend.toy.capabilities, dtypes=("float32",), groups=False)
    return [dataclasses.replace(toy_backend.toy, name="thirdparty", capabilities=narrow, forward=forward)]
"""

WITH_OPTIONS = """
import dataclasses
from support import toy_backend
from convhub.backend import hookimpl

convhub_contract = 1

@dataclasses.dataclass(frozen=True)
class Options:
    wrong: int = 0

def forward(x, w, bias, problem, options):
    return toy_backend.forward(x, w, bias, problem, options) + options.backend.wrong

@hookimpl
def convhub_backends():
    return [dataclasses.replace(toy_backend.toy, name="optional", options=Options, forward=forward)]
"""


def run_pytest(folder, *arguments):
    """Run pytest in a folder that is no part of this repository."""
    tests = Path(__file__).parents[1]
    paths = [str(folder), str(tests), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "CI": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def thirdparty(tmp_path):
    """Install a backend that drops the last row, and declares little."""
    (tmp_path / "convhub_thirdparty.py").write_text(THIRD_PARTY)
    info = tmp_path / "convhub_thirdparty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: convhub-thirdparty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[convhub]\nthirdparty = convhub_thirdparty\n")
    return tmp_path


def test_a_third_party_fault_is_printed_as_a_command(thirdparty):
    ran = run_pytest(
        thirdparty,
        *("-p", "convhub.conformance.plugin", "--pyargs", "convhub.conformance"),
        *("--convhub-backend", "thirdparty", "-k", "k4r6s7 or (h19w16 and groups3) or random"),
    )
    assert ran.returncode == 1
    command = (
        'convhub verify "forward_float32_n3c5h6w7_k4r6s7" --backend thirdparty --seed 0'
        if "forward_float32_n3c5h6w7_k4r6s7" in ran.stdout
        else 'convhub verify "forward_float64_n3c5h6w7_k4r6s7" --backend thirdparty --seed 0'
    )
    assert command in ran.stdout
    assert "convhub conformance" in ran.stdout
    assert "declined 2: takes float32 in " in ran.stdout or "declined 1: takes float32 in" in ran.stdout
    assert "takes groups = 1 only, not 3" in ran.stdout
    assert "worst error, of its bound" in ran.stdout
    assert "failed 1: small workspace" in ran.stdout
    # What hypothesis finds, it makes as small as it can.
    assert 'convhub verify "forward_float32_n1c1h1w1_k1r1s1" --backend thirdparty --seed 0' in ran.stdout
    assert "numpy" not in ran.stdout.partition("convhub conformance")[2]


def test_the_option_works_in_the_repository(tmp_path):
    ran = run_pytest(tmp_path, str(FOLDER), "--convhub-backend", "numpy", "-k", "answers or gradients")
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout or "1 passed, 1 skipped" in ran.stdout


def test_a_backend_that_is_not_there_is_named(tmp_path):
    ran = run_pytest(tmp_path, str(FOLDER), "--convhub-backend", "nunba")
    assert ran.returncode == 4
    assert "backend is 'nunba' (from --convhub-backend); registered backends:" in ran.stderr + ran.stdout
    assert "Did you mean 'numba'?" in ran.stderr + ran.stdout


def test_a_file_of_expected_failures_is_read_before_all_else(tmp_path):
    (tmp_path / "known.toml").write_text("[[xfail]]\ncheck = 'nonfinit'\nreason = 'known'\n")
    ran = run_pytest(tmp_path, str(FOLDER), "--convhub-backend", "numpy", "--convhub-xfails", "known.toml")
    assert ran.returncode == 4
    assert "known.toml: entry 1: check is 'nonfinit'; it must be " in ran.stderr + ran.stdout
    assert "Did you mean 'nonfinite'?" in ran.stderr + ran.stdout


def test_a_backend_is_checked_once_more_under_each_of_its_options(tmp_path):
    (tmp_path / "toy_plugin.py").write_text(WITH_OPTIONS)
    info = tmp_path / "toy_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[convhub]\noptional = toy_plugin\n")
    arguments = ["--pyargs", "convhub.conformance", "--convhub-backend", "optional", "-k", "k4r6s7"]
    options = ["--convhub-options", "optional.wrong = 1 ;", "--convhub-options", "optional.wrong=0"]
    ran = run_pytest(tmp_path, "-p", "convhub.conformance.plugin", *arguments, *options)
    assert ran.returncode == 1
    lines = ran.stdout.splitlines()
    assert any(line.startswith("optional: ") and ", 0 failed" in line for line in lines), ran.stdout
    assert any(line.startswith("optional.wrong=0: ") and ", 0 failed" in line for line in lines)
    assert any(line.startswith("optional.wrong=1: ") and ", 0 failed" not in line for line in lines)
    assert "CONVHUB_OPTIONS=optional.wrong=1 convhub verify" in ran.stdout
    ran = run_pytest(
        tmp_path, "-p", "convhub.conformance.plugin", *arguments, "--convhub-options", "optional.rong=1"
    )
    assert ran.returncode == 4
    assert (
        "--convhub-options optional.rong=1: environment CONVHUB_OPTIONS: [options.optional] has 'rong'"
        in (ran.stderr + ran.stdout)
    )


def test_options_of_two_backends_in_one_text_are_refused(tmp_path):
    ran = run_pytest(tmp_path, str(FOLDER), "--convhub-options", "numba.winograd=never numpy.x=1")
    assert ran.returncode == 4
    assert (
        "--convhub-options is 'numba.winograd=never numpy.x=1', of numba and numpy" in ran.stderr + ran.stdout
    )


def test_importing_convhub_imports_nothing_of_it():
    code = "import sys, convhub; print([m for m in sys.modules if 'conformance' in m or m == 'hypothesis'])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
    code = (
        "import sys; from convhub.conformance.verify import verify; "
        "print({'pytest', 'hypothesis', 'torch'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--convhub-device", "cdua"), "--convhub-device is 'cdua'; there are cpu, cuda"),
        (
            ("--convhub-device", "cuda", "--convhub-backend", "numpy"),
            "--convhub-device is 'cuda'; numpy runs on cpu only",
        ),
    ],
)
def test_a_device_that_is_not_there_is_refused(tmp_path, arguments, message):
    ran = run_pytest(tmp_path, str(FOLDER), *arguments)
    assert ran.returncode == 4
    assert message in ran.stderr + ran.stdout


def test_only_the_device_that_is_asked_for_is_checked(tmp_path):
    ran = run_pytest(
        tmp_path, str(FOLDER), "--convhub-backend", "torch", "--convhub-device", "cpu", "--collect-only", "-q"
    )
    assert "[torch" in ran.stdout
    assert "torch-cuda" not in ran.stdout
