"""Objects that raise when they are looked at, that have no end or are huge: refused in plain words."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import convhub

X = np.ones((1, 4, 5, 5))
W = np.ones((4, 4, 3, 3))
G = np.ones((1, 4, 3, 3))

#: A message is to be read, whatever was given.
LONGEST = 700


def raiser(*methods, base=object, error=ValueError):
    """Return an object whose methods of these names raise."""

    def fail(*_):
        raise error("of pebbles " * 1000)

    kind = type("Evil", (base,), dict.fromkeys(methods, fail))
    return kind(-5) if base is int else kind()


class EvilClass:
    """An object that does not even tell its class."""

    @property
    def __class__(self):
        raise ValueError("no class")


def nameless():
    """Return a class that does not tell its name."""

    def fail(_):
        raise ValueError("no name")

    return type("EvilMeta", (type,), {"__name__": property(fail)})("Nameless", (), {})


class Lying(list):
    """A list that says that it has two elements, and gives others each time."""

    def __len__(self):
        return 2

    def __iter__(self):
        return itertools.repeat("pebble", 5)


def recursive():
    """Return a list that contains itself."""
    found = []
    found.append(found)
    return found


def deep():
    """Return a list in a list in a list …"""
    found = []
    for _ in range(5000):
        found = [found]
    return found


EVERYTHING = ("__repr__", "__len__", "__index__", "__iter__", "__eq__", "__bool__", "__getitem__", "__str__")
HOSTILE = {
    "int of 5,000 digits": lambda: 10**5000,
    "negative int of 5,000 digits": lambda: -(10**5000),
    "pair with an int of 5,000 digits": lambda: (1, 10**5000),
    "recursive list": recursive,
    "pair of recursive lists": lambda: (recursive(), recursive()),
    "deep list": deep,
    "long list": lambda: [1] * 10**5,
    "long tuple of texts": lambda: ("x" * 10**5,) * 3,
    "long text": lambda: "x" * 10**5,
    "long bytes": lambda: b"x" * 10**5,
    "repr raises": lambda: raiser("__repr__"),
    "repr exits": lambda: raiser("__repr__", error=SystemExit),
    "repr is no text": lambda: type("Evil", (), {"__repr__": lambda _: 3})(),
    "repr is long": lambda: type("Evil", (), {"__repr__": lambda _: "x\n" * 10**5})(),
    "index raises": lambda: raiser("__index__"),
    "index raises TypeError": lambda: raiser("__index__", error=TypeError),
    "index recurses": lambda: raiser("__index__", error=RecursionError),
    "index lacks memory": lambda: raiser("__index__", error=MemoryError),
    "index is no int": lambda: type("Evil", (), {"__index__": lambda _: "1"})(),
    "index is huge": lambda: type("Evil", (), {"__index__": lambda _: 10**5000})(),
    "everything raises": lambda: raiser(*EVERYTHING),
    "getattr raises": lambda: raiser("__getattribute__"),
    "list whose len raises": lambda: raiser("__len__", base=list),
    "list whose iteration raises": lambda: raiser("__iter__", base=list),
    "list of which everything raises": lambda: raiser(*EVERYTHING, base=list),
    "tuple of which everything raises": lambda: raiser(*EVERYTHING, base=tuple),
    "text of which everything raises": lambda: raiser(*EVERYTHING, "__hash__", base=str),
    "int of which everything raises": lambda: raiser(*EVERYTHING, base=int),
    "list in a list": lambda: [raiser(*EVERYTHING, base=list)],
    "list that lies": Lying,
    "class raises": EvilClass,
    "metaclass raises": lambda: nameless()(),
    "class of a metaclass that raises": nameless,
    "array of two": lambda: np.array([1, 1]),
    "array of one float": lambda: np.array(1.5),
    "array of one boolean": lambda: np.array(True),
    "array of objects that raise": lambda: np.array([raiser("__repr__")]),
    "NaN": lambda: float("nan"),
    "unhashable": lambda: {1: []},
    "endless iterator": itertools.count,
}

ARGUMENTS = {
    convhub.conv2d: ({"input": X, "weight": W}, "bias stride padding dilation groups backend"),
    convhub.conv2d_backward: (
        {"grad_output": G, "input": X, "weight": W},
        "stride padding dilation groups output_mask backend",
    ),
    convhub.conv_transpose2d: (
        {"input": X, "weight": W},
        "bias stride padding output_padding groups dilation backend",
    ),
    convhub.conv_transpose2d_backward: (
        {"grad_output": np.ones((1, 4, 7, 7)), "input": X, "weight": W},
        "stride padding output_padding groups dilation output_mask backend",
    ),
}
PLACES = [
    (function, name)
    for function, (arrays, parameters) in ARGUMENTS.items()
    for name in (*arrays, *parameters.split())
]


def refused(function, *arguments, **named):
    """Assert that a call is refused by an error of convhub's own, in few words."""
    with pytest.raises((ValueError, TypeError)) as caught:
        function(*arguments, **named)
    assert isinstance(caught.value, convhub.ConvhubError), repr(caught.value)[:200]
    message = str(caught.value)
    assert len(message) < LONGEST
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("function", "name"), PLACES, ids=[f"{f.__name__}-{n}" for f, n in PLACES])
def test_every_argument_of_a_call(function, name):
    for what, make in HOSTILE.items():
        message = refused(function, **(ARGUMENTS[function][0] | {name: make()}))
        assert name in message, what


