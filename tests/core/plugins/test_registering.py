from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import re
import types

import numpy as np
import pytest
from support import toy_backend

import convhub
from convhub import config, plugins
from convhub.backend import Backend, Capabilities, hookimpl

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))


GOOD = """
import numpy as np
from convhub.backend import Backend, Capabilities, hookimpl
convhub_contract = 1
def forward(x, w, bias, problem, options):
    return np.full(problem.output_shape, 7, x.dtype)
@hookimpl
def convhub_backends():
    return [Backend({name!r}, Capabilities(dtypes=("float64",)), forward)]
"""


STATED = "from convhub.backend import hookimpl\nconvhub_contract = 1\n"


def failures():
    registry = plugins.registry()
    return {failure.origin.plugin: failure for failure in registry.failures}


def test_an_installed_plugin_is_found_and_runs_when_named(install):
    install("sevens", GOOD.format(name="sevens"))
    assert convhub.conv2d(X, W, backend="sevens").tolist() == [[[[7.0, 7.0], [7.0, 7.0]]]]
    assert plugins.registry().backends["sevens"].origin == ("sevens", "convhub-sevens", "1.2")
    assert "sevens" in convhub.available_backends()
    # Installing a package changes no result: it is not chosen by itself.
    assert convhub.explain(convhub.conv2d, X, W).backend != "sevens"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "import not_there_at_all",
            "ModuleNotFoundError when it was loaded: No module named 'not_there_at_all'",
        ),
        ("raise SystemExit('out')", "SystemExit when it was loaded: out"),
        ("x = = 3", "SyntaxError when it was loaded"),
        ("convhub_contract = 1", "implements no hook"),
        (
            STATED + "@hookimpl\ndef convhub_backend():\n    return []",
            "implements the hook 'convhub_backend', which does not exist. Did you mean 'convhub_backends'",
        ),
        (
            STATED + "@hookimpl\ndef convhub_backends(wrong):\n    return []",
            "PluginValidationError",
        ),
        (
            STATED + "@hookimpl\ndef convhub_backends():\n    return 1 / 0",
            "ZeroDivisionError from its convhub_backends()",
        ),
        (
            STATED + "@hookimpl\ndef convhub_backends():\n    return ['x']",
            "returned 'x', which is not a convhub.backend.Backend",
        ),
        (GOOD.format(name="Bad Name"), "named 'Bad Name'; a name has lowercase letters"),
        (GOOD.format(name="auto"), "means automatic choice"),
        ("import convhub\nconvhub.available_backends()\nconvhub_contract = 1", "implements no hook"),
    ],
)
def test_a_broken_plugin_hurts_nobody_and_is_named(install, source, reason):
    install("wrecked", source)
    install("fine", GOOD.format(name="fine"))
    assert convhub.conv2d(X, W, backend="fine")[0, 0, 0, 0] == 7
    assert convhub.conv2d(X, W, backend="naive")[0, 0, 0, 0] == 9
    failure = failures()["wrecked"]
    assert reason in failure.reason
    assert failure.origin == ("wrecked", "convhub-wrecked", "1.2")
    with pytest.raises(convhub.UnknownBackendError) as caught:
        convhub.conv2d(X, W, backend="wrecked")
    assert "plugin 'wrecked' of convhub-wrecked 1.2 could not be loaded" in str(caught.value)
    assert "wrecked" in str(convhub.explain(convhub.conv2d, X, W))


def test_what_is_decided_while_a_plugin_is_imported_is_forgotten(install):
    """What was remembered inside of a block was decided when nobody knew its backends yet."""
    early = (
        "import convhub, numpy\nx, w = numpy.ones((1, 1, 4, 4)), numpy.ones((1, 1, 3, 3))\n"
        "convhub.conv2d(x, w)\nwith convhub.settings(threads=1):\n    convhub.conv2d(x, w)\n"
    )
    install("early", early + GOOD.format(name="early"))
    assert convhub.conv2d(X, W, backend="early")[0, 0, 0, 0] == 7
    with convhub.settings(threads=1):
        assert convhub.conv2d(X, W, backend="early")[0, 0, 0, 0] == 7


def test_a_plugin_counts_from_when_it_is_registered_until_it_is_taken_away(toy):
    def named():
        return convhub.explain(convhub.conv2d, X, W, backend="toy").backend

    for block in (contextlib.nullcontext(), convhub.settings(threads=1)):
        with block:
            assert named() == "toy"
            plugins.unregister("toy")
            assert named() == ""
            plugins.register(toy_backend, "toy")
            assert named() == "toy"


