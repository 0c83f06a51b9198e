"""The committed record of what each kernel takes; run this to renew it.

From the root of the repository: ``PYTHONPATH=tests .venv/bin/python -m gpu.manifest.record``.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from convhub_cupy.plan.variants import Source
from convhub_cupy.planner import every_source

from . import nvrtc
from .compilations import ARCHITECTURES, resources_of, text_of
from .resources import Resources

PATH = Path(__file__).with_name("manifest.json")
RENEW = "PYTHONPATH=tests .venv/bin/python -m gpu.manifest.record"

# By source, then architecture ("sm_80"), then resource.
Kernels = Mapping[str, Mapping[str, Mapping[str, int]]]


def read() -> tuple[str, Kernels]:
    """Return the version of NVRTC that the record was made with, and the record."""
    record = json.loads(PATH.read_text())
    return record["nvrtc"], record["kernels"]


def recorded(resources: Resources) -> dict[str, int]:
    """Return what the record keeps of a kernel."""
    return {
        "registers": resources.registers,
        "shared": resources.shared,
        "spills": resources.spills,
        "stack": resources.stack,
    }


def lines(version: str, kernels: Kernels) -> str:
    """Return the text of a record: JSON, sorted, a line for each architecture."""
    blocks = []
    for text in sorted(kernels):
        rows = [
            f"      {json.dumps(architecture)}: {json.dumps(kernels[text][architecture])}"
            for architecture in sorted(kernels[text], key=lambda name: int(name.removeprefix("sm_")))
        ]
        blocks.append(f"    {json.dumps(text)}: {{\n" + ",\n".join(rows) + "\n    }")
    return f'{{\n  "nvrtc": {json.dumps(version)},\n  "kernels": {{\n' + ",\n".join(blocks) + "\n  }\n}\n"


def _measure(work: tuple[Source, int]) -> dict[str, int]:
    return recorded(resources_of(*work))


def main() -> None:
    """Compile everything, and write the record."""
    if reason := nvrtc.missing():
        sys.exit(reason)
    sources = every_source()
    work = [(source, architecture) for source in sources for architecture in ARCHITECTURES]
    kernels: dict[str, dict[str, dict[str, int]]] = {text_of(source): {} for source in sources}
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for (source, architecture), row in zip(work, pool.map(_measure, work), strict=True):
            kernels[text_of(source)][f"sm_{architecture}"] = row
    PATH.write_text(lines(str(nvrtc.version()), kernels))
    spilling = sum(any(row["spills"] for row in rows.values()) for rows in kernels.values())
    print(f"{PATH.name}: {len(kernels)} kernels for {len(ARCHITECTURES)} architectures, {spilling} spill")


if __name__ == "__main__":
    main()
