"""Benchmarks that asv runs over convhub's history; ``docs/benchmarks.md`` has the commands.

`common` has the rows (every backend that is installed, and torch itself) and the layers that all share;
`layers` times these, `memory` has peaks, `overhead` imports, first calls and tiny calls, `accuracy` errors.
"""

import importlib
import os
import sys
from pathlib import Path

# Each benchmark is a fork of the process that has imported this. Where memory and imports are not measured,
# what all forks would import can be imported once: see ../compare.py.
for _name in os.environ.get("ASV_PRELOAD", "").split():
    importlib.import_module(_name)


def _plugin_folders() -> list[str]:
    """Return the folders of ``ASV_PYTHONPATH``, in which third-party backends may be installed.

    asv hands them to an environment of its own as ``PYTHONPATH``, and its runner takes that out of `sys.path`
    again; with ``--python=same`` it adds them to `sys.path`, which processes that a benchmark starts do not
    inherit.
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
