"""asv_bench/: whose backends it measures, on what; that it runs; and that nothing is skipped in silence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import strangers

from convhub.bench.classes import CLASSES, class_of
from convhub.bench.layers import built_in
from convhub.problem import Problem, with_primitive

ROOT = Path(__file__).parents[2]
ASV = ROOT / "asv_bench"

#: One value of a table that asv prints: a time, a size, or a plain number.
VALUE = re.compile(r"\d[\d.]*±\S+|\d+(\.\d+)?[kMG]|\d+\.\d+(e-\d+)?")

#: What the smoke run measures, in asv's regular expressions, and how many values each gives. A stranger's
#: backend that takes float32 and kernels of 3x3 only, in forward alone, must be skipped where it says so.
SMOKE = {
    "TimeLayers": (r"TimeLayers.*\('(numpy|narrow)', .*, '3x3', 'float32'", 4),
    "TimeLayers, torch": (r"TimeLayers.*\('torch itself', 'forward', '3x3', 'float32'", 1),
    "WorstError": (r"WorstError.*\('(numpy|narrow)', 'forward', '(many images|depthwise).*float32'", 3),
    "PeakMemLayer": (r"PeakMem.*\('numpy', 'forward'", 1),
    "FirstCall": (r"FirstCall.*\('numpy', 'cached'", 1),
    "Import": (r"Import.*\('convhub'", 1),
    "TinyCall": (r"TinyCall.*\('(numpy|torch itself)'", 2),
}

DECLINED = {
    ("grad_input_float32_n1c64h28w28_k96r3s3_pad1x1", "has no grad_input; it offers forward"),
    ("grad_weight_float32_n1c64h28w28_k96r3s3_pad1x1", "has no grad_weight; it offers forward"),
    ("forward_float32_n41c2h3w4_k3r2s2", "takes kernels of 3x3 only"),
}


def python(folder, code):
    """Run code beside the benchmarks, where the distributions of a folder are installed."""
    variables = {"PYTHONPATH": os.pathsep.join([str(folder), str(strangers.TESTS)])}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ASV,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_strangers_backend_is_measured_by_being_installed(tmp_path):
    code = (
        "import json; from benchmarks import accuracy as a, layers as l, memory as m, overhead as o\n"
        "classes = l.TimeLayers, m.PeakMemLayer, o.FirstCall, o.TinyCall, a.WorstError\n"
        "print(json.dumps([one.params[0] for one in classes]))"
    )
    listed = []
    for sources in ([], [strangers.NARROW]):
        if sources:
            strangers.install(tmp_path, "narrow", *sources)
        done = python(tmp_path, code)
        assert done.returncode == 0, done.stderr
        listed.append(json.loads(done.stdout))
    for before, after in zip(*listed, strict=True):
        assert {"numba", "numpy", "torch", "torch itself"} <= set(before)
        assert set(after) - set(before) == {"narrow"}


def test_what_cannot_be_imported_fails_and_is_not_skipped(tmp_path):
    strangers.install(tmp_path, "broken", "import a_library_that_nobody_has")  # and torch is hidden
    code = (
        "from benchmarks import common\n"
        "for row in ('broken', common.TORCH_ITSELF):\n"
        "    assert row in common.FAST_ROWS, common.FAST_ROWS\n"
        "    layer = common.layer('3x3')\n"
        "    common.refuse_what_is_declined(row, layer.problem)\n"
        "    try:\n"
        "        common.prepared(row, layer)\n"
        "    except RuntimeError as error:\n"
        "        assert not isinstance(error, NotImplementedError)\n"
        "        print(error)\n"
    )
    done = python(tmp_path, code)
    assert done.returncode == 0, done.stderr
    broken, torch = done.stdout.strip().splitlines()
    assert "a_library_that_nobody_has" in broken
    assert torch.startswith("torch itself does not run")
    assert "ModuleNotFoundError" in torch


def test_each_class_has_one_layer_of_the_lists():
    code = (
        "import json; from benchmarks import common; from convhub.bench.classes import class_of\n"
        "layers = {name: common.layer(name) for name in common.LAYERS}\n"
        "print(json.dumps({name: [class_of(one), str(one.problem)] for name, one in layers.items()}))"
    )
    found = json.loads(python(ROOT, code).stdout)
    lists = {
        (class_of(layer), with_primitive(layer.problem, "forward").replace(batch=1)) for layer in built_in()
    }
    assert tuple(found) == CLASSES
    for name, (of, text) in found.items():
        assert of == name
        assert (name, Problem.parse(text).replace(batch=1)) in lists


def test_the_matrix_has_the_versions_that_are_known_to_work():
    pinned = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    configuration = json.loads(re.sub(r"(?m)^ *//.*", "", (ASV / "asv.conf.json").read_text()))
    for name, versions in configuration["matrix"]["req"].items():
        assert versions == [pinned[name]], name


@pytest.mark.timeout(200)
def test_benchmarks_run_and_only_what_is_declined_is_skipped(tmp_path):
    site, home = tmp_path / "site", tmp_path / "home"
    site.mkdir()
    home.mkdir()
    strangers.install(site, "narrow", strangers.NARROW)
    (site / "sitecustomize.py").unlink()  # which hides torch
    paths = os.pathsep.join([str(site), str(strangers.TESTS)])
    variables = {"HOME": str(home), "ASV_PYTHONPATH": paths}
    strangers.run(site, "asv", "machine", "--yes", cwd=ASV, **variables).check_returncode()
    command = ["asv", "run", "--quick", "--dry-run", "--show-stderr"]
    command += ["--python=same", "--launch-method", "forkserver"]
    for regex, _ in SMOKE.values():
        command += ["--bench", regex]
    done = strangers.run(site, *command, cwd=ASV, **variables)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "failed" not in said

    # Cells that were not asked for say "n/a" too, so what was measured is counted.
    expected = Counter()
    for name, (_, count) in SMOKE.items():
        expected[name.partition(",")[0]] += count
    assert _measured(said) == expected
    skipped = re.findall(r"declines (\S+): (.*?)['\"]\)", said)
    assert set(skipped) == DECLINED
    assert said.count("asv: skipped") == len(DECLINED)


def _measured(said):
    """Return how many values asv shows for each class of benchmarks."""
    found = Counter()
    name = ""
    for line in said.splitlines():
        heading = re.search(r"···  ?\w+\.(\w+)\.\w+", line)
        if heading:
            name = heading[1]
        elif line.startswith(" "):
            found[name] += sum(VALUE.fullmatch(cell) is not None for cell in line.split())
    return +found
