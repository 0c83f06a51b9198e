"""The site as it is built: what comes from the code is there, whole.

The build itself fails on any warning, and its own extensions warn of a public name, command or option that no
page describes; that they do so is tested here with names that nothing describes.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
import types

import pytest
from convhub_cupy import planner
from convhub_numba import planner as numba_planner
from sphinx.util.inventory import InventoryFile
from support.markdown_pages import ROOT

from convhub import backend, config, plugins

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import backend_table
import command_reference
import public_names
from public_surface import PUBLIC

pytestmark = pytest.mark.timeout(900)  # the first test that wants the site waits until it is built

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def described(site):
    """Return the names of each kind of thing that the site describes, from its inventory."""
    with (site / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _, path: path)
    return {
        kind: {str(name): str(item.uri) for name, item in found.items()} for kind, found in inventory.items()
    }


def test_every_public_name_is_in_the_reference(described):
    names = {name for kind, found in described.items() if kind.startswith("py:") for name in found}
    assert {"convhub.conv2d", "convhub.Problem.parse", "convhub.backend.Capabilities"} <= names
    assert [*public_names.missing(PUBLIC, names)] == []


def test_every_setting_is_described(described):
    own = {
        f"options.{name}.{field.name}"
        for name, (one, _) in plugins.registry(plugins=False).backends.items()
        if one.options
        for field in dataclasses.fields(one.options)
    }
    assert "options.numba.vector_bits" in own
    assert set(described["std:confval"]) == {*config.KEYS, *own}


def test_every_environment_variable_is_described(described):
    assert read_variables(ROOT / "convhub", ROOT / "backends") <= set(described["std:envvar"])


def test_every_command_and_option_is_described(described):
    found = described["std:cmdoption"]
    wanted = {f"{command}.{option}" for command, option in command_reference.options()}
    assert "convhub-bench.--tf32" in wanted
    assert wanted <= set(found)
    assert {f"pytest.{option}" for option in command_reference.pytest_options()} <= set(found)


def test_the_table_of_backends(site):
    page = (site / "reference" / "backends.html").read_text(encoding="utf-8")
    for one in backend_table.own_backends():
        assert f">{one.name}</span>" in page
        assert one.summary.replace("'", "’") in page or one.summary in page


def test_the_table_of_the_gpu_engines_algorithms(site):
    page = (site / "gpu-engine.html").read_text(encoding="utf-8")
    for algorithms in planner.ALGORITHMS.values():
        for algorithm in algorithms:
            assert f">{algorithm.name}</span>" in page
    assert "source/backends/convhub_cupy/kernels/winograd.cu.html" in page


def test_the_table_of_the_cpu_engines_algorithms(site):
    page = (site / "cpu-engine.html").read_text(encoding="utf-8")
    for algorithm in numba_planner.ALGORITHMS:
        assert f">{algorithm.name}</span>" in page


def test_settings_of_the_readme_are_those_there_are():
    table = README.partition("| key | what it does |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [*config.KEYS]


def test_pages_that_show_sources(site):
    page = (site / "source" / "convhub" / "backend.py.html").read_text(encoding="utf-8")
    assert "Capabilities" in page
    assert "source/convhub/backend.py.html" in (site / "plugin-contract.html").read_text(encoding="utf-8")


# --- that the checks find what is not described ------------------------------------------------------------


def test_a_public_name_that_is_not_described_is_found(monkeypatch):
    module = types.ModuleType("planted")
    module.Problem, module.new = backend.Problem, object()
    monkeypatch.setitem(sys.modules, "planted", module)
    public = {"planted": ("Problem", "new")}
    assert [*public_names.missing(public, {"convhub.Problem"})] == ["planted.new"]
    assert [*public_names.missing(public, {"convhub.Problem", "planted.new"})] == []


def test_a_described_name_that_is_not_public_is_found():
    public = {"planted": ("new",)}
    described = {"planted", "planted.new", "planted.new.attribute"}
    assert [*public_names.unlisted(public, described)] == []
    others = {"planted.old", "planted.old.attribute", "another", "planted.new.attribute.deeper"}
    assert {*public_names.unlisted(public, described | others)} == others


def test_an_option_that_is_not_described_is_found():
    everything = {*command_reference.options()}
    assert ("convhub-bench", "--tf32") in everything
    assert ("convhub-new-backend", "NAME") in everything
    assert [*command_reference.missing(everything)] == []
    one = ("convhub-verify", "--seed")
    assert [*command_reference.missing(everything - {one})] == [one]


def read_variables(*folders):
    """Return the environment variables that code reads, and all that it calls CONVHUB_ something."""
    found = set()
    for path in [path for folder in folders for path in folder.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= {*_read_by(node)}
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"(?<!-D)\bCONVHUB_[A-Z][A-Z0-9_]*[A-Z0-9]\b", node.value))
    return found


def _read_by(node):
    """Yield the variable that a node reads, if it reads one by name."""
    if isinstance(node, ast.Subscript):
        where, name = node.value, node.slice
        is_read = isinstance(node.ctx, ast.Load)
    elif isinstance(node, ast.Call) and node.args:
        where, name = node.func, node.args[0]
        is_read = isinstance(where, ast.Attribute) and where.attr in ("get", "getenv")
    else:
        return
    if (
        is_read
        and re.search(r"\benviron\b|\bgetenv\b", ast.unparse(where))
        and isinstance(name, ast.Constant)
    ):
        yield name.value


def test_variables_are_found_where_code_reads_them(tmp_path):
    (tmp_path / "code.py").write_text(
        'import os\na = os.environ.get("ONE"), os.environ["TWO"], os.getenv("THREE", ""), "CONVHUB_FOUR=1"\n'
        'os.environ["SET"] = "-DCONVHUB_SOURCES=1"\n'
    )
    assert read_variables(tmp_path) == {"ONE", "TWO", "THREE", "CONVHUB_FOUR"}
    assert {"CUDA_VISIBLE_DEVICES", "NUMBA_NUM_THREADS"} <= read_variables(
        ROOT / "convhub", ROOT / "backends"
    )
