"""The public names are those of one list, and whatever type a public name speaks of is public too."""

from __future__ import annotations

import ast
import importlib
import inspect
import pathlib
import pkgutil
import sys
import tomllib
import typing

import pytest

import convhub

ROOT = pathlib.Path(convhub.__file__).parents[1]
pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="no source tree")

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
PUBLIC: dict[str, tuple[str, ...]] = {}
FOR_AUTHORS: tuple[str, ...] = ()
if (ROOT / "docs").exists():
    from public_surface import FOR_AUTHORS, PUBLIC

CONTRACT = "a backend imports what is documented for authors, and no more of convhub"

#: Methods whose annotations callers see, beside those without an underscore.
SPECIAL = ("__init__", "__call__", "__enter__", "__exit__")


def the_module(name):
    """Return a module; `convhub.conformance` has an attribute of the name of one of its modules."""
    importlib.import_module(name)
    return sys.modules[name]


@pytest.mark.parametrize("module", PUBLIC)
def test_each_module_has_the_names_of_the_list(module):
    assert sorted(the_module(module).__all__) == sorted(PUBLIC[module])
    assert len(set(PUBLIC[module])) == len(PUBLIC[module])


def test_no_other_module_is_listed_for_authors():
    assert set(FOR_AUTHORS) < set(PUBLIC)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (forbidden,) = (c["forbidden_modules"] for c in contracts if c["name"] == CONTRACT)
    there = {f"convhub.{module.name}" for module in pkgutil.iter_modules(convhub.__path__)}
    assert sorted(forbidden) == sorted(there - set(FOR_AUTHORS))


# --- types --------------------------------------------------------------------------------------------------


#: What annotations name and only a checker knows.
FOR_CHECKERS = {"_lru_cache_wrapper": list}


def annotations(thing):
    """Return the annotations of a function or class, but of ``**keywords``: no caller names that type."""
    hints = typing.get_type_hints(thing, localns=FOR_CHECKERS if inspect.isfunction(thing) else None)
    return {name: hint for name, hint in hints.items() if typing.get_origin(hint) is not typing.Unpack}


def hints_of(thing):
    """Yield the annotations of a function, or of a class with its attributes and methods."""
    if inspect.isclass(thing):
        yield from annotations(thing).values()
        for name, member in vars(thing).items():
            if not name.startswith("_") or name in SPECIAL:
                member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(member):
                    yield from annotations(member).values()
    elif inspect.isroutine(thing):
        yield from annotations(thing).values()
    else:
        yield thing  # an alias of types, or a constant


def types_in(hint):
    """Yield the classes that an annotation is made of."""
    if isinstance(hint, list | tuple):
        for part in hint:
            yield from types_in(part)
    elif typing.get_origin(hint) is not None:
        yield from types_in([typing.get_origin(hint), *typing.get_args(hint)])
    elif isinstance(hint, typing.TypeVar):
        yield from types_in(hint.__bound__)
    elif inspect.isclass(hint):
        yield hint


def own_types_of(thing):
    """Return the types of convhub's that the annotations of a thing name."""
    found = {one for hint in hints_of(thing) for one in types_in(hint)}
    return {one for one in found if one.__module__.partition(".")[0] == "convhub"}


def is_listed(thing):
    return any(getattr(the_module(m), name, None) is thing for m, names in PUBLIC.items() for name in names)


@pytest.mark.parametrize("full", [f"{module}.{name}" for module, names in PUBLIC.items() for name in names])
def test_each_type_that_a_public_name_speaks_of_is_public(full):
    module, _, name = full.rpartition(".")
    unlisted = {one for one in own_types_of(getattr(the_module(module), name)) if not is_listed(one)}
    assert not unlisted, f"{full} has annotations of {unlisted}, which no public module exports"


def test_the_types_of_an_explanation_are_found():
    assert own_types_of(convhub.Explanation) >= {convhub.Part, convhub.plugins.Failure}
    assert own_types_of(convhub.Part) >= {convhub.Problem, convhub.Verdict}
    assert own_types_of(convhub.conv2d_backward) >= {convhub.Gradients}

    def planted(registry: convhub.plugins.Registry) -> None: ...

    assert not is_listed(*own_types_of(planted))


# --- what backends use --------------------------------------------------------------------------------------


def imports_of_convhub(tree):
    """Yield (module, name) for each import of something of convhub's; name None is the module itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "convhub":
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from ((name, None) for name in names if name.partition(".")[0] == "convhub")


def unpromised(source):
    """Return the imports of a backend's source that nobody is promised."""
    return [
        (module, name)
        for module, name in imports_of_convhub(ast.parse(source))
        if module not in FOR_AUTHORS or (name is not None and name not in PUBLIC[module])
    ]


BACKENDS = [*(ROOT / "backends").glob("convhub_*"), *(ROOT / "examples").glob("*/src/*")]


@pytest.mark.parametrize("folder", BACKENDS, ids=lambda folder: folder.name)
def test_backends_use_nothing_that_is_not_open_to_every_author(folder):
    sources = [*folder.rglob("*.py")]
    assert sources or not folder.is_dir()
    for path in sources:
        assert not unpromised(path.read_text(encoding="utf-8")), path


def test_backends_of_their_own_distribution_and_of_others_are_looked_at():
    assert {"convhub_numba", "convhub_cupy", "convhub_naive", "convhub_fft"} <= {f.name for f in BACKENDS}


@pytest.mark.parametrize(
    "line",
    [
        "from convhub.problem import Problem",
        "from convhub.plugins import registry",
        "import convhub.dispatch",
        "def later():\n    from convhub.errors import did_you_mean",
    ],
)
def test_an_import_of_something_else_is_found(line):
    assert len(unpromised(line)) == 1
    assert not unpromised("from convhub.backend import Problem\nimport convhub.plugins\nimport numpy")
