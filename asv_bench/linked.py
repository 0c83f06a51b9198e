"""Gives asv an environment without downloads, made in a second: ``asv run --environment linked``.

It uses the packages of the environment in which asv runs, by a line of a ``.pth`` file, but the convhub of
the measured commit. The packages must have the versions that the matrix of ``asv.conf.json`` pins, so that
results are comparable with those of a virtualenv environment, into which asv downloads the packages.
"""

from __future__ import annotations

import importlib.metadata
import sys
import sysconfig
from pathlib import Path
from typing import Any

from asv import util
from asv.environment import Environment, EnvironmentUnavailable
from packaging.version import Version


class Linked(Environment):
    """An environment that needs only this interpreter, and uses its packages."""

    tool_name = "linked"
    matches_python_fallback = False

    def __init__(self, conf: Any, python: str, requirements: dict[str, str], variables: Any) -> None:
        here = "{}.{}".format(*sys.version_info)
        if python != here:
            raise EnvironmentUnavailable(f"linked is for Python {here}, which runs asv, and not for {python}")
        for name, version in requirements.items():
            found = importlib.metadata.version(name)
            if Version(found).public != version:  # torch's build for CPUs is "2.13.0+cpu"
                raise EnvironmentUnavailable(
                    f"linked needs {name} {version}, which asv.conf.json pins, and {found} is installed"
                )
        self._python, self._requirements = python, requirements  # asv's own __init__ reads these
        super().__init__(conf, python, requirements, variables)

    def check_presence(self) -> bool:
        """Return whether it was made for the packages of this interpreter."""
        line = self._line()
        return line.is_file() and line.read_text(encoding="utf-8") == self._packages()

    def _setup(self) -> None:
        util.check_call([sys.executable, "-m", "venv", "--without-pip", self._path])
        self._line().write_text(self._packages(), encoding="utf-8")

    def _line(self) -> Path:
        # Python adds the path in a .pth file, but does not read .pth files in that folder, so that a convhub
        # that is installed as an editable package is not found. Lines of editable backends are copied.
        return Path(sysconfig.get_path("purelib", vars={"base": self._path}), "packages.pth")

    def _packages(self) -> str:
        paths = dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib")))
        return "".join(f"{line}\n" for line in (*paths, *_editable_backends()))

    def run(self, args: list[str], **options: Any) -> Any:
        """Run the environment's Python."""
        return self.run_executable("python", args, **options)


def _editable_backends() -> list[str]:
    """Return the .pth lines of third-party backends that are installed as editable packages."""
    lines = []
    for distribution in importlib.metadata.distributions():
        if distribution.name == "convhub" or not distribution.entry_points.select(group="convhub"):
            continue
        for file in distribution.files or ():
            if file.suffix == ".pth":
                lines += file.read_text(encoding="utf-8").splitlines()
    return [line for line in dict.fromkeys(lines) if line]
