"""Writes a new distribution with a backend, complete and passing its tests, as a starting point.

The files in ``templates/`` have placeholders of `string.Template`: ``$name``, the name of the backend;
``$module``, the same name as a Python identifier; and ``$convhub``, the requirement of this convhub.
"""

from __future__ import annotations

import importlib.resources
import re
import string
from pathlib import Path

from ..dispatch.dispatcher import current_dispatcher
from ..errors import ArgumentError
from ..plugins.declarations import wrong_name
from ..system.versions import version_of

__all__ = ["FILES", "write_distribution"]

#: The path of each file, and its template. Templates end in .txt, so that no tool takes them for code.
FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "src/convhub_$module/__init__.py": "backend.py.txt",
    "tests/test_conformance.py": "test_conformance.py.txt",
    "README.md": "README.md.txt",
    ".github/workflows/ci.yml": "ci.yml.txt",
    ".gitignore": "gitignore.txt",
}


def write_distribution(name: str, directory: Path) -> list[Path]:
    """Write the folder ``convhub-NAME`` with a distribution that brings the backend `name`.

    Parameters
    ----------
    name : str
        Name of the backend: lower-case letters, digits, - and _, from a letter to a letter or digit.
    directory : Path
        The folder in which to write it.

    Returns
    -------
    list of Path
        The folder, and the files in it.

    Raises
    ------
    ArgumentError
        If no new backend can have that name, the directory does not exist, or the folder exists already.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     folder, *files = write_distribution("my-loops", Path(directory))
    ...     print(folder.name, [file.name for file in files][:2])
    convhub-my-loops ['pyproject.toml', '__init__.py']
    """
    _check_name(name)
    if not directory.is_dir():
        raise ArgumentError(f"directory is {str(directory)!r}; it must be a folder that exists")
    folder = directory / f"convhub-{name}"
    if folder.exists():
        raise ArgumentError(
            f"name is {name!r}; the folder {folder} exists already: choose another name or another directory"
        )
    values = {"name": name, "module": name.replace("-", "_"), "convhub": _requirement()}
    templates = importlib.resources.files(__package__) / "templates"
    written = []
    for target, template in FILES.items():
        path = folder / string.Template(target).substitute(values)
        text = string.Template((templates / template).read_text(encoding="utf-8")).substitute(values)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return [folder, *written]


def _check_name(name: str) -> None:
    wrong = wrong_name(name)
    if wrong is None and not name[-1].isalnum():
        # A rule for names of distributions: https://packaging.python.org/en/latest/specifications/name-normalization/
        wrong = "it must end with a letter or digit, as part of the name of a distribution"
    if wrong is not None:
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-").lstrip("0123456789-")
        hint = f" Did you mean {near!r}?" if near and near != name and wrong_name(near) is None else ""
        raise ArgumentError(f"name is {name!r}; {wrong}.{hint}")
    known = current_dispatcher().registry.backends.get(name)
    if known is not None:
        raise ArgumentError(
            f"name is {name!r}, which {known.origin} has; it must be one that `convhub backends` does not "
            "list"
        )


def _requirement() -> str:
    """Return what the distribution requires: this convhub, or a later one that keeps the contract."""
    version = version_of("convhub")
    return f"convhub>={version}" if version else "convhub"
