"""Lists the problems to compile: those of tables of layers, of a log, of convhub's own lists."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from importlib import resources

from ..bench.layers import Layer, Wanted, built_in, of_problem, problems_of
from ..errors import ArgumentError
from ..problem import PRIMITIVES, Problem, with_primitive

__all__ = ["common_layers", "in_turns", "of_layers", "of_log"]

#: What the verbose log writes of each call; whatever a user's own format puts before it.
_CALL = re.compile(r"convhub: (\S+) -> \S")


def common_layers() -> list[Layer]:
    """Return the layers of ``convhub compile --all``: those of many networks, and of some at other sizes."""
    text = (resources.files(__package__) / "small_networks.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [*built_in(), *(of_problem(Problem.parse(line)) for line in lines)]


def of_layers(layers: Sequence[Layer], wanted: Wanted, dtypes: Sequence[str]) -> list[Problem]:
    """Return each layer once for each dtype and each wanted primitive.

    With "all", a transposed layer has the gradient for its input too, which benchmarks leave out.

    Examples
    --------
    >>> layer = Layer("", Problem.parse("n1c4h9w9_k6r3s3"))
    >>> [str(problem) for problem in of_layers([layer], "grad_weight", ["float32", "float64"])]
    ['grad_weight_float32_n1c4h9w9_k6r3s3', 'grad_weight_float64_n1c4h9w9_k6r3s3']
    """
    found: list[Problem] = []
    for dtype in dtypes:
        if wanted == "all":
            problems = [layer.problem.replace(dtype=dtype) for layer in layers]
            found += [with_primitive(problem, each) for problem in problems for each in PRIMITIVES]
        else:
            found += [layer.problem for layer in problems_of(layers, wanted, dtype)]
    return list(dict.fromkeys(found))


def of_log(lines: Iterable[str], where: str) -> list[Problem]:
    """Return the problems of the calls that a log has with ``verbose = true``, each once.

    Raises
    ------
    ArgumentError
        If there is none, or one cannot be read; the message names the line.

    Examples
    --------
    >>> of_log(["INFO convhub: forward_float32_n1c1h4w4_k1r3s3 -> numba (gemm), 0.1 ms, by default"], "a.log")
    [Problem.parse('forward_float32_n1c1h4w4_k1r3s3')]
    """
    found: dict[Problem, None] = {}
    for number, line in enumerate(lines, 1):
        call = _CALL.search(line)
        if call is not None:
            try:
                found[Problem.parse(call[1])] = None
            except ArgumentError as error:
                raise ArgumentError(f"{where}, line {number}: {error}") from error
    if not found:
        raise ArgumentError(
            f"{where} has no line of a call; convhub logs one for each call with CONVHUB_VERBOSE=1"
        )
    return list(found)


def in_turns(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems in an order in which neighbours seldom need the same kernels.

    Processes that compile at the same time would wait for each other. So each problem is followed by one of
    another dtype and primitive; forward and grad_input often share a kernel, and are kept apart.
    """
    queues: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        queues.setdefault((problem.dtype, problem.primitive), []).append(problem)
    order = ("forward", "grad_weight", "grad_input")
    ranked = sorted(queues.items(), key=lambda item: order.index(item[0][1]))
    rounds = itertools.zip_longest(*(queue for _, queue in ranked))
    return [problem for each in rounds for problem in each if problem is not None]
