"""`convhub.settings`: any setting, for a block, a function, a thread or a task."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
import timeit

import numpy as np
import pytest
from support import toy_backend

import convhub
from convhub import ConfigurationError, config, plugins
from convhub.config.overrides import Values
from convhub.dispatch import dispatcher
from convhub.dispatch.choose import choose
from convhub.dispatch.request import BackendRequest, make_request

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))
PROBLEM = convhub.Problem("forward", 1, 1, 1, (4, 4), (3, 3), dtype="float64")


def now(key):
    """Return a setting in force, and where it comes from."""
    settings = config.current()
    return getattr(settings.settings, key), settings.sources[key]


def chosen():
    return choose(PROBLEM, make_request(None))


@dataclasses.dataclass(frozen=True)
class Own:
    tile: int = 4
    mode: str = "fast"


@pytest.fixture
def typed():
    """Register a backend with options of its own."""
    backend = dataclasses.replace(toy_backend.toy, name="typed", options=Own)
    plugin = type(
        "Plugin", (), {"convhub_backends": staticmethod(convhub.backend.hookimpl(lambda: [backend]))}
    )
    plugins.register(plugin, "typed")
    yield backend
    plugins.unregister("typed")


OTHER = {
    "backend": "naive",
    "priority": ["naive"],
    "fallback": True,
    "accuracy": "strict",
    "threads": 1,
    "workspace_limit": "2 KiB",
    "allow_tf32": True,
    "tune": True,
    "verbose": True,
    "check": True,
    "plugins": False,
    "disable_plugins": ["naive"],
    "options": {},
}


def test_every_setting_can_be_set():
    assert list(OTHER) == list(config.KEYS) == list(Values.__annotations__)


@pytest.mark.parametrize("key", OTHER)
def test_a_setting_holds_inside_and_nowhere_else(key):
    before = now(key)
    with convhub.settings(**{key: OTHER[key]}):
        assert now(key) == (OTHER[key], "settings(...) context")
        assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    assert now(key) == before


def test_what_a_setting_does_it_does_inside(typed, caplog):
    with convhub.settings(threads=3, workspace_limit="2 KiB", accuracy="strict", allow_tf32=True):
        options = chosen().options
        assert (options.threads, options.workspace_limit) == (3, 2048)
        assert (options.accuracy, options.allow_tf32) == ("strict", True)
    with convhub.settings(backend="naive", check=True):
        assert chosen().check
        assert chosen().backend.name == "naive"
    with convhub.settings(priority=["typed"], options={"typed": {"tile": 8}}):
        assert chosen().options.backend == Own(tile=8)
    with convhub.settings(disable_plugins=["typed"]), pytest.raises(convhub.UnknownBackendError):
        convhub.conv2d(X, W, backend="typed")
    with convhub.settings(plugins=False):
        assert "typed" in convhub.available_backends()  # it was registered by hand
    with convhub.settings(verbose=True), caplog.at_level("INFO", "convhub"):
        convhub.conv2d(X, W)
    assert len([line for line in caplog.messages if "forward_float64" in line]) == 1
    convhub.conv2d(X, W)
    assert len([line for line in caplog.messages if "forward_float64" in line]) == 1


def test_strength(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "convhub.toml").write_text("threads = 5\naccuracy = 'strict'\nverbose = true")
    monkeypatch.setenv("CONVHUB_THREADS", "4")
    config.reload()
    with convhub.settings(threads=3):
        assert now("threads")[0] == 3
        assert now("accuracy") == ("strict", f"{tmp_path}/convhub.toml:2")
        with convhub.settings(threads=2, accuracy="standard"):
            assert (now("threads")[0], now("accuracy")[0], now("verbose")[0]) == (2, "standard", True)
            monkeypatch.setenv("CONVHUB_VERBOSE", "0")  # noticed inside of blocks too
            assert (now("threads")[0], now("verbose")[0]) == (2, False)
        assert now("threads")[0] == 3
        (tmp_path / "convhub.toml").write_text("accuracy = 'standard'")
        convhub.reload_settings()
        assert (now("threads")[0], now("accuracy")[0]) == (3, "standard")
    assert now("threads") == (4, "environment CONVHUB_THREADS")


def test_options_are_united_with_those_outside(typed, monkeypatch):
    monkeypatch.setenv("CONVHUB_OPTIONS", "typed.tile=2")
    table = {"typed": {"mode": "slow"}}
    block = convhub.settings(options=table)
    table["typed"]["mode"] = "changed since"
    with convhub.use_backend("typed"), block, convhub.settings(options={"typed": {"tile": 9}}):
        assert chosen().options.backend == Own(tile=9, mode="slow")
    with block:
        assert choose(PROBLEM, BackendRequest("typed", "argument")).options.backend == Own(
            tile=2, mode="slow"
        )
        assert config.current().place_of("options", "typed", "tile") == "environment CONVHUB_OPTIONS"
        assert config.current().place_of("options", "typed", "mode") == "settings(...) context"


def test_a_backend_is_named_as_use_backend_names_it():
    for name, source in [("naive", "context"), ("auto", "default order")]:
        with convhub.use_backend(name):
            expected = convhub.explain(convhub.conv2d, X, W)
        with convhub.use_backend("numpy"), convhub.settings(backend=name):
            assert str(convhub.explain(convhub.conv2d, X, W)) == str(expected)
            assert expected.parts[0].source == source
        with convhub.settings(backend=name), convhub.use_backend("numpy"):
            assert convhub.explain(convhub.conv2d, X, W).backend == "numpy"
    with convhub.settings(backend="naive"):
        assert convhub.explain(convhub.conv2d, X, W, backend="numpy").parts[0].source == "argument"
    with convhub.use_backend("numpy"), convhub.settings(backend={"cpu": "naive"}):
        (part,) = convhub.explain(convhub.conv2d, X, W).parts
        assert (part.backend, part.source) == ("naive", "settings(...) context")
    with (
        pytest.raises(convhub.UnknownBackendError, match="Did you mean 'naive'"),
        convhub.settings(backend="naiv"),
    ):
        pass
    assert now("backend") == ("auto", "default")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"thraeds": 1}, "settings(thraeds=...): 'thraeds' is not a setting; the settings are backend, "),
        ({"threads": 0}, 'settings(threads=...): threads is 0; it must be from 1 to 1024, or "auto".'),
        ({"threads": "2"}, "settings(threads=...): threads is '2'"),
        ({"fallback": 1}, "settings(fallback=...): fallback is 1; it must be true or false."),
        ({"workspace_limit": 1.5}, "settings(workspace_limit=...): workspace_limit is 1.5"),
        ({"backend": None}, "settings(backend=...): backend is None; it must be a name"),
        ({"priority": "numba"}, "settings(priority=...): priority is 'numba'"),
        ({"priority": {"gpu": []}}, "'gpu' is not a device"),
        ({"options": {"numba": 3}}, "settings(options=...): options is {'numba': 3}"),
        (
            {"options": {"a": {"b": object}}},
            "settings(options=...): options.a.b is <class 'object'>; it must be",
        ),
        (
            {"options": {"a": {"b": {3: 4}}}},
            "settings(options=...): options.a.b is {3: 4}; it must be what a",
        ),
    ],
)
def test_values_are_checked_at_once(values, message):
    with pytest.raises(ConfigurationError) as caught:
        convhub.settings(**values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"priority": ["typd"]}, "backend is 'typd' (from settings(...) context)"),
        ({"options": {"typd": {"tile": 1}}}, "settings(...) context: [options.typd] names no backend"),
        ({"options": {"typed": {"tyle": 1}}}, "settings(...) context: [options.typed] has 'tyle'"),
        ({"options": {"typed": {"tile": "big"}}}, "settings(...) context: "),
    ],
)
def test_names_are_checked_on_entering(typed, values, message):
    block = convhub.settings(**values)
    before = config.current()
    with pytest.raises(ValueError) as caught, block:
        pass
    assert message in str(caught.value)
    assert config.current() is before


def test_a_value_that_contains_itself_is_refused():
    endless = {}
    endless["mine"] = endless
    with pytest.raises(ConfigurationError, match="nested more than 32 times"):
        convhub.settings(options=endless)


def test_threads_and_tasks_keep_their_own():
    seen = []
    with convhub.settings(threads=3):
        thread = threading.Thread(target=lambda: seen.append(now("threads")))
        thread.start()
        thread.join()
    assert seen == [now("threads")]

    async def task(count, barrier):
        with convhub.settings(threads=count):
            await barrier.wait()
            return chosen().options.threads

    @convhub.settings(threads=7)
    async def decorated():
        await asyncio.sleep(0)
        return chosen().options.threads

    async def main():
        barrier = asyncio.Barrier(3)
        found = await asyncio.gather(*(task(count, barrier) for count in (4, 5, 6)))
        with convhub.settings(threads=8):
            inherited = asyncio.create_task(asyncio.to_thread(lambda: now("threads")[0]))
        return [*found, await decorated(), await inherited]

    assert asyncio.run(main()) == [4, 5, 6, 7, 8]


def test_decorated_functions():
    @convhub.settings(threads=3)
    def recursive(depth):
        """Go down."""
        return now("threads")[0] if depth == 0 else recursive(depth - 1)

    assert (recursive.__name__, recursive.__doc__, recursive(3)) == ("recursive", "Go down.", 3)

    def generator():
        yield 1

    async def agenerator():
        yield 1

    for function in (generator, agenerator):
        with pytest.raises(TypeError, match="put the with block inside"):
            convhub.settings(threads=3)(function)


def test_leaving_out_of_order_takes_away_its_own():
    def generator():
        with convhub.settings(threads=3):
            yield

    suspended = generator()
    next(suspended)
    with convhub.settings(threads=2):
        suspended.close()
        assert now("threads")[0] == 2
    assert now("threads")[1] == "default"


def test_one_block_may_be_entered_again():
    three = convhub.settings(threads=3)
    with three, convhub.settings(threads=2), three:
        assert now("threads")[0] == 3
    assert now("threads")[1] == "default"


def test_blocks_with_many_values_keep_no_more_than_a_few():
    for count in range(1, 101):
        with convhub.settings(threads=count):
            assert chosen().options.threads == count
    assert len(config.resolved._in_force.inside) <= 32
    assert len(dispatcher._dispatchers) <= 33


def test_a_call_inside_costs_hardly_more_than_one_outside(toy):
    """Count in turns, since the machine may be busy; a call takes about twenty times what is allowed here."""
    request = BackendRequest(None, "default")
    choose(PROBLEM, request)
    outside, inside = [], []
    for _ in range(30):
        outside.append(timeit.timeit(lambda: choose(PROBLEM, request), number=200) / 200)
        with convhub.settings(threads=1, options={"toy": {}}):
            inside.append(timeit.timeit(lambda: choose(PROBLEM, request), number=200) / 200)
    print(f"a choice takes {min(outside) * 1e6:.2f} us outside, {min(inside) * 1e6:.2f} us inside")
    assert min(inside) - min(outside) < 2e-6
