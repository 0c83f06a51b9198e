"""asv_bench/: whose backends it measures, on what; that it runs; and that nothing is skipped in silence."""

from __future__ import annotations

import json
import os
import re
from collections import Counter

import pytest
from support import asv_suite, third_party
from support.asv_suite import ASV, ROOT, python

import convhub
from convhub.bench.classes import CLASSES, class_of
from convhub.bench.layers import built_in
from convhub.problem import Problem, with_primitive

#: One value of a table that asv prints: a time, a size, or a plain number.
VALUE = re.compile(r"\d[\d.]*±\S+|\d+(\.\d+)?[kMG]|\d+\.\d+(e-\d+)?")

#: What the smoke run measures, in asv's regular expressions: of every benchmark each backend, but only what
#: is soon done of the layers, dtypes and caches.
SMOKE = (
    r"TimeLayers.*, '3x3', 'float32'\)",
    r"TimeSmallLayers.*, 'small'\)",
    r"PeakMemLayer.*'forward'\)",
    r"Import",
    r"FirstCall.*'cached'\)",
    r"FirstCall.*\('numpy', 'cold'\)",
    r"TinyCall",
    r"WorstError.*, 'forward', 'many images', 'float32'\)",
    r"WorstError.*\('narrow', 'forward', 'depthwise.*, 'float32'\)",
)

#: All that may be skipped: a third-party backend takes float32 and kernels of 3x3 only, in forward alone.
ONLY_FORWARD = "has no {}; it offers forward"
DECLINED = {
    "grad_input_float32_n1c64h28w28_k96r3s3_pad1x1": ONLY_FORWARD.format("grad_input"),
    "grad_weight_float32_n1c64h28w28_k96r3s3_pad1x1": ONLY_FORWARD.format("grad_weight"),
    "grad_input_float32_n1c4h10w10_k4r3s3_pad1x1": ONLY_FORWARD.format("grad_input"),
    "grad_weight_float32_n1c4h10w10_k4r3s3_pad1x1": ONLY_FORWARD.format("grad_weight"),
    "forward_float32_n1c3h224w224_k64r7s7_stride2x2_pad3x3": "takes kernels of 3x3 only",
    "forward_float32_n41c2h3w4_k3r2s2": "takes kernels of 3x3 only",
}


def test_a_strangers_backend_is_measured_by_being_installed(tmp_path):
    code = (
        "import json; from benchmarks import accuracy as a, layers as l, memory as m, overhead as o\n"
        "classes = l.TimeLayers, m.PeakMemLayer, o.FirstCall, o.TinyCall, a.WorstError\n"
        "print(json.dumps([one.params[0] for one in classes]))"
    )
    listed = []
    for sources in ([], [third_party.NARROW]):
        if sources:
            third_party.install(tmp_path, "narrow", *sources)
        done = python(tmp_path, code)
        assert done.returncode == 0, done.stderr
        listed.append(json.loads(done.stdout))
    for before, after in zip(*listed, strict=True):
        assert {"numba", "numpy", "torch", "torch itself"} <= set(before)
        assert set(after) - set(before) == {"narrow"}


def test_what_cannot_be_imported_fails_and_is_not_skipped(tmp_path):
    third_party.install(tmp_path, "broken", "import a_library_that_nobody_has")  # and torch is hidden
    code = (
        "from benchmarks import common\n"
        "for row in ('broken', common.TORCH_ITSELF):\n"
        "    assert row in common.FAST_ROWS, common.FAST_ROWS\n"
        "    layer = common.layer('3x3')\n"
        "    try:\n"
        "        common.ready(row, layer)\n"
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


def test_a_fault_is_no_refusal(tmp_path):
    source = third_party.NARROW.replace("return problem.kernel_size == (3, 3) or", "return 0 and")
    third_party.install(tmp_path, "narrow", source)
    code = "from benchmarks import common; common.ready('narrow', common.small_layer('tiny'))"
    done = python(tmp_path, code)
    assert done.returncode == 1
    assert "RuntimeError: narrow does not run" in done.stderr
    assert "it must return True or a reason" in done.stderr


def test_what_a_revision_does_not_have_is_skipped(tmp_path):
    code = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'convhub_numba' else find(name)\n"
        "from benchmarks import common; common.ready('numba', common.small_layer('tiny'))"
    )
    done = python(tmp_path, code)
    assert "NotImplementedError: this revision of convhub has no module convhub_numba" in done.stderr


def test_benchmarks_use_only_what_convhub_exports():
    """asv runs them on revisions of the past; the accuracy alone needs more, and says so."""
    for path in (ASV / "benchmarks").glob("*.py"):
        text = path.read_text()
        used = {*re.findall(r"\b(?:from|import) (convhub\.\w+|convhub import .*)", text)}
        used |= {*re.findall(r'_module\("([\w.]+)"', text)}
        allowed = {
            "convhub import config, plugins",
            "convhub.conformance",
            "convhub.dispatch.options",
            "convhub.reference.bounds",
            "convhub.reference.oracle",
        }
        assert used <= (allowed if path.name == "accuracy.py" else set()), path


def test_the_rows_are_this_repositorys_engines():
    code = "import convhub; from benchmarks import common; print(*common.ENGINES, *common.ROWS)"
    done = python(ROOT, code)
    available = sorted(name for name in convhub.available_backends("cpu"))
    assert done.stdout.split() == [*available, *available, "torch", "itself"]


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


@pytest.mark.timeout(300)
def test_benchmarks_run_and_only_what_is_declined_is_skipped(tmp_path):
    site, home = tmp_path / "site", tmp_path / "home"
    site.mkdir()
    home.mkdir()
    third_party.install(site, "narrow", third_party.NARROW)
    (site / "sitecustomize.py").unlink()  # which hides torch
    cells = _chosen(asv_suite.cells(site))
    paths = os.pathsep.join([str(site), str(third_party.TESTS)])
    variables = {"HOME": str(home), "ASV_PYTHONPATH": paths, "ASV_PRELOAD": "numba torch"}
    third_party.run(site, "asv", "machine", "--yes", cwd=ASV, **variables).check_returncode()
    command = ["asv", "run", "--quick", "--dry-run", "--show-stderr"]
    command += ["--python=same", "--launch-method", "forkserver"]
    for regex in SMOKE:
        command += ["--bench", regex]
    done = third_party.run(site, *command, cwd=ASV, **variables)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "failed" not in said

    # Cells that were not asked for say "n/a" too, so what was measured is counted.
    skipped = re.findall(r"declines (\S+): (.*?)['\"]\)", said)
    assert dict(skipped) == DECLINED
    assert said.count("asv: skipped") == len(skipped) == len(DECLINED)
    assert _measured(said).total() == cells.total() - len(DECLINED)
    assert set(_measured(said)) == set(cells)


def _chosen(benchmarks):
    """Return how many cells of each class the smoke run chooses; of every benchmark, each backend has one."""
    counts = Counter()
    for name, cells in benchmarks.items():
        chosen = [cell for text, cell in cells.items() if any(re.search(regex, text) for regex in SMOKE)]
        assert {row for row, *_ in chosen} == {row for row, *_ in cells.values()}, name
        counts[name.split(".")[1]] += len(chosen)
    return counts


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
