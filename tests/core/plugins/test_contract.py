"""A plugin states the contract that it was made for, and another one is refused with what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import types

import numpy as np
import pytest
from support import toy_backend
from support.faulty_plugins import VERSION, plugin

import convhub
from convhub import backend, plugins
from convhub.backend import hookimpl

LINE = "convhub_contract = 1"
OFFERS = f"this convhub {VERSION} offers contract 1"


def refusal(install, source, **named):
    """Return why the plugin `mine` with that source is refused, or None if it is not."""
    install("mine", source, **named)
    reasons = [failure.reason for failure in plugins.registry().failures]
    assert ("mine" in plugins.registry().backends) == (not reasons)
    return reasons[0] if reasons else None


def test_the_contract_of_this_convhub_is_taken(install):
    assert backend.CONTRACT == 1
    assert refusal(install, plugin()) is None


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (
            "2",
            f"it was made for contract 2, and {OFFERS}: upgrade convhub, or install a convhub-mine made for "
            "contract 1",
        ),
        (
            "0",
            f"it was made for contract 0, and {OFFERS}: upgrade convhub-mine, or install a convhub that "
            "offers contract 0",
        ),
        ("'1'", "it has convhub_contract = '1', which must be a number such as 1"),
        ("1.0", "it has convhub_contract = 1.0, which must be a number such as 1"),
        ("True", "it has convhub_contract = True, which must be a number such as 1"),
    ],
)
def test_another_one_is_refused_with_what_to_do(install, stated, reason):
    assert refusal(install, plugin().replace(LINE, f"convhub_contract = {stated}")) == reason


@pytest.mark.parametrize(
    ("source", "raised"),
    [
        ("from convhub.backend import Later", "ImportError when it was loaded: cannot import name 'Later'"),
        ("import convhub.later", "ModuleNotFoundError when it was loaded: No module named 'convhub.later'"),
        (
            "import convhub.backend as b\nb.Backend('mine', b.Capabilities(dtypes=()), later=1)",
            "TypeError when it was loaded: ",
        ),
    ],
)
@pytest.mark.parametrize("line", ["convhub_contract = 2", "convhub_contract: int = 2"])
def test_one_that_needs_what_a_later_contract_has_is_told_so(install, source, raised, line):
    reason = refusal(install, f"{source}\n{line}")
    assert reason.startswith(f"it was made for contract 2, and {OFFERS}: upgrade convhub")
    assert f"({raised}" in reason


@pytest.mark.parametrize("source", ["1 / 0", f"1 / 0\n{LINE}", "x = = 3\nconvhub_contract = 2"])
def test_one_that_is_broken_otherwise_is_told_so(install, source):
    assert re.match(r"(ZeroDivision|Syntax)Error when it was loaded: ", refusal(install, source))


def test_the_object_of_an_entry_point_may_state_it_or_its_module(install):
    hooks = "class Hooks:\n    {}\n    @hookimpl\n    def convhub_backends(self):\n        return []\n"
    hooks += "it = Hooks()\n"
    start = "from convhub.backend import hookimpl\n"
    for name, source, right in (
        ("inside", start + hooks.format(LINE), True),
        ("beside", start + LINE + "\n" + hooks.format("pass"), True),
        ("neither", start + hooks.format("pass"), False),
    ):
        folder = install(name, source)
        (info,) = folder.glob(f"convhub_{name}-*.dist-info")
        (info / "entry_points.txt").write_text(f"[convhub]\n{name} = {name}:it\n")
        importlib.invalidate_caches()
        plugins.registering._forget()
        loaded = [origin.plugin for origin in plugins.registry().loaded]
        assert (name in loaded) == right


def test_a_plugin_added_by_hand_need_not_state_it_but_is_held_to_it():
    hooks = hookimpl(lambda: [toy_backend.toy])
    for stated, taken in (({}, True), ({"convhub_contract": 1}, True), ({"convhub_contract": 2}, False)):
        plugins.register(types.SimpleNamespace(convhub_backends=hooks, **stated), "by hand")
        try:
            assert ("toy" in plugins.registry().backends) == taken
            if not taken:
                with pytest.raises(
                    convhub.PluginError, match="'by hand' of this process .* made for contract 2"
                ):
                    convhub.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), backend="by hand")
        finally:
            plugins.unregister("by hand")


def test_built_in_plugins_state_it_too():
    for entry in importlib.metadata.entry_points(group="convhub"):
        assert entry.load().convhub_contract == 1, entry.name
