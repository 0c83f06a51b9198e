"""Configuration files that cannot be looked for, that are none, and that are somebody else's."""

from __future__ import annotations

import os
import signal
import stat
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import convhub
from convhub import ConfigurationError, config
from convhub.config.files import FolderError, user_folder
from convhub.dispatch import tuning_store

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions and links as POSIX has them")


@pytest.fixture(autouse=True)
def _loaded():
    """Load whatever a first call loads: another user may not read this interpreter's own library."""
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    config.reload()


@pytest.fixture
def forbid():
    """Return the function that takes all rights to a folder from the user that this test goes on as."""
    folders = []

    def forbid_(folder):
        os.chmod(folder, 0)
        folders.append(folder)
        if os.geteuid() == 0:  # whom no permission stops
            os.seteuid(65534)
        config.reload()

    yield forbid_
    if os.getuid() == 0:
        os.seteuid(0)
    for folder in folders:
        if folder.exists():
            folder.chmod(stat.S_IRWXU)


def works():
    assert convhub.conv2d(X, W, backend="numpy")[0, 0, 0, 0] == 9
    return " | ".join(config.current().notes)


def refused():
    config.reload()
    with pytest.raises(ConfigurationError) as caught:
        convhub.conv2d(X, W)
    return str(caught.value)


def test_a_home_that_may_not_be_read_has_no_file(tmp_path, monkeypatch, forbid):
    home = tmp_path / "home"
    (home / "convhub").mkdir(parents=True)
    (home / "convhub" / "convhub.toml").write_text("threads = 1")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.chdir("/")
    forbid(home)
    assert f"{home}/convhub/convhub.toml cannot be looked for, and counts as absent: Permission" in works()


def test_a_working_folder_that_may_not_be_read_has_no_file(tmp_path, monkeypatch, forbid):
    folder = tmp_path / "closed" / "project"
    folder.mkdir(parents=True)
    (folder / "convhub.toml").write_text("threads = 1")
    monkeypatch.chdir(folder)
    forbid(tmp_path / "closed")
    notes = works()
    assert f"{folder}/convhub.toml cannot be looked for" in notes
    assert "threads" not in {key for key, place in config.current().sources.items() if place != "default"}


def test_a_working_folder_that_is_gone_has_no_file(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    config.reload()
    assert "a project's convhub.toml and pyproject.toml are not looked for: the working folder" in works()


@pytest.mark.skipif(sys.platform != "linux", reason="XDG variables are Linux's")
def test_a_user_without_a_home_has_no_file(monkeypatch):
    def no_home():
        raise RuntimeError("could not determine the home directory")

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: no_home())
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: no_home())
    config.reload()
    assert "the user has no config folder, since the home folder is unknown" in works()
    with pytest.raises(FolderError, match="has no cache folder"):
        tuning_store.database_path()
    with pytest.raises(OSError, match="the home folder is unknown"):
        user_folder("config")


def test_a_folder_of_the_users_is_never_one_below_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "~" / ".config").mkdir(parents=True)
    (tmp_path / "~" / ".config" / "convhub.toml").write_text("threads = 1")
    monkeypatch.chdir(tmp_path)
    # Some versions of platformdirs give this where no home is known.
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: Path("~/.config"))
    config.reload()
    assert config.current().sources["threads"] == "default"
    assert "the user's config folder is '~/.config'; XDG_CONFIG_HOME must be an absolute path" in works()


def test_tuning_goes_on_where_no_database_can_be(monkeypatch, caplog, toy):
    def no_home(*_, **__):
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr("platformdirs.user_cache_path", no_home)
    monkeypatch.setenv("CONVHUB_TUNE", "1")
    monkeypatch.setenv("CONVHUB_PRIORITY", "numpy,naive,toy")
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    assert "measured choices stay in memory, since FolderError: the user has no cache folder" in caplog.text


def test_what_has_the_name_of_our_file_and_is_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "convhub.toml"
    file.mkdir()
    assert refused().startswith(f"{file} is a folder; it must be a file of settings")
    file.rmdir()
    file.symlink_to("nowhere.toml")
    assert refused().startswith(f"{file} is a link to nowhere.toml, which cannot be followed: No such file")
    file.unlink()
    file.symlink_to("convhub.toml")
    assert refused().startswith(
        f"{file} is a link to convhub.toml, which cannot be followed: Too many levels"
    )
    file.unlink()
    os.mkfifo(file)  # to open it would wait for a writer, for ever
    assert refused().startswith(f"{file} is a device, a pipe or a socket")


