"""Loads the scripts beside the benchmarks, which are not a package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "asv_bench"


def load(name: str) -> ModuleType:
    """Import ``asv_bench/NAME.py``."""
    specification = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
