"""An environment for asv that is made in a second and downloads nothing: ``asv run --environment linked``.

It has the packages of the environment that asv itself runs in, by a line that leads to them, but convhub of
the commit that is measured. These must be the versions that the matrix of ``asv.conf.json`` pins; so a result
is of the same packages as in an environment of the type virtualenv, into which asv downloads them.
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
    """One that needs only this interpreter, and has its packages."""

    tool_name = "linked"
    matches_python_fallback = False

    def __init__(self, conf: Any, python: str, requirements: dict[str, str], variables: Any) -> None:
        here = "{}.{}".format(*sys.version_info)
        if python != here:
            raise EnvironmentUnavailable(f"linked is for Python {here}, which runs asv, and not for {python}")
        for name, version in requirements.items():
            found = importlib.metadata.version(name)
            if Version(found).public != version:  # of torch's builds, that for CPUs is "2.13.0+cpu"
                raise EnvironmentUnavailable(
                    f"linked needs {name} {version}, which asv.conf.json pins, and {found} is installed"
                )
        self._python, self._requirements = python, requirements  # which asv's own wants to find there
        super().__init__(conf, python, requirements, variables)

    def check_presence(self) -> bool:
        """Return whether it was made, and leads to the packages of this interpreter."""
        line = self._line()
        return line.is_file() and line.read_text(encoding="utf-8") == self._packages()

    def _setup(self) -> None:
        util.check_call([sys.executable, "-m", "venv", "--without-pip", self._path])
        self._line().write_text(self._packages(), encoding="utf-8")

    def _line(self) -> Path:
        # A path in a .pth file is looked up where it stands alone: lines of .pth files there do not count, so
        # that convhub, installed in the way of editable packages, is not found there. Those of backends that
        # are installed so are copied.
        return Path(sysconfig.get_path("purelib", vars={"base": self._path}), "packages.pth")

    def _packages(self) -> str:
        paths = dict.fromkeys(map(sysconfig.get_path, ("purelib", "platlib")))
        return "".join(f"{line}\n" for line in (*paths, *_editable_backends()))

    def run(self, args: list[str], **options: Any) -> Any:
        """Run the environment's Python."""
        return self.run_executable("python", args, **options)


def _editable_backends() -> list[str]:
    """Return what leads to the sources of third-party backends that are installed as editable packages."""
    lines = []
    for distribution in importlib.metadata.distributions():
        if distribution.name == "convhub" or not distribution.entry_points.select(group="convhub"):
            continue
        for file in distribution.files or ():
            if file.suffix == ".pth":
                lines += file.read_text(encoding="utf-8").splitlines()
    return [line for line in dict.fromkeys(lines) if line]
