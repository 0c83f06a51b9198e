"""Results from GPUs as dated files, and the page that lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from convhub.bench.archive import save
from convhub.bench.results import Report, Row, Settings, read_report
from convhub.system.gpu import Gpu
from convhub.system.machine import Machine
from gpu import record
from gpu.record import (
    Checks,
    Stage,
    Summary,
    listing,
    read_checks,
    save_checks,
    to_markdown,
    with_listing,
    write_listing,
)

ROOT = Path(__file__).parents[2]
CHIP = Gpu("Some Chip 80GB", "9.0", 132, 80 * 2**30, "580.65.06", "13.1")


def a_report():
    times = (("forward", 1.0, 4.0), ("forward", 1.0, 1.0), ("grad_weight", 2.0, 1.0))
    rows = [
        Row(
            layer_class="3x3",
            name="",
            problem=f"{primitive}_float32_n1c5h9w8_k6r3s3_cuda",
            operation="conv2d",
            macs=9,
            bytes=9,
            memory="pool",
            backend="cupy",
            against="torch",
            milliseconds=ours,
            against_milliseconds=theirs,
        )
        for primitive, ours, theirs in times
    ]
    machine = Machine("Some CPU", 4, (), "Linux", {}, gpu=CHIP)
    settings = Settings("cupy", device="cuda:0", allow_tf32=True, memory=("pool",))
    return Report(machine, "convhub bench", "2000-01-02", settings, None, rows)


def test_the_list_has_the_newest_first_and_says_what_came_of_each(tmp_path):
    assert listing(tmp_path) == record.NONE
    save(a_report(), tmp_path, "2000-01-02-some-chip-80gb-tf32")
    stages = [Stage("conformance", "pytest", True, 1.0, "all"), Stage("tests", "pytest", True, 1.0, "all")]
    save_checks(Checks("2000-01-03", CHIP, {"numpy": "2.0"}, "abc", stages), tmp_path)
    header, rule, newest, oldest = listing(tmp_path).splitlines()
    assert (header.count("|"), rule.count("|")) == (6, 6)
    assert newest == (
        "| 2000-01-03 | Some Chip 80GB | correctness | passed: 2 stages | "
        "[tables](2000-01-03-some-chip-80gb-checks.md), [data](2000-01-03-some-chip-80gb-checks.json) |"
    )
    assert oldest.startswith(
        r"| 2000-01-02 | Some Chip 80GB | cupy against torch, TF32 | forward 2.00x, grad\_weight 0.50x | ["
    )
    page = tmp_path / "page.md"
    page.write_text(f"a\n{record.BEGIN}{record.END}\nb\n")
    write_listing(page, tmp_path)
    assert page.read_text() == f"a\n{record.BEGIN}\n\n{listing(tmp_path)}\n\n{record.END}\nb\n"
    write_listing(page, tmp_path)
    assert page.read_text() == f"a\n{record.BEGIN}\n\n{listing(tmp_path)}\n\n{record.END}\nb\n"


def test_a_page_without_a_place_for_the_list_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the page must have the lines"):
        with_listing("nothing", tmp_path)


def test_the_tables_of_a_run(tmp_path):
    found = Summary("cupy-cuda", 9, 1, 2, {"why | not": 2}, {"adjoint": 1}, {"float32": {"forward": 0.25}})
    stages = [Stage("tests", "pytest", False, 61.4, "1 failed: a_b")]
    checks = Checks("2000-01-03", CHIP, {"numpy": "2.0"}, "abc", stages, [found])
    data, text = save_checks(checks, tmp_path / "new")
    assert read_checks(data) == checks
    assert text.read_text() == to_markdown(checks)
    lines = text.read_text().splitlines()
    assert lines[0] == "# Some Chip 80GB, 2000-01-03: failed"
    assert r"| tests | **failed** | 61 | 1 failed: a\_b |" in lines
    assert r"- skipped 2: why \| not" in lines
    assert "- worst error in float32, of its bound: forward 0.25" in lines


def test_every_result_in_the_documentation_is_listed_and_can_be_read():
    folder = ROOT / "docs" / "gpu-results"
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page == with_listing(page, folder)
    for path in folder.glob("*.json"):
        assert path.with_suffix(".md").exists(), path
        found = read_checks(path) if path.stem.endswith(record.SUFFIX) else read_report(path)
        assert path.name.startswith(found.date), path
        chip = found.gpu if isinstance(found, Checks) else found.machine.gpu
        assert chip is not None, f"{path} is not of a GPU"
    assert {path.suffix for path in folder.iterdir()} <= {".md", ".json"}
