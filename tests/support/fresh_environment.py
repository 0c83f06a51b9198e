"""Makes wheels of this environment's distributions, which a new one can install without a network.

Each wheel holds only the distribution's metadata, and a line that leads to its files in place. So pip
resolves and installs as it would from an index, including the distributions' commands and plugins, and
without those that nothing requires; only the copying, gigabytes for torch, is avoided.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

WHEEL = "Wheel-Version: 1.0\nGenerator: convhub's tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheels(folder: Path, requirements: list[str], but: str) -> None:
    """Write to `folder` wheels of distributions and of all that they require, except `but`."""
    found: dict[str, Distribution] = {}
    extras: set[tuple[str, str]] = set()
    queue = [Requirement(text) for text in requirements]
    while queue:
        requirement = queue.pop()
        dist = importlib.metadata.distribution(requirement.name)
        name = _normalized(requirement.name)
        wanted = {(name, extra) for extra in ("", *requirement.extras)}
        if wanted <= extras:
            continue
        extras |= wanted
        found[name] = dist
        further = [Requirement(text) for text in dist.requires or ()]
        queue += [
            r
            for r in further
            if r.marker is None or any(r.marker.evaluate({"extra": extra}) for _, extra in wanted)
        ]
    for name, dist in found.items():
        if name != but:
            _write_wheel(folder, name, dist)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _write_wheel(folder: Path, name: str, dist: Distribution) -> None:
    # hypothesis reads the sources of every package outside a folder of that name, torch's too.
    linked = folder / "files" / name / "site-packages"
    linked.mkdir(parents=True)
    tops = {PurePosixPath(str(file)).parts[0] for file in dist.files or ()}
    for top in tops - {"..", "__pycache__"}:
        if not top.endswith((".dist-info", ".pth")):
            (linked / top).symlink_to(Path(str(dist.locate_file(top))))
    info = f"{name}-{dist.version}.dist-info"
    members = {
        f"{name}_linked.pth": f"{linked}\n",
        f"{info}/METADATA": dist.read_text("METADATA"),
        f"{info}/WHEEL": WHEEL,
        f"{info}/entry_points.txt": dist.read_text("entry_points.txt"),
    }
    members = {path: text for path, text in members.items() if text is not None}
    members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*members, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{dist.version}-py3-none-any.whl", "w") as archive:
        for path, text in members.items():
            archive.writestr(path, text)


def variables(home: Path, wheels: Path) -> dict[str, str]:
    """Return the environment of a shell in which ``python`` is this one, and pip has only these wheels.

    Parameters
    ----------
    home : Path
        An empty folder.
    wheels : Path
        The folder that `make_wheels` wrote them to.
    """
    programs = home / "bin"
    programs.mkdir()
    # Only the interpreter: the programs of this environment must not replace those of the new one.
    (programs / "python").symlink_to(sys.executable)
    return {
        "PATH": os.pathsep.join((str(programs), os.defpath)),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",  # torch's threads would spend most of the time waiting for each other
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
    }
