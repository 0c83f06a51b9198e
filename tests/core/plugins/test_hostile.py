"""Plugins that exit, raise what is no Exception, never end or say too much: refused, and nobody else hurt."""

from __future__ import annotations

import numpy as np
import pytest
from support.faulty_plugins import PROBLEM, plugin

import convhub
from convhub import plugins

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))

LONGEST = 2000

EVIL = """
import sys
class Odd(BaseException):
    pass
def fails(*_, **__):
    raise {error}
class Evil:
    __repr__ = __len__ = __iter__ = __index__ = __bool__ = __eq__ = __getattr__ = fails
class Meta(type):
    __name__ = property(fails)
    __getattr__ = fails
class Nameless(metaclass=Meta):
    pass
class ClassFails:
    __class__ = property(fails)
class Text(str):
    __len__ = __bool__ = __str__ = __repr__ = __eq__ = __hash__ = splitlines = strip = fails
class Lying(BaseException):
    __str__ = __repr__ = fails
"""
ERRORS = ["SystemExit(3)", "sys.exit()", "Odd('of pebbles')", "GeneratorExit", "MemoryError", "Lying()"]


def refused(backend="mine"):
    """Assert that a call is refused by an error about a backend, and that others go on; return its text."""
    with pytest.raises(convhub.BackendError) as caught:
        convhub.conv2d(X, W, backend=backend)
    message = str(caught.value)
    assert len(message) < LONGEST
    assert len(str(convhub.explain(PROBLEM))) < 3 * LONGEST
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    return message


@pytest.mark.parametrize("error", ERRORS)
def test_what_an_import_raises(install, error):
    install("mine", EVIL.format(error=error) + "fails()\n")
    assert "when it was loaded" in refused()
    (failure,) = plugins.registry().failures
    assert failure.origin.plugin == "mine"


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "field", ["availability=fails", "supports=fails", "algorithm=fails", "options=Options, algorithm=fails"]
)
def test_what_a_backend_raises_when_it_is_asked(install, error, field):
    source = "import dataclasses\n@dataclasses.dataclass\nclass Options:\n    __post_init__ = fails\n"
    install("mine", plugin(fields=field, before=EVIL.format(error=error) + source))
    message = refused()
    assert "plugin 'mine' of convhub-mine 1.2" in message


@pytest.mark.parametrize("error", ERRORS)
def test_what_a_backend_raises_when_it_is_asked_for_its_accuracy(install, error, monkeypatch):
    install(
        "mine",
        plugin(declares="accuracy='normwise'", fields="accuracy=fails", before=EVIL.format(error=error)),
    )
    monkeypatch.setenv("CONVHUB_ACCURACY", "strict")
    assert "could not name its accuracy class" in refused()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Evil()", "(a Evil that cannot be shown: "),
        ("Nameless()", "(a Nameless that cannot be shown: "),
        ("ClassFails()", "ClassFails object"),
        ("10**5000", "an integer of about 5001 digits"),
        ("[[]] * 10**6", "[[], [], "),
        ("'no\\n' * 10**6", "no no no no"),
        ("Text('not on Sundays')", "not on Sundays"),
        ("Text('')", "that cannot be shown"),
        ("' \\n '", "it must return True or a reason"),
    ],
)
@pytest.mark.parametrize("field", ["availability", "supports"])
def test_answers_that_cannot_be_shown_or_are_long(install, field, answer, words):
    install("mine", plugin(fields=f"{field}=lambda *_: {answer}", before=EVIL.format(error="SystemExit")))
    message = refused()
    assert words in message
    assert "\n" not in message


def test_the_name_of_an_algorithm_is_one_short_line(install):
    long = "lambda *_: 'fast\\n' * 10**6"
    install("mine", plugin(fields=f"algorithm={long}"))
    (part,) = convhub.explain(PROBLEM, backend="mine").parts
    assert part.algorithm.startswith("fast fast fast ")
    assert len(part.algorithm) < 300
    assert convhub.conv2d(X, W, backend="mine")[0, 0, 0, 0] == 9


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("\n    while True: yield 3", "returned more than 1000 backends, and may have no end"),
        ("return __import__('itertools').count()", "returned more than 1000 backends, and may have no end"),
        ("return [Backend('mine', Evil(), None)]", "(a Backend that cannot be shown: "),
        ("return [Evil()]", "(a Evil that cannot be shown: "),
        ("return [ClassFails()]", "ClassFails object"),
        ("return Evil()", "from its convhub_backends(): "),
        ("return [Nameless]", "returned <class 'mine.Nameless'>, which is not a"),
        ("return [Backend(Evil(), Capabilities(dtypes=()))]", "is named (a Evil that cannot"),
        ("return [Backend('m' * 10**6, Capabilities(dtypes=()))]", "a name has at most 60 characters"),
        ("return [Backend(Text('mine'), Capabilities(dtypes=()))]", "lowercase letters"),
        ("return [Backend('mine', Capabilities(dtypes=Evil()))]", "declares dtypes (a Evil"),
        ("return [Backend('mine', Capabilities(dtypes=(), devices=(Evil(),)))]", "the declaration"),
        ("return [Backend('mine', Capabilities(dtypes=(), groups=Evil()))]", "declares groups (a Evil"),
        ("return [Backend('mine', Capabilities(dtypes=(), arrays=Evil()))]", "the declaration"),
        (
            "return [Backend('mine', Capabilities(dtypes=()), summary='two\\nlines')]",
            "must be a string of one line",
        ),
        (
            "return [Backend('mine', Capabilities(dtypes=()), summary='x' * 10**6)]",
            "must be a string of one line",
        ),
        ("return [Backend('mine', Capabilities(dtypes=()), preference=Evil())]", "preference (a Evil"),
        (
            "return [Backend('mine', Capabilities(dtypes=()), kernel_cache=Evil())]",
            "declares kernel_cache (a Evil",
        ),
        (
            "return [Backend('mine', Capabilities(dtypes=()), kernel_cache=KernelCache("
            "folder=str, entries=list, remove=len, read=Evil(), write=len))]",
            "declares a kernel_cache whose read is (a Evil",
        ),
        ("fails()", "from its convhub_backends(): "),
    ],
)
@pytest.mark.parametrize("error", ["SystemExit(3)", "ValueError('of pebbles ' * 10**5)"])
def test_what_a_plugin_brings(install, body, words, error):
    source = (
        "convhub_contract = 1\nfrom convhub.backend import Backend, Capabilities, KernelCache, hookimpl\n"
    )
    install("mine", f"{source}{EVIL.format(error=error)}\n@hookimpl\ndef convhub_backends():\n    {body}\n")
    assert words in refused()


