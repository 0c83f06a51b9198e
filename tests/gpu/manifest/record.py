"""The committed record of what each kernel takes; run this to renew it.

From the root of the repository: ``PYTHONPATH=tests .venv/bin/python -m gpu.manifest.record``.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from convhub_cupy.plan.variants import Source
from convhub_cupy.planner import every_source

from . import nvrtc
from .compilations import ARCHITECTURES, compilation_of, digest_of, log_of, resources_of, text_of
from .resources import Resources, warnings_in

PATH = Path(__file__).with_name("manifest.json")
RENEW = "PYTHONPATH=tests .venv/bin/python -m gpu.manifest.record"

# By source, then architecture ("sm_80"), then resource.
Kernels = Mapping[str, Mapping[str, Mapping[str, int]]]


class Record(NamedTuple):
    """What has been compiled: the version of NVRTC, a digest of each compilation's text, and the kernels."""

    nvrtc: str
    digests: Mapping[str, str]
    kernels: Kernels


def read() -> Record:
    """Return the committed record."""
    return Record(**json.loads(PATH.read_text()))


def has(record: Record, source: Source) -> bool:
    """Return whether a record was made of this very text, by the compiler that is installed."""
    return (
        nvrtc.missing() is None
        and record.nvrtc == str(nvrtc.version())
        and record.digests.get(compilation_of(source)) == digest_of(source)
    )


def recorded(resources: Resources) -> dict[str, int]:
    """Return what the record keeps of a kernel."""
    return {
        "registers": resources.registers,
        "shared": resources.shared,
        "spills": resources.spills,
        "stack": resources.stack,
    }


def lines(record: Record) -> str:
    """Return the text of a record: JSON, sorted, a line for each architecture."""
    digests = ",\n".join(
        f"    {json.dumps(text)}: {json.dumps(record.digests[text])}" for text in sorted(record.digests)
    )
    blocks = []
    for text in sorted(record.kernels):
        of_text = record.kernels[text]
        rows = [
            f"      {json.dumps(architecture)}: {json.dumps(of_text[architecture])}"
            for architecture in sorted(of_text, key=lambda name: int(name.removeprefix("sm_")))
        ]
        blocks.append(f"    {json.dumps(text)}: {{\n" + ",\n".join(rows) + "\n    }")
    return (
        f'{{\n  "nvrtc": {json.dumps(record.nvrtc)},\n  "digests": {{\n{digests}\n  }},\n'
        '  "kernels": {\n' + ",\n".join(blocks) + "\n  }\n}\n"
    )


def warnings_of(sources: Iterable[Source], architecture: int) -> list[str]:
    """Return what the compiler warns of in sources, with the source."""
    return [
        f"sm_{architecture} {text_of(source)}: {line}"
        for source in sources
        for line in warnings_in(log_of(source, architecture))
    ]


def _measure(work: tuple[Source, int]) -> tuple[dict[str, int], list[str]]:
    source, architecture = work
    return recorded(resources_of(source, architecture)), warnings_of([source], architecture)


def main() -> None:
    """Compile everything, and write the record, unless the compiler warns of something."""
    if reason := nvrtc.missing():
        sys.exit(reason)
    sources = every_source()
    work = [(source, architecture) for source in sources for architecture in ARCHITECTURES]
    kernels: dict[str, dict[str, dict[str, int]]] = {text_of(source): {} for source in sources}
    warnings: list[str] = []
    with concurrent.futures.ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for (source, architecture), (row, warned) in zip(work, pool.map(_measure, work), strict=True):
            kernels[text_of(source)][f"sm_{architecture}"] = row
            warnings += warned
    if warnings:
        sys.exit("\n".join(warnings))
    digests = {compilation_of(source): digest_of(source) for source in sources}
    PATH.write_text(lines(Record(str(nvrtc.version()), digests, kernels)))
    spilling = sum(any(row["spills"] for row in rows.values()) for rows in kernels.values())
    print(f"{PATH.name}: {len(kernels)} kernels for {len(ARCHITECTURES)} architectures, {spilling} spill")


if __name__ == "__main__":
    main()
