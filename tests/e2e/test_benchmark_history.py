"""docs/history.md and its files: of real revisions, and what asv_bench/history.py makes of them."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections import defaultdict

import numpy as np
import pytest
from support import asv_scripts
from support.asv_scripts import ROOT

CSV = ROOT / "docs" / "benchmarks" / "history.csv"
PAGE = ROOT / "docs" / "history.md"


@pytest.fixture(scope="module")
def history():
    return asv_scripts.load("history")


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.invalid", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def drawn(path):
    """Return the points of each line of a figure that has a name."""
    lines = re.findall(r'<g id="(\w+-\w+-[^"]+)">\s*<path d="([^"]+)"', path.read_text(encoding="utf-8"))
    return {name: np.array(re.findall(r"-?\d[\d.]*", points), float).reshape(-1, 2) for name, points in lines}


# --- what is committed ------------------------------------------------------------------------------------


def test_the_rows_are_of_what_the_script_measures(history):
    rows = history.read_csv(CSV)
    assert len({row.revision for row in rows}) >= 2
    for row in rows:
        assert row.backend in history.BACKENDS
        assert row.layer in history.LAYERS
        assert row.primitive in history.PRIMITIVES
        assert row.dtype in history.DTYPES
        assert min(row.milliseconds, row.torch_milliseconds) > 0
        assert row.machine
    cells = [(row.revision, row.backend, row.layer, row.primitive, row.dtype) for row in rows]
    assert len(cells) == len(set(cells))


def test_the_revisions_are_of_this_repository(history):
    if not (ROOT / ".git").exists():
        pytest.skip("there is no git history here, as in a source distribution")
    known = {one.revision: one for one in history.revisions(ROOT)}
    if not known or git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("this clone is without the history of its engines")
    written = {history.Revision(*row[:3]) for row in history.read_csv(CSV)}
    assert {one.revision for one in written} <= set(known)
    for one in written:
        assert known[one.revision] == one


def test_the_figure_and_the_table_are_those_of_the_rows(history, tmp_path):
    rows = history.read_csv(CSV)
    history.draw(rows, tmp_path / "history.svg")
    committed, again = drawn(CSV.with_suffix(".svg")), drawn(tmp_path / "history.svg")
    assert set(committed) == set(again) == {history.name_of(row) for row in rows}
    for name, points in again.items():
        np.testing.assert_allclose(committed[name], points, atol=0.01, err_msg=name)
    _, table, _ = history.split_page(PAGE.read_text(encoding="utf-8"))
    assert table == history.table(rows)


def test_the_page_speaks_of_revisions_that_it_shows(history):
    before, _, after = history.split_page(PAGE.read_text(encoding="utf-8"))
    named = set(re.findall(r"`([0-9a-f]{7})`", before + after))
    assert named
    assert named <= {row.revision[:7] for row in history.read_csv(CSV)}


# --- the script -------------------------------------------------------------------------------------------


def test_a_point_stands_at_its_revision_and_ratio(history, tmp_path):
    history.draw(history.read_csv(CSV), tmp_path / "history.svg")
    ratios = defaultdict(list)
    for row in history.read_csv(CSV):
        ratios[history.name_of(row)].append(row.torch_milliseconds / row.milliseconds)
    panels = defaultdict(list)
    for name, points in drawn(tmp_path / "history.svg").items():
        assert len(points) == len(ratios[name])
        assert (np.diff(points[:, 0]) > 0).all()
        panels[name.split("-")[0]] += zip(np.log(ratios[name]), points[:, 1], strict=False)
    for points in panels.values():
        logarithms, heights = np.array(points).T
        slope, offset = np.polyfit(logarithms, heights, 1)
        assert slope < 0  # downwards, in SVG
        np.testing.assert_allclose(heights, slope * logarithms + offset, atol=0.1)


def test_which_revisions(history, tmp_path):
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    engine = tmp_path / "engine"
    engine.mkdir()

    def commit(message, path):
        path.write_text(message)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "--message", message)

    commit("engine 1", engine / "a.py")
    commit("words", tmp_path / "README")
    git(tmp_path, "checkout", "--quiet", "-b", "aside")
    commit("half of an engine", engine / "b.py")
    commit("all of an engine", engine / "c.py")
    git(tmp_path, "checkout", "--quiet", "main")
    commit("more words", tmp_path / "README")
    git(tmp_path, "merge", "--quiet", "--no-ff", "--message", "merged", "aside")
    for number in range(2, 6):
        commit(f"engine {number}\twith a tab", engine / "a.py")

    found = history.revisions(tmp_path, ["engine"])
    assert [one.subject.split("\t")[0] for one in found] == [
        "engine 1",
        "merged",
        *(f"engine {number}" for number in range(2, 6)),
    ]
    assert found[-1].subject == "engine 5\twith a tab"
    assert git(tmp_path, "rev-parse", "HEAD").startswith(found[-1].revision)
    assert len(found[0].revision) == 10
    assert history.revisions(tmp_path, ["engine"], most=2) == [found[0], found[-1]]
    assert history.revisions(tmp_path, ["engine"], most=3) == [found[0], found[2], found[-1]]
    assert history.revisions(tmp_path, ["engine"], most=99) == found
    with pytest.raises(ValueError, match="most is 1; it must be 2 or more"):
        history.revisions(tmp_path, ["engine"], most=1)


@pytest.fixture
def results(history, tmp_path):
    """Return a function that writes a file of results as asv does, of times by their parameters."""
    values = [[*history.BACKENDS, history.YARDSTICK], history.PRIMITIVES, ["3x3", "stem"], ["float32"]]
    params = [[repr(value) for value in one] for one in values]
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm" / "machine.json").write_text(json.dumps({"machine": "vm", "version": 1}))
    benchmark = {"name": history.BENCHMARK, "params": params, "version": "today"}
    (tmp_path / "benchmarks.json").write_text(json.dumps({history.BENCHMARK: benchmark, "version": 2}))

    def write(commit, times, environment="linked-py3.11", version="today"):
        fastest = [times.get(name[:3]) for name in itertools.product(*values)]
        samples = [None if time is None else [time * 1.5, time, time * 2] for time in fastest]
        medians = [None if taken is None else sorted(taken)[1] for taken in samples]
        text = {
            "commit_hash": commit * 4,
            "env_name": environment,
            "date": 0,
            "params": {"cpu": "A chip", "machine": "vm"},
            "python": "3.11",
            "requirements": {},
            "env_vars": {},
            "result_columns": ["result", "params", "version", "samples"],
            "results": {history.BENCHMARK: [medians, params, version, samples]},
            "durations": {},
            "version": 2,
        }
        (tmp_path / "vm" / f"{commit[:8]}-{environment}-{version}.json").write_text(json.dumps(text))
        return tmp_path

    return write


def test_rows_of_what_asv_has_measured(history, results):
    every = [history.Revision(letter * 10, "2026-11-24", letter) for letter in "abcd"]
    first, second, third, fourth = every
    torch = {("torch itself", "forward", "3x3"): 2e-3, ("torch itself", "forward", "stem"): 1.0}
    results(first.revision, torch | {("numba", "forward", "3x3"): 1e-3, ("numba", "forward", "stem"): 1.0})
    results(fourth.revision, torch | {("numba", "forward", "3x3"): 5e-3}, environment="existing-py3.11")
    results(second.revision, torch | {("numba", "forward", "3x3"): 5e-3}, version="of yesterday")
    folder = results(
        third.revision, torch | {("numpy", "forward", "3x3"): 4.00049e-3, ("numpy", "grad_weight", "3x3"): 1}
    )
    rows = history.rows_of(every, folder)
    assert rows == [
        history.Row(*first, "numba", "3x3", "forward", "float32", 1.0, 2.0, "A chip"),
        history.Row(*third, "numpy", "3x3", "forward", "float32", 4.0, 2.0, "A chip"),
    ]
    assert [row.ratio for row in rows] == [2, 0.5]
    (folder / "vm" / "machine.json").unlink()
    with pytest.raises(ValueError, match="the results of one machine, and has those of: none"):
        history.rows_of([first], folder)


def test_what_is_written_can_be_read(history, tmp_path):
    revision = history.Revision("0123456789", "2026-11-24", 'Panels | of pixels, "turned"')
    rows = [
        history.Row(*revision, "numba", "1x1", primitive, "float32", 0.5, torch, "A chip")
        for primitive, torch in zip(history.PRIMITIVES, (1.0, 0.25), strict=True)
    ]
    (tmp_path / "benchmarks").mkdir()
    page = tmp_path / "history.md"
    page.write_text(f"before\n{history.BEGIN}old\n{history.END}after\n")
    history.write(rows, tmp_path)
    assert history.read_csv(tmp_path / "benchmarks" / "history.csv") == rows
    before, table, after = history.split_page(page.read_text())
    assert (before, after) == (f"before\n{history.BEGIN}", f"{history.END}after\n")
    assert table.splitlines()[-1] == (
        '| 2026-11-24 | `0123456` | – / – | – / – | 2.00 / 0.50 | – / – | Panels \\| of pixels, "turned" |'
    )
    with pytest.raises(ValueError, match="must have one place for the table"):
        history.split_page("none")
