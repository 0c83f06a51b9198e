"""Prints and reads the text form of a problem, which is used in logs, errors, test names and commands.

It is modelled on oneDNN's benchdnn descriptors: the literature's letters with a number each, then the
parameters that differ from their defaults. `Problem.parse` documents the form for users.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError, did_you_mean, short_repr
from .sizes import ITEM_BYTES, PRIMITIVES

__all__ = ["parse_fields", "print_fields"]


def print_fields(fields: Mapping[str, Any]) -> str:
    """Return the text of a problem with these fields, without `output_size` if it is as large as fits."""
    height, width = fields["input_size"]
    rows, columns = fields["kernel_size"]
    parts = [
        fields["primitive"],
        fields["dtype"],
        f"n{fields['batch']}c{fields['in_channels']}h{height}w{width}",
        f"k{fields['out_channels']}r{rows}s{columns}",
    ]
    if fields["stride"] != (1, 1):
        parts.append("stride{}x{}".format(*fields["stride"]))
    if fields["padding"] != ((0, 0), (0, 0)):
        sides = [str(a) if a == b else f"{a}-{b}" for a, b in fields["padding"]]
        parts.append("pad{}x{}".format(*sides))
    if fields["dilation"] != (1, 1):
        parts.append("dilation{}x{}".format(*fields["dilation"]))
    if fields["groups"] != 1:
        parts.append(f"groups{fields['groups']}")
    if "output_size" in fields:
        parts.append("out{}x{}".format(*fields["output_size"]))
    if fields["device"] != "cpu":
        parts.append(fields["device"])
    return "_".join(parts)


_DIGITS = "0123456789x-"
_SIZES = re.compile(r"([nchwkrs])(\d+)")
_PADDING = re.compile(r"(\d+)(?:-(\d+))?(?:x(\d+)(?:-(\d+))?)?")
_PAIR = re.compile(r"(\d+)(?:x(\d+))?")
_LETTERS = {
    "n": "batch",
    "c": "in_channels",
    "h": "height",
    "w": "width",
    "k": "out_channels",
    "r": "kernel height",
    "s": "kernel width",
}


def parse_fields(text: str) -> dict[str, Any]:
    """Read `text` into the fields of a `Problem`, which checks their values itself."""
    if not issubclass(type(text), str):
        raise ArgumentError(f"problem is {short_repr(text)}; it must be a string such as '{_EXAMPLE}'")
    text = str.__str__(text)
    fields: dict[str, object] = {"primitive": "forward"}
    sizes: dict[str, int] = {}
    seen: set[str] = set()
    remaining = re.sub(r"\s+|,", "_", text.strip())
    # The names of primitives contain the separator, so they are removed first.
    for primitive in PRIMITIVES:
        remaining, found = re.subn(rf"(?<![a-z]){primitive}(?![a-z])", "", remaining)
        if found:
            _once("primitive", seen, text)
            fields["primitive"] = primitive
    parts = [*filter(None, remaining.split("_")), ""]
    for part, following in itertools.pairwise(parts):
        if part in ITEM_BYTES:
            _once("dtype", seen, text)
            fields["dtype"] = part
        elif part in ("cpu", "cuda"):
            _once("device", seen, text)
            fields["device"] = part
        elif _SIZES.sub("", part) == "":
            for letter, digits in _SIZES.findall(part):
                _once(_LETTERS[letter], seen, text)
                sizes[letter] = _number(digits, part, text)
        else:
            word = part.rstrip(_DIGITS)
            if word not in _NAMED:
                raise _not_understood(part, following, text)
            name, value = _parse_named(word, part[len(word) :], part, text)
            _once(name, seen, text)
            fields[name] = value
    missing = [f"{name} ({letter})" for letter, name in _LETTERS.items() if letter not in sizes]
    if missing:
        raise ArgumentError(
            f"problem {_shown(text)} lacks {', '.join(missing)}; a complete one is '{_EXAMPLE}'"
        )
    return {
        **fields,
        "batch": sizes["n"],
        "in_channels": sizes["c"],
        "out_channels": sizes["k"],
        "input_size": (sizes["h"], sizes["w"]),
        "kernel_size": (sizes["r"], sizes["s"]),
    }


_EXAMPLE = "forward_float32_n1c3h32w32_k8r3s3_stride2x2_pad1x1"
_NAMED = {
    "stride": "stride",
    "pad": "padding",
    "dilation": "dilation",
    "groups": "groups",
    "out": "output_size",
}


def _not_understood(part: str, following: str, text: str) -> ArgumentError:
    """Return the error for an invalid part of a text, with what was probably meant."""
    # Two primitives' names contain the separator, so one of them may have become two parts.
    two = f"{part}_{following}"
    word = "cuda" if part == "gpu" else part
    split = [name for name in PRIMITIVES if "_" in name]
    known = [*PRIMITIVES, *ITEM_BYTES, "cpu", "cuda"]
    near = did_you_mean(two, split) or did_you_mean(word, known) or did_you_mean(part.rstrip(_DIGITS), _NAMED)
    return ArgumentError(
        f"problem {_shown(text)} has the part {short_repr(two if did_you_mean(two, split) else part)}, "
        f"which is not understood; a complete one is '{_EXAMPLE}'.{near}"
    )


def _parse_named(word: str, numbers: str, part: str, text: str) -> tuple[str, object]:
    if word == "groups" and numbers.isdigit():
        return "groups", _number(numbers, part, text)
    pattern = _PADDING if word == "pad" else _PAIR
    match = pattern.fullmatch(numbers)
    if match is None or word == "groups":
        form = {"pad": "pad1x1 or pad1-2x0-1", "groups": "groups2"}.get(word, f"{word}2x2")
        raise ArgumentError(f"problem {_shown(text)} has the part {short_repr(part)}; write it as {form}")
    if word != "pad":
        first = _number(match[1], part, text)
        return _NAMED[word], (first, first if match[2] is None else _number(match[2], part, text))
    top, bottom, left, right = (_number(digits or "0", part, text) for digits in match.groups())
    vertical = (top, top if match[2] is None else bottom)
    horizontal = (left, left if match[4] is None else right) if match[3] is not None else vertical
    return "padding", (vertical, horizontal)


def _number(digits: str, part: str, text: str) -> int:
    # Python reads no number of more than 4,300 digits, and a valid problem has at most 19.
    if len(digits) > 300:
        raise ArgumentError(
            f"problem {_shown(text)} has the part {short_repr(part)}, with a number of {len(digits)} digits; "
            "it must be below 2**63"
        )
    return int(digits)


def _shown(text: str) -> str:
    return short_repr(text, 200)


def _once(name: str, seen: set[str], text: str) -> None:
    if name in seen:
        raise ArgumentError(f"problem {_shown(text)} gives {name} twice; give it once")
    seen.add(name)
