"""What asv measures of convhub over its history; ``docs/benchmarks.md`` has the commands.

`common` has the rows (every backend that is installed, and torch itself) and the layers that all share;
`layers` times these, `memory` has peaks, `overhead` imports, first calls and tiny calls, `accuracy` errors.
"""

import importlib
import os

# Each benchmark is a fork of the process that has imported this. Where memory and imports are not measured,
# what all forks would import can be imported once: see ../compare.py.
for _name in os.environ.get("ASV_PRELOAD", "").split():
    importlib.import_module(_name)
