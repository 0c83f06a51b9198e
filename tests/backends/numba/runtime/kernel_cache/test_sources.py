"""The sources that a kernel is made of: the modules that count, and those that do not."""

import ast
import importlib.util
import os
import sys

import pytest

pytest.importorskip("numba", reason="the engine under test is made of Numba")

import convhub_numba.planner
from convhub_numba.runtime.kernel_cache import sources

MODULES = sorted(name for name in sys.modules if name.partition(".")[0] == "convhub_numba")


def parsed_imports(module):
    """Return the engine's modules that a module imports from, as Python's parser has it."""
    spec = sys.modules[module].__spec__
    with open(spec.origin, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            written = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(written, package) if node.level else written
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                found.add(inner if inner in sys.modules else source)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.partition(".")[0] == "convhub_numba"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_found_as_the_parser_finds_them(module):
    assert set(sources._read(module).imports) == parsed_imports(module)


def test_helpers_count_and_planning_does_not():
    found = sources.closure("convhub_numba.algorithms.winograd.kernels")
    counts = {"jit", "pipeline", "vectors.emitter", "vectors.pixel_microkernel", "layout.pixels"}
    assert {f"convhub_numba.{name}" for name in counts} < set(found)
    not_in_kernels = {
        "planner",
        "launch",
        "engine",
        "algorithms.winograd.blocks",
        "runtime.compile",
        "options",
    }
    assert not {"convhub_numba", *(f"convhub_numba.{name}" for name in not_in_kernels)} & set(found)
    assert convhub_numba.planner


FORMS = {
    "from .helpers import a": ["pack.helpers"],
    "from .helpers import (\n    a,  # (not b)\n    c as d,\n)": ["pack.helpers"],
    "from . import helpers, own": ["pack", "pack.helpers"],
    "from . import (helpers)": ["pack.helpers"],
    "from . import \\\n    helpers": ["pack.helpers"],
    "from .import helpers": ["pack.helpers"],
    "from .. import other": [],
    "x = 1; from pack import helpers as h; y = 2": ["pack.helpers"],
    "def later():\n    from pack.helpers import a": ["pack.helpers"],
    "import os, pack.helpers as h": ["pack.helpers"],
    "import pack": ["pack"],
    "from .helpers import *": ["pack.helpers"],
    "from .absent import a\nimport numpy\nfrom os import path": [],
    "# from . import helpers": [],
}


@pytest.mark.parametrize("text", FORMS)
def test_every_form_of_import(text, tmp_path, monkeypatch):
    (tmp_path / "pack").mkdir()
    for name in ("__init__", "helpers"):
        (tmp_path / "pack" / f"{name}.py").write_text("a = c = own = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert (
            sorted(set(sources._imports(sources._COMMENT.sub("", text), "pack", ("pack", "pack"))))
            == FORMS[text]
        )
    finally:
        sys.modules.pop("pack", None)
        sys.modules.pop("pack.helpers", None)


def test_a_file_that_has_changed_since_it_was_imported_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "edited_module.py"
    file.write_text("import os\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(sources.SourceError, match=r"edited_module\.py has changed since it was imported"):
        sources.source_digest("edited_module")
    monkeypatch.setattr(sources, "_imported_at", os.stat(file).st_ctime + 1)
    assert sources.source_digest("edited_module")


def test_a_module_without_a_file_is_refused():
    with pytest.raises(sources.SourceError, match="sys has no file"):
        sources.source_digest("sys")
