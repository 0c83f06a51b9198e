"""Defines the benchmarks that asv runs over convhub's history: see ``docs/track-performance.md``.

`common` has the rows (every installed backend, and torch itself) and the layers that all benchmarks share;
`layers` times them; `memory` measures peaks, `overhead` imports, first and tiny calls, `accuracy` errors.
"""

import importlib
import os
import sys
from pathlib import Path

# Each benchmark is a fork of the process that has imported this module. Unless memory or imports count,
# libraries that all forks need can be imported once, here: see ../compare.py.
for _name in os.environ.get("ASV_PRELOAD", "").split():
    importlib.import_module(_name)


def _plugin_folders() -> list[str]:
    """Return the folders of ``ASV_PYTHONPATH``, in which third-party backends may be installed.

    In its own environments asv passes them as ``PYTHONPATH``, which its runner removes from `sys.path` again;
    with ``--python=same`` it adds them to `sys.path`, which child processes of a benchmark do not inherit.
    """
    name = "PYTHONPATH" if "ASV_ENV_DIR" in os.environ else "ASV_PYTHONPATH"
    return [folder for folder in os.environ.get(name, "").split(os.pathsep) if folder]


for _folder in _plugin_folders():
    if Path(_folder, "convhub", "__init__.py").exists():
        raise ImportError(
            f"{_folder}, which ASV_PYTHONPATH names, holds convhub itself, which would be measured in "
            "place of any revision; install the backend there with --no-deps"
        )
    if _folder not in sys.path:
        sys.path.append(_folder)
if _plugin_folders():
    os.environ["PYTHONPATH"] = os.pathsep.join(_plugin_folders())
