"""Keeps results as files named by date, chip and dtype."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..errors import ArgumentError
from ..versioned_json import write_json
from .markdown import to_markdown
from .results import Report, read_report

__all__ = ["check_free", "name_of", "save", "slug"]


def slug(chip: str) -> str:
    """Return a chip's name for use in file names.

    Examples
    --------
    >>> slug("NVIDIA H100 80GB HBM3"), slug("Intel(R) Xeon(R) CPU @ 2.20GHz")
    ('nvidia-h100-80gb-hbm3', 'intel-xeon-cpu-2-20ghz')
    """
    plain = re.sub(r"\((r|tm|c)\)", " ", chip.lower())
    return "-".join(re.findall(r"[a-z0-9]+", plain)) or "unknown"


def name_of(date: str, chip: str, dtypes: Iterable[str], allow_tf32: bool = False) -> str:
    """Return the name of a result's files, without the suffix.

    Examples
    --------
    >>> name_of("2000-01-02", "NVIDIA A100-SXM4-40GB", ["float16", "float16"])
    '2000-01-02-nvidia-a100-sxm4-40gb-float16'
    >>> name_of("2000-01-02", "NVIDIA A100-SXM4-40GB", ["float32"], allow_tf32=True)
    '2000-01-02-nvidia-a100-sxm4-40gb-tf32'
    """
    names = sorted({"tf32" if allow_tf32 and dtype == "float32" else dtype for dtype in dtypes})
    return "-".join((date, slug(chip), *names))


def check_free(folder: Path, name: str, command: str) -> None:
    """Refuse to overwrite the report of another command.

    An earlier report of the same command on the same day is replaced.

    Raises
    ------
    ArgumentError
        If there is one; the message names the file and its command.
    """
    path = folder / f"{name}.json"
    if path.exists():
        other = read_report(path).command
        if other != command:
            raise ArgumentError(
                f"save_to is {str(folder)!r}, where {path.name} is the report of another command, `{other}`; "
                "move it away first"
            )


def save(report: Report, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a report as JSON and as Markdown, make the folder if needed, and return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, text = folder / f"{name}.json", folder / f"{name}.md"
    write_json(report, data)
    heading = f"# {report.machine.chip}, {report.date}\n\n`{report.command}`\n\n"
    text.write_text(heading + to_markdown(report), encoding="utf-8")
    return data, text
