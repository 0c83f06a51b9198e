"""Means, against numbers worked out by hand; what is written about them."""

from __future__ import annotations

import json

import pytest

from convhub.bench.markdown import to_markdown
from convhub.bench.results import read_report
from convhub.bench.summary import geometric_mean, summaries
from convhub.errors import ArgumentError
from convhub.versioned_json import write_json


def test_the_mean_is_of_classes_and_not_of_rows(report):
    forward, grad_input, system = summaries(report.rows)
    threes, ones, odd = forward.classes
    assert (forward.memory, forward.title, len(forward.rows)) == ("keep", "forward", 5)
    assert (threes.name, threes.ratio, threes.share) == ("3x3", pytest.approx(2.0), 1.0)  # of 4 and 1
    assert (ones.ratio, ones.share, ones.worst.problem) == (0.25, 0.0, "forward_float32_n1c5h9w8_k6r1s1")
    assert (odd.ratio, odd.worst, odd.share, odd.gflops, odd.compared) == (None, None, None, None, 0)
    # √(2 · ¼) of the classes; the rows would give the cube root of 4 · 1 · ¼, which is 1.
    assert forward.ratio == pytest.approx(0.5**0.5)
    assert forward.share == pytest.approx(2 / 3)
    assert forward.worst is ones.rows[0]
    assert (grad_input.title, grad_input.ratio) == ("grad_input and conv_transpose2d", pytest.approx(3.0))
    assert (system.memory, system.ratio) == ("system", 0.5)


def test_rates_count_two_operations_for_each_multiply_accumulate(report):
    row = report.rows[0]  # a million in 1 ms, and in 4 ms
    assert (row.gflops, row.against_gflops, row.intensity) == (2.0, 0.5, 40.0)
    threes = summaries(report.rows)[0].classes[0]  # 2 and 1 GF/s; ½ and 1 GF/s
    assert threes.gflops == pytest.approx(2**0.5)
    assert threes.against_gflops == pytest.approx(0.5**0.5)


def test_no_mean_of_nothing():
    assert geometric_mean([]) is None
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_json_holds_everything(report, tmp_path):
    path = tmp_path / "report.json"
    write_json(report, path)
    assert read_report(path) == report
    found = json.loads(path.read_text())
    assert found["machine"]["flags"] == ["avx2"]
    assert found["rows"][3]["milliseconds"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "; it must be what `convhub bench --json` wrote: "),
        ("[]", "; it must be what `convhub bench --json` wrote: "),
        ("{}", ", whose format is none; it must be 1"),
        ('{"format": 7}', ", whose format is 7; it must be 1"),
        ('{"format": 1}', "; it must be what `convhub bench --json` wrote: "),
    ],
)
def test_a_file_that_is_no_report(tmp_path, text, words):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=rf"from is .*report.json'{words}"):
        read_report(path)


def test_markdown_has_means_layers_machine_and_command(report):
    lines = to_markdown(report).splitlines()
    assert "| 3x3 | 2 | 2.00x | 1.00x | 100 % | 1.4 | 0.7 |" in lines
    assert "| odd | 0 of 2 | – | – | – | – | – |" in lines
    assert any(line.startswith("Mean of classes 0.71x; 66 % of 3 layers at 1x or better.") for line in lines)
    assert r"- declined by toy: not \| today (1 layer, first forward\_float32\_n1c5h9w8\_k6r1s2)" in lines
    assert any(r"n/a on torch: no \<kernel\>" in line for line in lines)
    row = r"| transposed | grad\_input\_float32\_n1c5h9w8\_k6r3s3 | conv\_transpose2d | toy (taps) |"
    assert f"{row} 1.000 | 2.0 | 3.00x |" in lines
    assert "- Some CPU, 4 cores, avx2; Linux x86\\_64; load 0.25 before" in lines
    assert "- convhub bench  (2000-01-02)" in lines
    assert sum(line.startswith("### ") for line in lines) == 5


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_figure_is_the_same_every_time(report, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    from convhub.bench.plot import draw

    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    draw(report, first)
    draw(report, second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<?xml")