def test_two_backends_of_one_name_are_both_refused_and_both_owners_named(install):
    install("first", GOOD.format(name="twin"), entry="twin")
    install("second", GOOD.format(name="twin"), entry="twin")
    with pytest.raises(convhub.UnknownBackendError) as caught:
        convhub.conv2d(X, W, backend="twin")
    for word in ("convhub-first 1.2", "convhub-second 1.2", "CONVHUB_DISABLE_PLUGINS"):
        assert word in str(caught.value)
    assert convhub.conv2d(X, W, backend="naive")[0, 0, 0, 0] == 9


def test_a_conflict_ends_when_one_distribution_is_disabled(install, monkeypatch):
    install("first", GOOD.format(name="twin"))
    install("second", GOOD.format(name="twin"))
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "Convhub_Second")
    assert convhub.conv2d(X, W, backend="twin")[0, 0, 0, 0] == 7


def test_disabled_plugins_are_not_even_imported(install, monkeypatch):
    install("marked", "import builtins\nbuiltins.convhub_was_here = True\n" + GOOD.format(name="marked"))
    monkeypatch.setenv("CONVHUB_DISABLE_PLUGINS", "marked, naive")
    assert {"marked", "naive"}.isdisjoint(convhub.available_backends())
    assert not hasattr(__import__("builtins"), "convhub_was_here")
    monkeypatch.delenv("CONVHUB_DISABLE_PLUGINS")
    monkeypatch.setenv("CONVHUB_PLUGINS", "off")
    assert "marked" not in convhub.available_backends()
    assert "naive" in convhub.available_backends()
    assert not hasattr(__import__("builtins"), "convhub_was_here")


def test_builtin_backends_come_through_the_public_entry_points():
    entries = {entry.name for entry in importlib.metadata.entry_points(group="convhub")}
    assert entries >= {"cupy", "naive", "numba", "numpy", "torch"}
    assert set(plugins.registry().backends) == entries
    assert plugins.registry().failures == ()


def test_the_core_names_no_backend():
    """Read the core's source: outside the array libraries' own names no backend may stand there."""
    import pathlib
    import re

    core = pathlib.Path(convhub.__file__).parent
    # versions.py lists distributions, for reports of bugs.
    for path in {*core.glob("*.py"), *core.glob("config/*.py")} - {core / "versions.py"}:
        code = re.sub(r'"""(?:.|\n)*?"""|#[^\n]*', "", path.read_text())
        for name in ("numba", "naive"):
            found = [line for line in code.splitlines() if name in line and "Key(" not in line]
            # One sentence of the help for `backend` gives an example of a table.
            assert all(path.name == "schema.py" and "table such as" in line for line in found), (path, found)


class Recorder:
    def __init__(self, choose=None):
        self.events, self.choice, self.asked = [], choose, []

    @hookimpl
    def convhub_choose(self, problem, candidates):
        self.asked.append((problem, candidates))
        return self.choice

    @hookimpl
    def convhub_called(self, event):
        self.events.append(event)


@pytest.fixture
def recorder():
    recorder = Recorder()
    plugins.register(recorder, "recorder")
    yield recorder
    plugins.unregister("recorder")


def test_a_policy_chooses_once_for_a_problem(recorder):
    recorder.choice = "naive"
    for _ in range(3):
        convhub.conv2d(X, W)
    assert len(recorder.asked) == 1
    problem, candidates = recorder.asked[0]
    assert str(problem) == "forward_float64_n1c1h4w4_k1r3s3"
    assert {"naive", "numpy"} <= set(candidates)
    part = convhub.explain(convhub.conv2d, X, W).parts[0]
    assert part.backend == "naive"
    assert part.source.startswith("plugin")
    # What is named is not up to a policy.
    assert convhub.explain(convhub.conv2d, X, W, backend="numpy").backend == "numpy"


def test_hooks_may_take_fewer_arguments_and_observers_may_fail(caplog):
    class Sloppy:
        calls = 0

        @hookimpl
        def convhub_choose(self, candidates):
            return "naive"

        @hookimpl
        def convhub_called(self):
            Sloppy.calls += 1
            raise ZeroDivisionError("in an observer")

    plugins.register(Sloppy(), "sloppy")
    try:
        assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
        assert convhub.explain(convhub.conv2d, X, W).backend == "naive"
    finally:
        plugins.unregister("sloppy")
    assert Sloppy.calls == 1
    assert "in an observer" in caplog.text


