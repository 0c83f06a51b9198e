"""A report with numbers that are easy to check by hand."""

from __future__ import annotations

import pytest

from convhub.bench.peak import Peak
from convhub.bench.results import Report, Row, Settings
from convhub.system.machine import Machine


def make_row(layer_class, problem, ours, theirs, memory="keep", **changes):
    values = dict(
        layer_class=layer_class,
        name="net conv1",
        problem=problem,
        operation="conv2d",
        macs=1_000_000,
        bytes=50_000,
        memory=memory,
        backend="toy",
        algorithm="taps",
        against="torch",
        milliseconds=ours,
        against_milliseconds=theirs,
        rounds=3,
    )
    return Row(**values | changes)


@pytest.fixture
def report():
    """Return three classes in forward, one in grad_input, and a layer in the other mode of memory."""
    rows = [
        make_row("3x3", "forward_float32_n1c5h9w8_k6r3s3", 1.0, 4.0),
        make_row("3x3", "forward_float32_n2c5h9w8_k6r3s3", 2.0, 2.0),
        make_row("1x1", "forward_float32_n1c5h9w8_k6r1s1", 4.0, 1.0),
        make_row("odd", "forward_float32_n1c5h9w8_k6r1s2", None, 1.0, declined="not | today", algorithm=""),
        make_row("odd", "forward_float32_n3c5h9w8_k6r1s2", 1.0, None, against_declined="no <kernel>"),
        make_row("transposed", "grad_input_float32_n1c5h9w8_k6r3s3", 1.0, 3.0, operation="conv_transpose2d"),
        make_row("3x3", "forward_float32_n1c5h9w8_k6r3s3", 2.0, 1.0, memory="system"),
    ]
    machine = Machine("Some CPU", 4, ("avx2",), "Linux x86_64", {"python": "3.12.1", "numpy": "2.0.0"}, 0.25)
    return Report(machine, "convhub bench", "2000-01-02", Settings(), Peak(100.0, 10.0, "float32", 1), rows)
