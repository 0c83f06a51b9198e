"""`convhub config`."""

from __future__ import annotations

import pytest

from convhub import config
from convhub.cli.setting_values import as_toml


def test_defaults(run, run_json):
    found, code = run_json("config")
    assert code == 0
    assert list(found["settings"]) == list(config.KEYS)
    for key, row in found["settings"].items():
        assert row["source"] == "default"
        assert row["value"] == getattr(config.Settings(), key)
        assert (row["meaning"], row["right"]) == config.KEYS[key]
    assert found["settings"]["workspace_limit"]["effective"] == 64 * 2**20
    assert found["settings"]["backend"]["variable"] == "CONVHUB_BACKEND"
    assert found["settings"]["options"]["variable"] == "CONVHUB_OPTIONS"
    output = run("config").stdout
    for key, (meaning, right) in config.KEYS.items():
        assert f"\n{key} = " in f"\n{output}"
        assert f"\n    {meaning}\n    may be {right}\n" in output


def test_each_value_says_where_it_came_from(run, run_json, tmp_path, monkeypatch):
    file = tmp_path / "convhub.toml"
    file.write_text(
        'fallback = true\nbackend = {cpu = "numpy"}\n\n[options.numba]\nday = 2024-02-29\ntile = [1, 2]\n'
    )
    monkeypatch.setenv("CONVHUB_THREADS", "3")
    output = run("config").stdout
    assert f"fallback = true   {file}:1\n" in output
    assert f'backend = {{cpu = "numpy"}}   {file}:2\n' in output
    assert f'options = {{numba = {{day = "2024-02-29", tile = [1, 2]}}}}   {file}:4\n' in output
    assert "threads = 3   environment CONVHUB_THREADS\n" in output
    settings = run_json("config")[0]["settings"]
    assert settings["threads"]["value"] == settings["threads"]["effective"] == 3
    assert settings["backend"]["value"] == {"cpu": "numpy"}
    assert settings["options"]["value"] == {"numba": {"day": "2024-02-29", "tile": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "line", "nearest"),
    [
        ("thraeds = 2\n", 1, "threads"),
        ("fallback = true\nbackand = 'numba'\n", 2, "backend"),
        ("fallback = 'ture'\n", 1, "true"),
    ],
)
def test_a_misspelt_file_names_file_line_and_nearest_word(run, tmp_path, text, line, nearest):
    file = tmp_path / "convhub.toml"
    file.write_text(text)
    result = run("config")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {file}:{line}: ")
    assert result.stderr.endswith(f"Did you mean '{nearest}'?\n")


def test_what_is_no_toml_is_named(run, tmp_path):
    (tmp_path / "convhub.toml").write_text("backend = \n")
    result = run("config", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not valid TOML" in result.stderr


def test_toml_is_what_a_file_may_hold():
    import tomllib

    value = {"cpu": ["numba", "n\"'umpy"], "cuda": [], "b": True, "x": 1.5, "t": {"n": 1}}
    assert tomllib.loads(f"v = {as_toml(value)}")["v"] == value
