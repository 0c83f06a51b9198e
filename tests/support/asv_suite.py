"""Finds the benchmarks of ``asv_bench/`` as asv does, where third-party distributions are installed."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

from support import third_party

ROOT = Path(__file__).parents[2]
ASV = ROOT / "asv_bench"

#: Prints the name of each benchmark that asv finds, and the texts of its parameters.
DISCOVER = """
import json
from asv_runner.discovery import disc_benchmarks
print(json.dumps({one.name: one.params for one in disc_benchmarks("benchmarks")}))
"""


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in the benchmarks' folder, where the distributions of a folder are installed."""
    variables = {"PYTHONPATH": os.pathsep.join([str(folder), str(third_party.TESTS)])}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ASV,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def cells(folder: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the cells of each benchmark: the text for asv's regular expressions, and the parameters."""
    done = python(folder, DISCOVER)
    assert done.returncode == 0, done.stderr
    return {
        name: {f"{name}({', '.join(cell)})": cell for cell in itertools.product(*params)}
        for name, params in json.loads(done.stdout).items()
    }
