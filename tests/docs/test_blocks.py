"""Every block of code in the documentation runs, or is at least held to what exists.

A block's kind says what becomes of it:

- ``{code-cell}``: run when the site is built (`tests/docs/test_site.py`).
- ``python``: run here, all those of a page one after another in one process.
- ``console`` (what stands after ``$``), ``sh`` and no kind (every line): commands. Each is read as its
  program would: ``convhub`` with its options, ``make`` with its targets, ``pip`` with extras. Quick ones run.
- ``toml``: read, and taken as settings where its first line names ``convhub.toml``. ``yaml``: its ``run:``
  lines are commands. ``json``: read.
- ``cuda``: compiled and run by the test that `COMPILED` names.
- ``diff``: applied and run by the test that `APPLIED` names.
- ``text``: to be read by people. No other kind is known.

Pages in `EXECUTED` are run whole by a test of their own, so nothing of them is looked at here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml
from support import markdown_pages
from support.markdown_pages import PAGES, ROOT
from typer.testing import CliRunner

from convhub import config
from convhub.cli.app import app
from convhub.config.schema import checked
from convhub.config.sources import from_text
from convhub.conformance import plugin
from convhub.system.gpu import GpuError, gpus

#: Pages that another test runs from the first block to the last, and that test.
EXECUTED = {
    "docs/write-a-backend.md": "tests/e2e/test_write_a_backend_page.py",
    "docs/conformance.md": "tests/e2e/test_docs_conformance.py",
    "docs/track-performance.md": "tests/e2e/test_track_performance_page.py",
}
#: Pages with CUDA kernels, and the test that runs these.
COMPILED = {"CONTRIBUTING.md": "tests/backends/cupy/test_walk.py"}
#: Pages with a diff, and the test that applies it and runs the result.
APPLIED = {"CONTRIBUTING.md": "tests/backends/numba/test_add_an_algorithm.py"}
#: Commands that only have to be read, and why they are not run here.
ONLY_READ = {
    "cache": "may remove what the user's programs have compiled; tests/cli/test_cache.py runs it",
    "bench": "takes minutes, and a second that is worth anything wants a quiet machine",
    "compile": "takes half a minute for a model; tests/cli runs it on plain loops",
    "conformance": "takes minutes; tests/cli runs it on small backends",
    "demo": "takes two minutes; tests/demo runs its parts",
    "doctor": "reports on the machine, and may find something",
    "new-backend": "writes a folder; docs/write-a-backend.md, which is executed, begins with it",
    "verify": "takes seconds for each problem; tests/cli runs it",
}
RUN = {"backends", "config", "explain"}
#: Pages about a distribution that is not installed here: their commands are only read.
ABOUT_OTHERS = {"examples/convhub-fft/README.md"}
#: Pages whose Python needs a GPU.
ON_GPU = {"docs/gpu-engine.md"}

#: Directives of MyST whose content is no code; the build of the site knows whether it is right.
DIRECTIVE = re.compile(r"\{[a-z-]+\}")
#: Programs of which nothing is known here but that they exist.
PROGRAMS = {"asv", "cd", "find", "git", "mkdir", "ls"}


def blocks(page):
    """Yield the kind, the text and the first line of each fenced or indented block of a page."""
    for token in markdown_pages.tokens(page):
        if token.type in ("fence", "code_block"):
            yield token.info.strip(), token.content, token.map[0] + 1


def commands(kind, text):
    """Yield the commands of a block, as words; what stands after # is left out."""
    if kind == "yaml":
        found = [step["run"] for step in yaml.safe_load(text) if "run" in step]
    elif kind == "console":
        found = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    else:
        found = text.replace("\\\n", " ").splitlines()
    for line in found:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;")
        lexer.whitespace_split = True
        words = [*lexer]
        while words:
            end = next((i for i, word in enumerate(words) if word in ("&&", "|", ";")), len(words))
            yield words[:end]
            words = words[end + 1 :]


def read(words, page):
    """Read one command of a page as its program would; an AssertionError says what is wrong."""
    modules = None
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        if name == "PYTHONPATH":
            modules = ROOT / value
        if name.startswith("CONVHUB_"):
            assert name in config.VARIABLES, f"{name} is no setting"
            checked(
                config.VARIABLES[name],
                from_text(config.VARIABLES[name], value),
                lambda *_: "environment",
                strict=False,
            )
    program = Path(words[0]).name
    if program == "convhub":
        return _read_convhub(words[1:])
    if program == "make":
        return _read_make(words[1:])
    if program == "pip":
        return _read_pip(words[1:], page)
    if program == "pytest":
        return _read_pytest(words[1:])
    if program == "python" and "-m" in words:
        module = words[words.index("-m") + 1]
        file = Path(*module.split(".")).with_suffix(".py")
        assert modules is None or (modules / file).exists(), f"{words}: there is no {file}"
        return None
    if program == "python":
        files = [word for word in words[1:] if word.endswith(".py")]
        assert files, f"{words} runs no file"
        assert all((ROOT / file).exists() for file in files), words
        return None
    assert program in PROGRAMS, f"{words}: {program!r} is unknown here"
    return None


def _read_convhub(words):
    """Let the program parse its command line, and return the name of the command if it can be run here."""
    group = typer.main.get_command(app)
    context = group.make_context("convhub", [*words])
    if not words or words[0].startswith("-"):
        return None
    name, command, rest = group.resolve_command(context, words)
    command.make_context(name, [*rest], parent=context)
    assert (name in RUN) != (name in ONLY_READ), f"{name} is neither of what is run nor of what is only read"
    return [name, *rest] if name in RUN else None


