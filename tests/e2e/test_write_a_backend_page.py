"""docs/write-a-backend.md, from an empty folder to the end, in an environment of its own.

So are tested what `convhub new-backend` writes, and the distribution in ``examples/``: that they install,
pass their own tests as they come, are listed, chosen by configuration, used from torch, and timed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import fresh_environment
from support.pages import Shell, run_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "write-a-backend.md"

#: What benchmarks do with every backend that is installed, convhub's own and those that run over years alike.
SIDES = """
import json
import convhub
from convhub.bench.sides import make_side, operands
from convhub.bench.layers import of_problem
from convhub.problem import PRIMITIVES, Problem

found = {}
for name in convhub.available_backends("cpu"):
    for primitive in PRIMITIVES:
        layer = of_problem(Problem.parse(f"{primitive}_n1c2h5w6_k3r3s3"))
        one = make_side(name, layer, operands(layer.problem))
        found.setdefault(one.name, []).append([*one.result().shape])
print(json.dumps(found))
"""


@pytest.mark.timeout(1500)  # a minute where nothing else runs
def test_the_page_does_what_it_says(tmp_path):
    folder, home, wheels = (tmp_path / name for name in ("empty", "home", "wheels"))
    for path in (folder, home, wheels):
        path.mkdir()
    (folder / "convhub").symlink_to(ROOT)  # the reader's clone
    needs = ["convhub[conformance]", "scipy", "torch", "hatchling", "editables"]
    fresh_environment.make_wheels(wheels, needs, but="convhub")
    variables = fresh_environment.variables(home, wheels)
    run_page(PAGE.read_text(encoding="utf-8"), folder, variables)

    shell = Shell(folder, variables)
    shell.run(". .venv/bin/activate")
    listed, _ = shell.run("convhub backends --json")
    rows = {row["name"]: row for row in json.loads(listed)["backends"]}
    for name, accuracy in (("mine", "componentwise"), ("fft", "normwise")):
        assert rows[name]["distribution"] == f"convhub-{name}"
        assert rows[name]["primitives"] == ["forward", "grad_input", "grad_weight"]
        assert rows[name]["accuracy"] == accuracy
        assert rows[name]["available"]
    (folder / "sides.py").write_text(SIDES)
    printed, status = shell.run("python sides.py")
    shell.close()
    assert status == 0, printed
    sides = json.loads(printed)
    assert {"numpy", "naive", "mine", "fft", "torch"} == set(sides)
    assert sides["mine"] == sides["fft"] == [[1, 3, 3, 4], [1, 2, 5, 6], [3, 2, 3, 3]]
    # Nothing was written to the clone.
    assert not [*(ROOT / "examples").rglob("*.egg-info"), *(ROOT / "examples").rglob("dist")]
