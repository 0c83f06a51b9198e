"""Installs the wheel of a commit into an asv environment, in a separate folder on the environment's path.

asv switches between two commits many times when it compares them. Installed over each other, they would share
the code that numba compiles, and numba does not recompile a module if only a module that it imports has
changed: the code of the other commit would be measured. If that code were deleted each time, it would be
compiled each time. So each commit keeps its folder, with its compiled code beside its source, and installing
it again only writes one line into a ``.pth`` file.

    python install.py ENVIRONMENT COMMIT WHEEL
"""

from __future__ import annotations

import compileall
import os
import shutil
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

#: The file with that line; its name makes Python read it before those of other packages.
LINE = "_convhub.pth"

#: How many commits are kept, the last ones that were installed.
KEPT = 8


def install(environment: Path, commit: str, wheel: Path) -> None:
    """Make this interpreter, which must be the environment's, import `commit`."""
    packages = Path(sysconfig.get_path("purelib"))
    if (packages / "convhub").exists():
        sys.exit(f"convhub is in {packages} already, and would be measured in place of any commit: delete it")
    commits = environment / "commits"
    commits.mkdir(exist_ok=True)
    folder = commits / commit
    if not folder.is_dir():
        _unpack(wheel, folder)
    os.utime(folder)
    (packages / LINE).write_text(f"{folder}\n", encoding="utf-8")
    for old in sorted(commits.iterdir(), key=lambda path: path.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(old)


def _unpack(wheel: Path, folder: Path) -> None:
    """Write a wheel's files to a folder, completely or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        whole = Path(unfinished, "site")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(whole)
        compileall.compile_dir(whole, quiet=1, stripdir=str(whole), prependdir=str(folder))
        whole.rename(folder)


if __name__ == "__main__":
    install(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
