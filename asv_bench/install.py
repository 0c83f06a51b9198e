"""Install the wheel of a commit into an environment of asv: in a folder of its own, which a line points to.

asv changes between two commits many times when it compares them. Installed over each other they would share
what numba compiles, and numba does not compile again where only a module that the compiled one imports has
changed: the code of the other commit would be measured. Deleted each time, it would be compiled each time. So
each commit keeps its folder, with its compiled code beside its source, and to install it again is to write
one line into a ``.pth`` file.

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

#: The line stands in this file; by its name it is read before those of other packages.
LINE = "_convhub.pth"

#: So many commits are kept, those that were installed last.
KEPT = 8


def install(environment: Path, commit: str, wheel: Path) -> None:
    """Make `commit` what this interpreter imports, which must be the environment's."""
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
    """Write a wheel's files to a folder, which is there as a whole or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        whole = Path(unfinished, "site")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(whole)
        compileall.compile_dir(whole, quiet=1, stripdir=str(whole), prependdir=str(folder))
        whole.rename(folder)


if __name__ == "__main__":
    install(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