@dataclasses.dataclass
class Needy:
    tile: int


def zeros(x, w, bias, problem, options):
    return np.zeros(problem.result_shape, problem.dtype)


@pytest.mark.parametrize(
    ("capabilities", "fields", "words"),
    [
        ({"dtypes": "float32"}, {}, "dtypes 'float32'; they must be a tuple of names"),
        ({"dtypes": (np.float32,)}, {}, "they must be a tuple of names"),
        ({"dtypes": ("bool",)}, {}, "they must be a tuple of names"),
        ({"dtypes": {"forwards": ("float32",)}}, {}, "dtypes for 'forwards', which is not one of forward"),
        ({"devices": ("gpu",)}, {}, "devices ('gpu',); they must be a tuple of 'cpu' and 'cuda'"),
        ({"devices": "cpu"}, {}, "devices 'cpu'"),
        ({"arrays": "jax"}, {}, "arrays 'jax'; it must be one of numpy, torch, cupy"),
        ({"accuracy": "good"}, {}, "accuracy 'good'"),
        ({}, {"preference": 5}, "preference 5; it must map device types to integers"),
        ({}, {"preference": {"cpu": "high"}}, "must map device types to integers"),
        ({"groups": "no"}, {}, "groups 'no'; it must be True or False"),
        ({"devices": (["cpu"],)}, {}, "TypeError when the declaration of a backend was read: unhashable"),
        ({}, {"options": dict}, "it must be a dataclass, or None"),
        ({}, {"options": Needy}, "options whose 'tile' has no default; each must have one"),
        ({}, {"options": Needy(3)}, "it must be a dataclass, or None"),
        ({}, {"summary": None}, "summary None; it must be a string"),
        ({}, {"accuracy": "normwise"}, "accuracy 'normwise'; it must be a function"),
        ({}, {"grad_input": 3}, "grad_input 3; it must be a function"),
        ({}, {"compile": 3}, "compile 3; it must be a function"),
        ({}, {"compile_profile": 3}, "compile_profile 3; it must be a function"),
        ({}, {"supports": None}, "supports None; it must be a function"),
    ],
)
def test_wrong_declarations_are_refused_and_hurt_nobody(capabilities, fields, words):
    made = Backend("mine", Capabilities(**({"dtypes": ("float64",)} | capabilities)), zeros, **fields)
    plugins.register(types.SimpleNamespace(convhub_backends=hookimpl(lambda: [made])), "declared")
    try:
        (failure,) = plugins.registry().failures
        assert words in failure.reason
        assert failure.name == "mine"
        convhub.conv2d(X, W)
        convhub.available_backends()
        with pytest.raises(convhub.PluginError, match=re.escape(words)):
            convhub.conv2d(X, W, backend="mine")
    finally:
        plugins.unregister("declared")


def test_a_policy_may_pass_but_not_invent(recorder):
    assert convhub.explain(convhub.conv2d, X, W).parts[0].source == "default order"
    recorder.choice = "nobody"
    config.reload()
    with pytest.raises(
        convhub.BackendContractError,
        match="'recorder' of this process returned 'nobody' for .*it must return one",
    ):
        convhub.conv2d(X, W)
    recorder.choice = property(1)  # no name at all
    config.reload()
    with pytest.raises(convhub.BackendContractError, match="must return one of"):
        convhub.conv2d(X, W)


def test_observers_see_each_primitive(recorder):
    convhub.conv2d(X, W, backend="naive")
    convhub.conv2d_backward(np.ones((1, 1, 2, 2)), X, W, backend="numpy")
    seen = [(event.problem.primitive, event.backend, event.source) for event in recorder.events]
    assert seen == [
        ("forward", "naive", "argument"),
        ("grad_input", "numpy", "argument"),
        ("grad_weight", "numpy", "argument"),
    ]
    assert all(event.milliseconds > 0 for event in recorder.events)


def test_registering_by_hand(toy):
    with pytest.raises(ValueError, match="already registered"):
        plugins.register(types.ModuleType("other"), "toy")
    with pytest.raises(ValueError, match="plugins registered by hand:"):
        plugins.unregister("toi")
    backend = Backend("x", Capabilities(dtypes=()))
    assert backend.primitives == ()