def _read_make(words):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    variables = set(re.findall(r"\$\(([A-Z_]+)\)", (ROOT / "Makefile").read_text()))
    for word in words:
        name, is_variable, _ = word.partition("=")
        assert name in (variables if is_variable else targets), f"make has no {name}"


def _read_pip(words, page):
    assert words[0] in ("install", "wheel"), words
    for word in words[1:]:
        asked = re.fullmatch(r"(convhub|\.)\[([a-z0-9,]+)\]", word)
        if asked:
            extras = _extras(page.parent if asked[1] == "." else ROOT)
            assert set(asked[2].split(",")) <= extras, f"{word}: the extras are {sorted(extras)}"


def _extras(folder):
    """Return the extras of the distribution that a folder belongs to."""
    found = next(path for path in (folder, *folder.parents) if (path / "pyproject.toml").exists())
    project = tomllib.loads((found / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


def _read_pytest(words):
    source = Path(plugin.__file__).read_text()
    for word in words:
        option = word.partition("=")[0]
        assert not option.startswith("--convhub") or f'"{option}"' in source, f"pytest has no {option}"


def _name(page):
    return page.relative_to(ROOT).as_posix() if page.is_relative_to(ROOT) else page.name


CHECKED = [page for page in PAGES if _name(page) not in EXECUTED]


@pytest.mark.parametrize("page", CHECKED, ids=_name)
def test_the_blocks_of_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (
        tmp_path / "bench-output"
    ).mkdir()  # which `make bench` makes: files can be written only where a folder is
    check(page, tmp_path)


def check(page, folder):
    """Hold each block of a page to what its kind promises."""
    python = []
    for kind, text, line in blocks(page):
        where = f"{page.name}, line {line}"
        if kind in ("", "sh", "console", "yaml"):
            for words in commands(kind, text):
                _run(where, read(words, page), page)
        elif kind == "python":
            python.append(text)
        elif kind == "toml":
            _read_settings(text, folder)
        elif kind == "json":
            json.loads(text)
        elif kind == "cuda":
            assert _name(page) in COMPILED, f"{where}: no test compiles this"
        elif kind == "diff":
            assert _name(page) in APPLIED, f"{where}: no test applies this"
        elif kind == "{code-cell}" or kind.startswith("{code-cell} "):
            assert "file_format: mystnb" in page.read_text(), (
                f"{where}: the page is no notebook, nothing runs it"
            )
        else:
            is_directive = DIRECTIVE.match(kind) and page.is_relative_to(ROOT / "docs")
            assert kind == "text" or is_directive, f"{where}: a block is {kind!r}"
    if _name(page) in ON_GPU:
        compile("\n".join(python), page.name, "exec")
    elif python:
        _run_python(page, python, folder)


def _run_python(page, texts, folder):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(texts)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{page.name}: {done.stderr}"


def _run(where, arguments, page):
    if arguments is not None and _name(page) not in ABOUT_OTHERS:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, f"{where}: {arguments} ended with {done.exit_code}: {done.output}"


def _read_settings(text, folder):
    tomllib.loads(text)
    if text.startswith("# convhub.toml\n"):
        (folder / "convhub.toml").write_text(text)
        config.reload()
        try:
            config.current()
        finally:
            os.remove(folder / "convhub.toml")
            config.reload()


@pytest.mark.parametrize("name", sorted(ON_GPU))
def test_python_that_needs_a_gpu(name, tmp_path):
    try:
        gpus()
    except GpuError as error:
        pytest.skip(f"needs a GPU: {error}")
    _run_python(ROOT / name, [text for kind, text, _ in blocks(ROOT / name) if kind == "python"], tmp_path)


def test_pages_that_are_run_elsewhere_are():
    for page, test in [*EXECUTED.items(), *COMPILED.items(), *APPLIED.items()]:
        assert (ROOT / page).exists()
        assert page.rpartition("/")[2] in (ROOT / test).read_text()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("```\nconvhub nothing\n```", "No such command"),
        ("```sh\nconvhub explain --colour x\n```", "No such option"),
        ("```console\n$ ls\n$ convhub bench --device\n```", "requires an argument"),
        ("```\nmake nothing\n```", "make has no nothing"),
        ("```\nmake COLOUR=1 test\n```", "make has no COLOUR"),
        ("```\npip install 'convhub[nothing]'\n```", "the extras are"),
        ("```\npytest --convhub-nothing 3\n```", "pytest has no --convhub-nothing"),
        ("```\nCONVHUB_NOTHING=1 convhub config\n```", "CONVHUB_NOTHING is no setting"),
        ("```\nCONVHUB_THREADS=none convhub config\n```", "threads is 'none'"),
        ("```\nrm -r x\n```", "'rm' is unknown here"),
        ("```yaml\n- run: make nothing\n```", "make has no nothing"),
        ("```toml\n# convhub.toml\nbackends = 1\n```", "'backends' is not a setting"),
        ("```toml\na = \n```", "Invalid value"),
        ("```json\n{\n```", "Expecting"),
        ("```python\nassert False\n```", "AssertionError"),
        ("```{code-cell}\nassert True\n```", "the page is no notebook"),
        ("```{note}\nA directive in a page that is none of the site's.\n```", "a block is '{note}'"),
        ("```cuda\n__global__ void kernel() {}\n```", "no test compiles this"),
        ("```basic\n10 GOTO 10\n```", "a block is 'basic'"),
        ("text\n\n    indented\n", "'indented' is unknown here"),
        ("```\nconvhub explain forward\n```", "ended with 2"),
    ],
)
def test_a_block_that_is_wrong_is_found(block, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    page.write_text(block)
    with pytest.raises(Exception, match=re.escape(message)):
        check(page, tmp_path)