def test_our_file_that_may_not_be_read_is_an_error(monkeypatch, forbid):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own may be entered by its user only
        os.chmod(folder, 0o755)
        file = Path(folder, "convhub.toml")
        file.write_text("threads = 1")
        monkeypatch.chdir(folder)
        forbid(file)
        assert refused() == f"{file} cannot be read: Permission denied"
        monkeypatch.chdir("/")
        os.seteuid(os.getuid())


FOREIGN = {
    "latin-1": "[project]\nname = 'caf\xe9'\n".encode("latin-1"),
    "utf-16": "[project]\nname = 'x'\n".encode("utf-16"),
    "no TOML": b"[project\nname = convhub\n# [tool.convhub]\n",
    "deep": b"x = " + b"[" * 3000 + b"]" * 3000,
    "digits": b"x = " + b"9" * 5000,
    "large": b"#" + b"x" * 2**20,
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_broken_pyproject_of_others_is_passed_over(tmp_path, monkeypatch, kind):
    (tmp_path / "convhub.toml").write_text("threads = 1")
    inner = tmp_path / "inner"
    inner.mkdir()
    file = inner / "pyproject.toml"
    file.write_bytes(FOREIGN[kind])
    monkeypatch.chdir(inner)
    config.reload()
    notes = works()
    assert config.current().threads == 1
    assert str(file) in notes
    assert notes.endswith("it has no [tool.convhub], and is passed over")


OURS = {
    "latin-1": "[tool.convhub]\nbackend = 'caf\xe9'\n".encode("latin-1"),
    "utf-16": "[tool.convhub]\nthreads = 1\n".encode("utf-16"),
    "no TOML": b"[tool.convhub]\nthreads = \n",
    "deep": b'["tool" . "convhub"]\nx = ' + b"[" * 3000 + b"]" * 3000,
    "digits": b"tool.convhub.threads = " + b"9" * 5000,
    "inside": b"[tool]\nx = 1\nconvhub = {threads = }\n",
}


@pytest.mark.parametrize("kind", OURS)
def test_a_broken_pyproject_of_ours_is_an_error(tmp_path, monkeypatch, kind):
    file = tmp_path / "pyproject.toml"
    file.write_bytes(OURS[kind])
    monkeypatch.chdir(tmp_path)
    assert refused().startswith(f"{file} is not valid TOML: ")
    (tmp_path / "convhub.toml").write_bytes(OURS[kind])
    assert refused().startswith(f"{tmp_path / 'convhub.toml'} is not valid TOML: ")


@pytest.mark.parametrize("name", ["convhub.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("options.x.y = " + "[" * 200 + "]" * 200, "No value may be nested more than 32 times."),
        ("threads = " + "9" * 4000, "threads is "),
        ("workspace_limit = 0x" + "f" * 4000, "is more than any machine has"),
        ('disable_plugins = ["' + "long" * 10_000 + '", 3]', "disable_plugins is ['longlong"),
        ("threads = 0x" + "f" * 8000, "threads is "),
    ],
)
def test_huge_values_are_repeated_in_part_only(tmp_path, monkeypatch, name, text, words):
    monkeypatch.chdir(tmp_path)
    header = "" if name == "convhub.toml" else "[tool.convhub]\n"
    (tmp_path / name).write_text(header + text)
    message = refused()
    assert words in message
    assert len(message) < 500


def test_a_pyproject_that_may_not_be_read_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").symlink_to("pyproject.toml")
    monkeypatch.chdir(tmp_path)
    config.reload()
    assert f"{tmp_path}/pyproject.toml cannot be read, and counts as absent: Too many levels" in works()


def test_what_a_signal_handler_raises_is_no_missing_file(tmp_path, monkeypatch):
    """A `TimeoutError` is an `OSError`, and so would pass for a file that cannot be looked for."""
    found = []

    def handler(number, frame):
        found.append(number)
        raise TimeoutError("the caller's own")

    before = signal.signal(signal.SIGALRM, handler)
    stat_ = os.stat
    try:

        def interrupted(path, **kwargs):
            if Path(path).name == "convhub.toml":
                signal.raise_signal(signal.SIGALRM)
            return stat_(path, **kwargs)

        monkeypatch.setattr(os, "stat", interrupted)
        monkeypatch.chdir(tmp_path)
        config.reload()
        with pytest.raises(TimeoutError, match="the caller's own"):
            convhub.conv2d(X, W)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert found
