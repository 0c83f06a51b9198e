"""The line of each part of a setting, however TOML lets it be written."""

from __future__ import annotations

import tomllib

import pytest

from convhub import ConfigurationError, config
from convhub.config.toml_lines import lines_of

DOCUMENT = r'''# a comment with [tool.convhub]
title = "a # is no comment [here]"
text = """
[tool.convhub]
threads = 3
a \""" quote""""
other = \'\'\'
x = 'y'
\'\'\'
dotted.a.b = 1
dotted."c.d" = 2.5
"quoted \u0061" = 1979-05-27 07:32:00
inline = {x = 1, y = {z = [1, {w = 2}]}, 'l i t' = true}
nested = [
  [1, 2], # one
  [

    [3],
    "]",
  ],
]
[table]
k = 1
[table.'sub'  .  deeper]
k = 2
[[many]]
a = 1
[many.inner]
b = 2
[[many]]
a = [ -1e5,
  0x1f, inf ]
[[many.again]]
c = 1
[[many.again]]
c = 2
'''.replace("\\'", "'")


def paths(value, path=()):
    """Yield the way to each key and element of a parsed document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths(item, (*path, key))


@pytest.mark.parametrize("text", [DOCUMENT, DOCUMENT.replace("\n", "\r\n"), "", "a=1", "[a]\n[b.c]"])
def test_every_key_and_element_has_a_line(text):
    found = lines_of(text)
    assert set(found) == {*paths(tomllib.loads(text))}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (("other",), 7),
        (("dotted",), 10),
        (("dotted", "c.d"), 11),
        (("quoted a",), 12),
        (("inline", "y", "z", 1, "w"), 13),
        (("nested", 0), 15),
        (("nested", 1, 0, 0), 18),
        (("nested", 1, 1), 19),
        (("table", "sub", "deeper", "k"), 25),
        (("many",), 26),
        (("many", 0, "inner", "b"), 29),
        (("many", 1), 30),
        (("many", 1, "a", 2), 32),
        (("many", 1, "again", 1, "c"), 36),
    ],
)
def test_the_line_is_that_of_the_part(path, line):
    assert lines_of(DOCUMENT)[path] == line


@pytest.mark.parametrize("name", ["convhub.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("disable_plugins = [\n  'a',\n  3,\n]", 3, "it must be a list of names"),
        ("priority = {cpu = ['a'],\ncuda = [\n 'b', ['c']]}".replace(",\n", ", "), 2, "priority is"),
        (
            "[priority]\ncpu = ['a']\ngpu = ['b']",
            3,
            "'gpu' is not a device; the devices are cpu and cuda. Did you mean",
        ),
        ("backend.cpu = 'a'\nbackend.cuda = 7", 2, "backend is"),
        ("[options.a]\nx = 1\n[options]\nb = 3", 4, "options is"),
        ("backend = 'threads'\n'threads' = 'three'", 2, "threads is 'three'"),
        ("verbose = false\ncheck = 'true'", 2, "it must be true or false. Write it without quotes."),
        ("threads = '2'", 1, "Write it without quotes."),
    ],
)
def test_an_error_names_the_line_of_the_part_that_is_wrong(tmp_path, monkeypatch, name, text, line, words):
    monkeypatch.chdir(tmp_path)
    if name == "pyproject.toml":  # with another tool's keys of the same names
        text = text.replace("[options", "[tool.convhub.options").replace(
            "[priority", "[tool.convhub.priority"
        )
        text, line = f"[tool.other]\nthreads = 1\npriority = []\n[tool.convhub]\n{text}", line + 4
    (tmp_path / name).write_text(text)
    config.reload()
    with pytest.raises(ConfigurationError) as caught:
        config.current()
    assert str(caught.value).startswith(f"{tmp_path / name}:{line}: ")
    assert words in str(caught.value)


def test_everything_that_is_wrong_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "convhub.toml").write_text("thraeds = 1\nverbose = 3\nbackend = 'numpy'\ntune = 'yes'")
    monkeypatch.setenv("CONVHUB_ACCURACY", "strct")
    config.reload()
    with pytest.raises(ConfigurationError) as caught:
        config.current()
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        *(f"{tmp_path}/convhub.toml:{number}" for number in (1, 2, 4)),
        "environment CONVHUB_ACCURACY",
    ]