@pytest.mark.parametrize(("function", "name"), PLACES, ids=[f"{f.__name__}-{n}" for f, n in PLACES])
def test_every_argument_of_a_call_that_is_explained(function, name):
    for make in HOSTILE.values():
        arguments = ARGUMENTS[function][0] | {name: make()}
        if name == "grad_output" or (name == "backend" and type(arguments[name]) is str):
            continue  # which explain does not look at; and what it says of an unknown name is no error
        refused(convhub.explain, function, **arguments)


@pytest.mark.parametrize("what", HOSTILE)
def test_names_problems_and_devices(what):
    refused(convhub.explain, HOSTILE[what]())
    refused(convhub.explain, convhub.conv2d, HOSTILE[what](), W)
    refused(convhub.Problem.parse, HOSTILE[what]())
    refused(convhub.available_backends, HOSTILE[what]())
    with pytest.raises(convhub.ConvhubError) as caught, convhub.use_backend(HOSTILE[what]()):
        pass
    assert len(str(caught.value)) < LONGEST


@pytest.mark.parametrize("what", HOSTILE)
def test_every_field_of_a_problem(what):
    right = convhub.Problem("forward", 1, 4, 4, (5, 5), (3, 3))
    fields = list(convhub.Problem.__dataclass_fields__)
    for name in fields:
        given = {field: getattr(right, field) for field in fields} | {name: HOSTILE[what]()}
        assert name in refused(convhub.Problem, **given)


@pytest.mark.parametrize(
    "text",
    [
        "n1c4h5w5_k4r3s3_stride" + "1" * 5000,
        "n1c4h5w5_k4r3s3_pad" + "1" * 5000 + "x1",
        "n1c4h5w5_k4r3s3_groups" + "1" * 5000,
        "n" + "1" * 5000 + "c4h5w5_k4r3s3",
        "n1c4h5w5_k4r3s3_stride99999999999999999999",
        "n1c4h5w5_k4r3s3_" + "strid" * 10**5,
        "n1" * 10**5,
        "n1c4h5w5" + "_cuda" * 10**5,
        "\0",
    ],
    ids=lambda text: f"{text[:24]!r}",
)
def test_texts_of_problems_with_huge_numbers_and_parts(text):
    refused(convhub.Problem.parse, text)
    refused(convhub.explain, text)


def test_what_explain_is_given_beside_a_problem_or_instead_of_a_call():
    message = refused(convhub.explain, "n1c4h5w5_k4r3s3", 10**5000, stride=2)
    assert "takes only backend=" in message
    assert "missing a required argument: 'weight'" in refused(convhub.explain, convhub.conv2d, X)
    assert "conv2d does not take" in refused(convhub.explain, convhub.conv2d, X, W, strides=2)


def test_the_error_of_an_object_that_raises_is_the_cause():
    with pytest.raises(convhub.ArgumentTypeError, match=r"stride is .*, which raised ZeroDivisionError") as e:
        convhub.conv2d(X, W, stride=type("Odd", (), {"__index__": lambda _: 1 // 0})())
    assert isinstance(e.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_not_held_up_by_an_argument(error):
    with pytest.raises(error):
        convhub.conv2d(X, W, stride=raiser("__index__", error=error))
