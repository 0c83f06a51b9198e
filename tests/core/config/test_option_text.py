"""Options of backends in one line of text, as the environment and the command line have them."""

from __future__ import annotations

import pytest

from convhub.config.option_text import options_from_text, text_of_options

NEVER_AND_128 = {"mine": {"mode": "never", "tile": 128}}


@pytest.mark.parametrize(
    "text",
    [
        'mine.mode="never", mine.tile=128',
        "mine.mode=never,mine.tile=128",
        "mine.mode=never;mine.tile=128",
        "mine.mode=never mine.tile=128",
        " mine.mode = never ; mine . tile = 128 ; ",
        "mine.mode='never' mine.tile=128",
        "mine.mode=never\nmine.tile=128\n",
        'mine = {mode = "never", tile = 128}',
    ],
)
def test_dividers_and_quotes(text):
    assert options_from_text(text) == NEVER_AND_128


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("-3", -3),
        ("2.5", 2.5),
        ("1e-3", 1e-3),
        ("F4x4", "F4x4"),
        ("a/b:c-d", "a/b:c-d"),
        ('"a, b; c = d"', "a, b; c = d"),
        ('"128"', "128"),
        ('[1, 2, "x"]', [1, 2, "x"]),
        ("''", ""),
    ],
)
def test_values(text, value):
    assert options_from_text(f"mine.x={text}") == {"mine": {"x": value}}
    assert options_from_text(f"mine.w=word, mine.x={text}; mine.y=word") == {
        "mine": {"w": "word", "x": value, "y": "word"}
    }


@pytest.mark.parametrize(
    "text",
    [
        "mode",
        "mode=never",
        "mine.mode",
        "mine.mode=",
        "mine.mode=never mine.tile",
        "mine.mode=never, mine.mode=always",
        "mine.mode=never, mine.mode.deep=1",
        "mine.mode=a=b",
        'mine.mode="open',
        "mine.x=" + "[" * 2000,
    ],
)
def test_what_is_none_stays_a_text(text):
    assert options_from_text(text) == text.strip()


@pytest.mark.parametrize(
    "options",
    [
        {"mine": {"mode": "never", "tile": 128, "on": True}},
        {"mine": {"a": "128", "b": "true", "c": "two words", "d": "a,b;c", "e": 'x"y', "f": "", "g": "1e3"}},
        {"mine": {"a": [1, 2], "b": -0.5}, "other": {"x": "y"}},
    ],
)
def test_options_as_a_text_are_read_as_they_were(options):
    assert options_from_text(text_of_options(options)) == options
    assert " " not in text_of_options({"mine": {"mode": "never", "tile": [1, 2]}})
