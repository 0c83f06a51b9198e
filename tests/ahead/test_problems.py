"""The problems of tables and logs, each once, in an order that keeps processes from waiting."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest

from convhub.ahead.problems import common_layers, in_turns, of_layers, of_log
from convhub.bench.layers import built_in
from convhub.errors import ArgumentError
from convhub.problem import PRIMITIVES, Problem


def test_all_means_all_three_primitives_of_any_layer():
    layers = built_in()
    for dtypes in (["float32"], ["float32", "float64"]):
        found = of_layers(layers, "all", dtypes)
        assert len(set(found)) == len(found)
        expected = {
            layer.problem.replace(primitive=primitive, dtype=dtype)
            for layer in layers
            for primitive in PRIMITIVES
            for dtype in dtypes
        }
        assert set(found) == expected
    transposed = [layer for layer in layers if layer.transposed]
    assert {problem.primitive for problem in of_layers(transposed, "forward", ["float32"])} == {"grad_input"}


def test_a_log_gives_each_problem_once_whatever_stands_around_its_lines():
    one, other = "forward_float32_n1c1h4w4_k1r3s3", "grad_weight_float64_n2c4h9w8_k6r3s2_stride2x1"
    lines = [
        "loss 0.3",
        f"convhub: {one} -> numba (gemm, 4 by 3 registers), 0.512 ms, by default order",
        f"12:00 INFO convhub: {other} -> torch, 0.1 ms, by argument",
        f"convhub: {one} -> numpy, 0.5 ms, by fallback",
        "convhub: numpy is left out of tuning",
    ]
    assert of_log(lines, "a.log") == [Problem.parse(one), Problem.parse(other)]


def test_a_problem_in_a_log_that_cannot_be_read_is_told_with_its_line():
    with pytest.raises(ArgumentError, match=r"^a\.log, line 2: problem 'n1c1' lacks"):
        of_log(["", "convhub: n1c1 -> numba, 1 ms"], "a.log")


def test_neighbours_differ_in_dtype_or_primitive():
    problems = of_layers(built_in()[:5], "all", ["float32", "float64"])
    turns = in_turns(problems)
    assert sorted(map(str, turns)) == sorted(map(str, problems))
    kinds = [(problem.primitive, problem.dtype) for problem in turns]
    assert all(one != other for one, other in itertools.pairwise(kinds))
    # Forward and grad_input of one dtype, which may share a kernel, are never beside each other.
    assert kinds[:3] == [("forward", "float32"), ("forward", "float64"), ("grad_weight", "float32")]


def test_all_has_every_layer_of_the_networks_whose_first_step_is_timed():
    path = Path(__file__).parents[2] / "asv_bench" / "first_step.py"
    spec = importlib.util.spec_from_file_location("first_step", path)
    first_step = importlib.util.module_from_spec(spec)
    sys.modules["first_step"] = first_step
    spec.loader.exec_module(first_step)
    del sys.modules["first_step"]
    there = {layer.problem.replace(primitive="forward") for layer in common_layers()}
    for network in first_step.NETWORKS.values():
        images, size = first_step.TRAINING if network.trained else first_step.INFERENCE
        for layer in network.layers(size):
            side, channels, out_channels = layer.size, layer.channels, layer.out_channels
            if layer.transposed:
                side = (side - 1) * layer.stride + layer.taps - 2 * layer.padding
                channels, out_channels = out_channels, channels
            problem = Problem.parse(
                f"n{images}c{channels}h{side}w{side}_k{out_channels}r{layer.taps}s{layer.taps}"
                f"_stride{layer.stride}_pad{layer.padding}_groups{layer.groups}"
            )
            assert problem in there
