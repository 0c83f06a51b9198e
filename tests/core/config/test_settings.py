from __future__ import annotations

import dataclasses
import os
import textwrap
from pathlib import Path

import numpy as np
import pytest

import convhub
from convhub import ConfigurationError, config, plugins
from convhub.backend import Backend, Capabilities, hookimpl

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))


def ran(**kwargs):
    """Return which backend a call would run on, and by what choice."""
    (part,) = convhub.explain(convhub.conv2d, X, W, **kwargs).parts
    return part.backend, part.source


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Stand in an empty project folder, and return a function that writes a file there."""
    folder = tmp_path / "project" / "sub"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)

    def write(text, name="convhub.toml", folder=tmp_path / "project"):
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        config.reload()
        return path

    return write


def user_folder():
    return Path(os.environ["XDG_CONFIG_HOME"]) / "convhub"


def test_layers_from_weakest_to_strongest(project, monkeypatch, toy):
    assert config.current().sources["backend"] == "default"
    user = project('backend = "numpy"', folder=user_folder())
    try:
        assert ran() == ("numpy", f"{user}:1")
        shared = project('# a comment\nbackend = "naive"')
        assert ran() == ("naive", f"{shared}:2")
        monkeypatch.setenv("CONVHUB_BACKEND", "numpy")
        assert ran() == ("numpy", "environment CONVHUB_BACKEND")
        with convhub.use_backend("toy"):
            assert ran() == ("toy", "context")
            assert ran(backend="naive") == ("naive", "argument")
    finally:
        user.unlink()


def test_environment_is_noticed_at_the_next_call(monkeypatch):
    monkeypatch.setenv("CONVHUB_BACKEND", "naive")
    assert ran()[0] == "naive"
    monkeypatch.setenv("CONVHUB_BACKEND", "numpy")
    assert ran()[0] == "numpy"
    monkeypatch.delenv("CONVHUB_BACKEND")
    assert ran()[1] == "default order"
    monkeypatch.setenv("CONVHUB_BACKEND", "")
    assert ran()[1] == "default order"


def test_nearest_project_file_wins_and_a_foreign_pyproject_does_not(project, tmp_path):
    project('[tool.convhub]\nbackend = "naive"', name="pyproject.toml", folder=tmp_path)
    project('[tool.other]\nbackend = "numpy"', name="pyproject.toml")
    assert ran()[0] == "naive"
    path = project('[tool.other]\nbackend = "x"\n[tool.convhub]\nbackend = "numpy"', name="pyproject.toml")
    assert ran() == ("numpy", f"{path}:4")


def test_backend_by_device(project, monkeypatch):
    project('backend = {cpu = "naive", cuda = "torch"}')
    assert ran()[0] == "naive"
    assert config.current().backend_for("cuda") == "torch"
    monkeypatch.setenv("CONVHUB_BACKEND", "cuda=cupy")
    assert config.current().backend_for("cpu") is None
    assert config.current().backend_for("cuda") == "cupy"


def test_priority_is_the_whole_order(project, toy):
    project('priority = ["toy", "naive"]')
    assert ran()[0] == "toy"
    assert convhub.available_backends("cpu")[:2] == ["toy", "naive"]
    project('priority = {cpu = ["naive"], cuda = ["torch"]}')
    assert ran()[0] == "naive"
    project('priority = ["naive", "toi"]')
    with pytest.raises(convhub.UnknownBackendError, match="Did you mean 'toy'"):
        convhub.conv2d(X, W)


def test_auto_takes_back_what_a_weaker_layer_named(project, monkeypatch):
    project('backend = "naive"')
    monkeypatch.setenv("CONVHUB_BACKEND", "auto")
    assert ran()[1] == "default order"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('\nbackned = "numba"', [":2: 'backned' is not a setting", "Did you mean 'backend'"]),
        ("threads = 0", [":1: threads is 0", 'from 1 to 1024, or "auto"']),
        ('threads = "many"', ["threads is 'many'"]),
        ("threads = true", ["threads is True"]),
        ("threads = 1025", ["threads is 1025"]),
        ("[tool.convhub]\nthreads = 2", ["settings belong at the top level"]),
        ('workspace_limit = "' + "9" * 400 + '"', ["more than any machine has"]),
        ("fallback = 1", ["fallback is 1", "true or false"]),
        ('accuracy = "strickt"', ["accuracy is 'strickt'", "Did you mean 'strict'"]),
        ('workspace_limit = "64 MBit"', ["workspace_limit is '64 MBit'", "MiB"]),
        ("workspace_limit = -1", ["workspace_limit is -1"]),
        ("backend = 3", ["backend is 3", "a name"]),
        ('backend = {gpu = "cupy"}', ["'gpu' is not a device", "cpu and cuda"]),
        ('disable_plugins = "a"', ["disable_plugins is 'a'", "a list of names"]),
        ("[options]\nnumba = 3", ["options is {'numba': 3}"]),
        ("backend = ", ["is not valid TOML", "end of document"]),
    ],
)
def test_wrong_files_name_file_line_and_what_would_be_right(project, text, words):
    path = project(text)
    with pytest.raises(ConfigurationError) as caught:
        convhub.conv2d(X, W)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CONVHUB_BACKEDN", "numpy", "Did you mean 'backend'"),
        ("CONVHUB_VERBOSE", "maybe", "verbose is 'maybe'; it must be true or false"),
        ("CONVHUB_THREADS", "-2", "threads is '-2'"),
        ("CONVHUB_THREADS", "2.5", "threads is '2.5'"),
        ("CONVHUB_ACCURACY", "stric", "Did you mean 'strict'"),
        (
            "CONVHUB_OPTIONS",
            "x",
            "options is 'x'; it must be tables [options.NAME], one for each backend's name, or a string",
        ),
        ("CONVHUB_OPTIONS", "x = 1", "options is {'x': 1}; it must be tables"),
        ("CONVHUB_OPTIONS", "mine.x = 1", "environment CONVHUB_OPTIONS: [options.mine] names no backend"),
    ],
)
def test_wrong_variables(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    config.reload()
    with pytest.raises(ConfigurationError) as caught:
        convhub.conv2d(X, W)
    assert name in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("on", True),
        ("yes", True),
        ("TRUE", True),
        ("0", False),
        ("off", False),
        ("No", False),
        ("false", False),
    ],
)
def test_booleans_in_the_environment(monkeypatch, text, value):
    monkeypatch.setenv("CONVHUB_FALLBACK", text)
    assert config.current().settings.fallback is value


def test_values_reach_the_backend_typed(project, monkeypatch):
    seen = {}

    class Own:
        pass

    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Options:
        tile: int = 4
        mode: str = "fast"

    def forward(x, w, bias, problem, options):
        seen["options"] = options
        return np.zeros(problem.output_shape, x.dtype)

    backend = Backend("mine", Capabilities(dtypes=("float64",)), forward, options=Options)
    plugin = type("Plugin", (), {"convhub_backends": staticmethod(hookimpl(lambda: [backend]))})
    plugins.register(plugin, "mine")
    try:
        project(
            'threads = 3\nworkspace_limit = "2 KiB"\naccuracy = "strict"\nallow_tf32 = true\n'
            "[options.mine]\ntile = 8"
        )
        convhub.conv2d(X, W, backend="mine")
        options = seen["options"]
        assert (options.threads, options.workspace_limit, options.accuracy) == (3, 2048, "strict")
        assert (options.allow_tf32, options.backend) == (True, Options(tile=8))
        project("[options.mine]\ntle = 8")
        with pytest.raises(
            ConfigurationError, match=r"convhub.toml:2: \[options.mine\] has 'tle'.*Did you mean 'tile'"
        ):
            convhub.conv2d(X, W, backend="mine")
        project('[options.mine]\ntile = "big"')
        with pytest.raises(ConfigurationError, match=r"Expected `int`"):
            convhub.conv2d(X, W, backend="mine")
        project("[options.mien]\ntile = 8")
        with pytest.raises(
            ConfigurationError, match=r"\[options.mien\] names no backend.*Did you mean 'mine'"
        ):
            convhub.conv2d(X, W, backend="mine")
        project("[options.naive]\nspeed = 8")
        with pytest.raises(ConfigurationError, match="that backend has no options"):
            convhub.conv2d(X, W, backend="naive")
    finally:
        plugins.unregister("mine")


def test_options_of_two_layers_are_merged_and_blamed_rightly(project, toy):
    user = project("[options.toy]\nx = 1\ny = 2\n[options.naive]\nz = 1", folder=user_folder())
    try:
        project("[options.toy]\nx = 3")
        assert config.current().settings.options["toy"] == {"x": 3, "y": 2}
        with pytest.raises(ConfigurationError, match=f"{user}:5: .options.naive. has 'z'"):
            convhub.conv2d(X, W, backend="naive")
    finally:
        user.unlink()


def test_options_in_the_environment_stand_above_those_of_files(project, monkeypatch):
    project("[options.toy]\nx = 3\ny = 2")
    monkeypatch.setenv("CONVHUB_OPTIONS", 'toy.x = 4, toy.z = "never", other.w = [1, 2]')
    options = config.current().settings.options
    assert options == {"toy": {"x": 4, "y": 2, "z": "never"}, "other": {"w": [1, 2]}}
    assert config.current().place_of("options", "toy") == "environment CONVHUB_OPTIONS"


def test_options_of_a_plugin_that_is_switched_off_are_no_error(project, monkeypatch):
    project("[options.mine]\nx = 3")
    monkeypatch.setenv("CONVHUB_PLUGINS", "off")
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9


def test_a_removed_working_directory_has_no_file(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    config.reload()
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9


def test_the_environment_may_change_while_it_is_read(monkeypatch):
    import threading

    stop = threading.Event()

    def flip():
        while not stop.is_set():
            os.environ["CONVHUB_BACKEND"] = "naive"
            os.environ.pop("CONVHUB_BACKEND")

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        for _ in range(300):
            config.reload()
            config.current()
    finally:
        stop.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_lock_that_is_held_does_not_hang_a_forked_child():
    with config.resolved._lock, plugins.registering._lock:
        child = os.fork()
        if child == 0:
            config.reload()
            plugins.registering._registries.clear()
            os._exit(0 if convhub.conv2d(X, W, backend="naive")[0, 0, 0, 0] == 9 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_config_holds_settings_and_nothing_that_was_decided():
    names = [field.name for field in dataclasses.fields(config.Config)]
    assert names == ["settings", "sources", "threads", "workspace_limit", "environment", "places", "notes"]
    before = config.current()
    convhub.conv2d(X, W)
    assert config.current() is before


def test_threads_are_those_the_process_may_use():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert config.current().threads == cores


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), ("5", 5), ("1 KiB", 1024), ("2kB", 2000), ("1.5 MiB", 3 * 2**19), ("1 GiB", 2**30)],
)
def test_sizes_in_bytes(value, expected):
    assert config.parse_bytes(value) == expected


def test_every_setting_has_a_meaning_and_a_field():
    import dataclasses

    assert [field.name for field in dataclasses.fields(config.Settings)] == list(config.KEYS)
