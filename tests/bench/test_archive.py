"""Results as dated files: their names, and that none is lost."""

from __future__ import annotations

import dataclasses

import pytest

from convhub.bench.archive import check_free, name_of, save, slug
from convhub.bench.results import read_report
from convhub.errors import ArgumentError


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"),
        ("AMD EPYC 9B14", "amd-epyc-9b14"),
        ("Intel(R) Core(TM) i7-1185G7 @ 3.00GHz", "intel-core-i7-1185g7-3-00ghz"),
        ("../ / ?", "unknown"),
        ("", "unknown"),
    ],
)
def test_the_name_of_a_chip_is_a_part_of_a_files_name(chip, expected):
    assert slug(chip) == expected


def test_dtypes_are_named_once_and_tf32_is_not_float32():
    assert name_of("2000-01-02", "A B", ["float32", "float16", "float32"]) == "2000-01-02-a-b-float16-float32"
    assert name_of("2000-01-02", "A B", ["float32", "float64"], True) == "2000-01-02-a-b-float64-tf32"


def test_both_files_are_written_and_a_rerun_replaces_them(report, tmp_path):
    folder = tmp_path / "deep" / "results"
    check_free(folder, "a", report.command)
    data, text = save(report, folder, "a")
    assert (data, text) == (folder / "a.json", folder / "a.md")
    assert read_report(data) == report
    assert text.read_text().startswith(
        "# Some CPU, 2000-01-02\n\n`convhub bench`\n\n### forward, memory keep"
    )
    check_free(folder, "a", report.command)
    later = dataclasses.replace(report, rows=report.rows[:1])
    save(later, folder, "a")
    assert read_report(data) == later


def test_the_report_of_another_command_is_not_overwritten(report, tmp_path):
    save(report, tmp_path, "a")
    with pytest.raises(ArgumentError, match=r"a.json is the report of another command, `convhub bench`"):
        check_free(tmp_path, "a", "convhub bench --quick")