@pytest.mark.parametrize("contract", ["10**5000", "'x' * 10**6", "Evil()", "ClassFails()"])
def test_contracts_that_cannot_be_shown_or_are_huge(install, contract):
    source = plugin(before=EVIL.format(error="SystemExit"))
    install("mine", source + f"\nconvhub_contract = {contract}\n")
    assert "convhub_contract = " in refused() or "contract an integer of about 5001 digits" in refused()


HOOKS = """
from convhub.backend import hookimpl
convhub_contract = 1
@hookimpl
def convhub_choose(problem, candidates):
    return {choice}
@hookimpl
def convhub_called(event):
    {seen}
"""


@pytest.mark.parametrize("error", ERRORS)
def test_observers_that_exit(install, error, caplog):
    install("policy", EVIL.format(error=error) + HOOKS.format(choice="'naive'", seen="fails()"))
    assert convhub.conv2d(X, W)[0, 0, 0, 0] == 9
    assert "convhub_called of plugin 'policy' of convhub-policy 1.2 failed at" in caplog.text


@pytest.mark.parametrize("error", ERRORS)
def test_choices_that_exit(install, error):
    install("other", EVIL.format(error=error) + HOOKS.format(choice="fails()", seen="pass"))
    with pytest.raises(convhub.BackendContractError, match="convhub_choose of plugin"):
        convhub.conv2d(X, W)


@pytest.mark.parametrize("choice", ["Evil()", "Nameless()", "ClassFails()", "'x' * 10**6", "Text('naive')"])
def test_choices_that_cannot_be_shown(install, choice):
    install("policy", EVIL.format(error="SystemExit") + HOOKS.format(choice=choice, seen="pass"))
    with pytest.raises(convhub.BackendContractError, match="it must return one of") as caught:
        convhub.conv2d(X, W)
    assert len(str(caught.value)) < LONGEST


@pytest.mark.parametrize(
    "result", ["Evil()", "Nameless()", "ClassFails()", "10**5000", "Shapeless(problem.output_shape)"]
)
def test_results_that_cannot_be_read(install, result):
    shapeless = "class Shapeless(np.ndarray):\n    shape = property(fails)\n"
    install(
        "mine", plugin(f"return {result}", before=EVIL.format(error="ValueError('of pebbles')") + shapeless)
    )
    with pytest.raises(convhub.BackendContractError) as caught:
        convhub.conv2d(X, W, backend="mine")
    assert "backend 'mine' (plugin 'mine' of convhub-mine 1.2) ran" in str(caught.value)
    assert len(str(caught.value)) < LONGEST


def test_long_texts_of_errors_are_cut_and_the_cause_has_all(install):
    install("mine", plugin("raise ValueError('of pebbles ' * 10**5)"))
    with pytest.raises(convhub.BackendFailedError) as caught:
        convhub.conv2d(X, W, backend="mine")
    assert "... (1100000 characters)" in str(caught.value)
    assert len(str(caught.value)) < LONGEST
    assert len(str(caught.value.__cause__)) == 1_100_000


@pytest.mark.parametrize("where", ["import", "availability", "supports", "convhub_backends", "policy"])
def test_ctrl_c_is_never_held_up(install, where):
    interrupt = "    raise KeyboardInterrupt\n"
    if where == "import":
        install("mine", "raise KeyboardInterrupt")
    elif where == "policy":
        install("mine", HOOKS.format(choice="fails()", seen="pass") + f"def fails():\n{interrupt}")
    elif where == "convhub_backends":
        source = "convhub_contract = 1\nfrom convhub.backend import hookimpl\n"
        install("mine", f"{source}@hookimpl\ndef convhub_backends():\n{interrupt}")
    else:
        install("mine", plugin(fields=f"{where}=fails", before=f"def fails(*_):\n{interrupt}"))
    if where == "availability":  # asked in a thread of its own, where no Ctrl-C arrives
        assert "raised KeyboardInterrupt" in refused()
        return
    with pytest.raises(KeyboardInterrupt):
        convhub.conv2d(X, W, backend=None if where == "policy" else "mine")
    with pytest.raises(KeyboardInterrupt):  # and nothing is left half done
        convhub.conv2d(X, W, backend=None if where == "policy" else "mine")
