"""Installs third-party distributions into a folder for a test, and runs programs there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

#: A backend made of the toy one, which takes few problems, so tests of it are quick.
NARROW = """
convhub_contract = 1
import dataclasses
from support import toy_backend
from convhub.backend import Capabilities, hookimpl

def supports(problem):
    return problem.kernel_size == (3, 3) or "takes kernels of 3x3 only"

def forward(x, w, bias, problem, options):
    return toy_backend.forward(x, w, bias, problem, options)

@hookimpl
def convhub_backends():
    narrow = dataclasses.replace(
        toy_backend.toy,
        name=NAME,
        capabilities=Capabilities(dtypes=("float32",)),
        forward=forward,
        grad_input=None,
        grad_weight=None,
        supports=supports,
    )
    return [narrow]
"""

#: The same backend, but its forward drops NaN where there is padding.
NAN_LOST = """
def forward(x, w, bias, problem, options):
    import numpy as np
    y = toy_backend.forward(x, w, bias, problem, options)
    return np.nan_to_num(y, posinf=np.inf, neginf=-np.inf) if problem.padding != ((0, 0), (0, 0)) else y
"""


#: A third-party backend need not have torch, whose import takes longer than all the rest.
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
"""


def install(folder: Path, name: str, *sources: str) -> Path:
    """Install distribution ``convhub-NAME`` 1.0 into a folder, beside a module that hides torch."""
    (folder / "sitecustomize.py").write_text(WITHOUT_TORCH)
    text = f"NAME = {name!r}\nconvhub_contract = 1\n" + "\n".join(sources)
    (folder / f"convhub_{name}.py").write_text(text)
    info = folder / f"convhub_{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: convhub-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[convhub]\n{name} = convhub_{name}\n")
    return folder


def run(
    folder: Path, *command: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m …`` where the distributions of a folder are installed, by default in that folder."""
    paths = [str(folder), str(TESTS), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=cwd or folder,
        env=os.environ | own | variables,
        capture_output=True,
        text=True,
        check=False,
    )
