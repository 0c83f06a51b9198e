"""Proves that `compare` detects a slowdown in any engine, and reports none if there is none.

In a scratch repository with the current files, each engine in turn is made to take 1.5 times as long for each
call, by waiting. The comparison must report exactly that engine, and must report nothing for a revision and
itself.

    python asv_bench/proof.py [ENGINE …] [--bench REGEX] [--slower TIMES]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1].resolve()
ENGINES = ("naive", "numba", "numpy", "torch")

#: Code that is appended to the module of an engine, and replaces its hook.
SLOWDOWN = """

import dataclasses as _dataclasses
import time as _time

from convhub.backend import hookimpl as _hookimpl


def _slower(function):
    def call(*operands):
        start = _time.perf_counter()
        result = function(*operands)
        end = _time.perf_counter()
        while _time.perf_counter() < end + (end - start) * (TIMES - 1):
            pass
        return result

    return call


def _with_slower_primitives(backends):
    def convhub_backends():
        primitives = ("forward", "grad_input", "grad_weight")
        return [
            _dataclasses.replace(backend, **{name: _slower(getattr(backend, name)) for name in primitives})
            for backend in backends()
        ]

    return convhub_backends


convhub_backends = _hookimpl(_with_slower_primitives(convhub_backends))
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command, and return 0 if every comparison reported what it must."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("engines", metavar="ENGINE", nargs="*", type=_engine, help=f"{', '.join(ENGINES)}")
    parser.add_argument("--bench", action="append", default=[], metavar="REGEX", help="measure these instead")
    parser.add_argument(
        "--slower",
        type=float,
        default=1.5,
        metavar="TIMES",
        help="the slowdown factor (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    options = [f"--bench={regex}" for regex in given.bench]
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder)
        base = copy_of_the_files(repository)
        right = [_is_right("none", repository, base, base, options)]
        for engine in given.engines or ENGINES:
            slow = _plant(repository, engine, base, given.slower)
            right.append(_is_right(engine, repository, base, slow, options))
    return 0 if all(right) else 1


def _engine(name: str) -> str:
    if name not in ENGINES:  # argparse's own choices would refuse an empty list
        raise argparse.ArgumentTypeError(f"{name!r} is no engine; they are {', '.join(ENGINES)}")
    return name


def copy_of_the_files(folder: Path) -> str:
    """Make a repository of the current files that git tracks or would add, and return its commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # and not deleted
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    return _commit(folder, "As it is")


def _plant(folder: Path, engine: str, base: str, times: float) -> str:
    """Commit, on top of `base`, an engine that takes `times` as long, and return that commit."""
    _git(folder, "checkout", "--quiet", base)
    with (folder / "backends" / f"convhub_{engine}" / "__init__.py").open("a", encoding="utf-8") as module:
        module.write(SLOWDOWN.replace("TIMES", str(times)))
    return _commit(folder, f"{engine} is slower")


def _commit(folder: Path, message: str) -> str:
    _git(folder, "add", "--all")
    _git(folder, "-c", "user.name=asv", "-c", "user.email=asv@localhost", "commit", "--quiet", "-m", message)
    return _git(folder, "rev-parse", "HEAD")


def _git(folder: Path, *arguments: str) -> str:
    # If a hook of git started this, its variables name the wrong repository.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _is_right(engine: str, folder: Path, base: str, head: str, options: list[str]) -> bool:
    """Return whether a comparison reports exactly `engine` as slower, or nothing for "none"."""
    command = [sys.executable, str(folder / "asv_bench" / "compare.py"), base, head, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    slower = [line for line in said.splitlines() if "time_call(" in line or "timeraw_" in line]
    of_engine = [line for line in slower if f"('{engine}'," in line and "failed" not in line]
    right = slower == of_engine and done.returncode == (1 if slower else 0)
    right = right and (engine == "none") == (not slower)
    print(
        f"{'Right' if right else 'WRONG'}: made slower is {engine}; compare.py ends with {done.returncode}:"
    )
    print(said, flush=True)
    return right


if __name__ == "__main__":
    sys.exit(main())
