"""Where ml_dtypes is not installed, bfloat16 is declined with what to install, and all else goes on."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support import toy_backend

from convhub.arrays import numpy_lacks
from convhub.backend import Capabilities
from convhub.conformance.calls import refused
from convhub.conformance.levels import problems
from convhub.conformance.problems.cases import declared_problem
from convhub.conformance.subjects import Subject
from convhub.conformance.verify import random_problems, verify
from convhub.conformance.whole import check_whole
from convhub.problem import ITEM_BYTES, Problem

ROOT = Path(__file__).parents[2]
NARROW = Problem.parse("forward_bfloat16_n1c2h5w5_k3r3s3")
#: The first problem that is drawn with it has bfloat16, where the backend declares that.
SEED = 8
REASON = "dtype is bfloat16, which NumPy knows through ml_dtypes only: pip install ml_dtypes"


def unless_missing(module):
    missing = importlib.util.find_spec(module) is None
    return pytest.param(module, marks=pytest.mark.skipif(missing, reason=f"{module} is not installed"))


BACKENDS = ["naive", "numpy", unless_missing("numba"), unless_missing("torch")]


@pytest.fixture
def _no_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)


@pytest.mark.usefixtures("_no_ml_dtypes")
class TestWithoutMlDtypes:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_random_problems_have_other_types(self, backend):
        drawn = [*random_problems(60, 1, backend=backend)]
        assert len(drawn) == 60
        assert NARROW.dtype not in {problem.dtype for problem in drawn}

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_the_suite_declines_it_with_the_reason(self, backend):
        tried = [p for p in problems("quick", Subject(backend, "cpu")) if p.dtype == "bfloat16"]
        assert tried
        (finding,) = verify(tried[0], backend)
        assert (finding.outcome, finding.detail) == ("skipped", REASON)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_what_is_declared_is_right_nevertheless(self, backend):
        assert check_whole("declaration", Subject(backend, "cpu"), 0).outcome == "passed"

    def test_a_backend_of_that_type_alone_is_told_to_be_unable(self, plugin):
        can = Capabilities(dtypes=("bfloat16",))
        plugin("narrow_plugin", dataclasses.replace(toy_backend.toy, name="narrow", capabilities=can))
        (drawn,) = random_problems(5, 1, backend="narrow")
        assert refused("narrow", drawn) == REASON

    def test_the_command_verifies_what_is_left(self, run, plugin):
        can = Capabilities(dtypes=("bfloat16", "float32"))
        backend = dataclasses.replace(toy_backend.toy, name="some", capabilities=can)
        first = declared_problem(np.random.default_rng(SEED), backend)
        assert first.dtype == "bfloat16"
        plugin("some_plugin", backend)
        result = run("verify", "--random", "1", "--seed", str(SEED), "--backend", "some")
        assert (result.exit_code, result.stderr) == (0, "")

    def test_the_command_says_what_to_install_for_one_problem(self, run):
        result = run("verify", str(NARROW), "--backend", "numpy")
        assert result.exit_code == 1
        assert REASON in result.stdout + result.stderr
        assert REASON in run("explain", str(NARROW)).stdout

    def test_tensors_are_declined_by_backends_that_take_numpys_arrays_and_computed_by_torch(self):
        torch = pytest.importorskip("torch")
        import convhub

        x, w = torch.ones(1, 2, 5, 5, dtype=torch.bfloat16), torch.ones(3, 2, 3, 3, dtype=torch.bfloat16)
        assert convhub.conv2d(x, w, backend="torch").float().eq(18).all()
        with pytest.raises(convhub.ConvhubError, match="pip install ml_dtypes"):
            convhub.conv2d(x, w, backend="numpy")


def test_with_it_the_type_is_taken():
    pytest.importorskip("ml_dtypes", reason="it has NumPy's bfloat16")
    assert refused("numpy", NARROW) is None
    assert numpy_lacks("bfloat16") is None


def test_a_type_that_the_platform_lacks_is_named():
    missing = [name for name in ITEM_BYTES if name not in ("bfloat16",) and not hasattr(np, name)]
    for name in missing:  # long doubles of other platforms
        assert "which NumPy does not have on this platform" in numpy_lacks(name)
    assert "float7" in numpy_lacks("float7")


def test_every_extra_whose_backends_or_checks_have_bfloat16_brings_it():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in ("numba", "torch", "cuda12", "cuda13", "conformance"):
        assert any(text.startswith("ml-dtypes") for text in extras[name]), name
