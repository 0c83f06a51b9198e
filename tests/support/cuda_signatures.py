"""Reads the parameters of CUDA kernels from their text, and compares a launch's arguments with them."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from convhub_cupy import launch, launch_tensor_cores
from convhub_cupy.plan.variants import DTYPES

INCLUDE = re.compile(r'^#include "([^"]+)"$', re.MULTILINE)
DEFINE = re.compile(r"^#define (\w+)(?:\((\w+)\))? (.*)$", re.MULTILINE)
KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]*\)\s*)?(\w+)\(([^{]*)\)\s*\{')
PARAMETER = re.compile(r"(const )?([\w ]+?) ?(\*(?:__restrict__ )?)?(\w+)")


class Parameter(NamedTuple):
    """A parameter of a kernel: its name, its C++ type, and whether it is a pointer to that."""

    name: str
    type: str
    pointer: bool

    def __str__(self) -> str:
        return f"{self.type} {'*' * self.pointer}{self.name}"


def note_launches(monkeypatch):
    """Return a list to which each launch appends its source and its arguments by name."""
    noted, real = [], launch.launch_kernel

    def note(call, kernel, index, given):
        noted.append((kernel.source(call.problem.dtype, index.name), given))
        real(call, kernel, index, given)

    for module in (launch, launch_tensor_cores):
        monkeypatch.setattr(module, "launch_kernel", note)
    return noted


def parameters(source, folder):
    """Return the parameters of a variant of a kernel, by its text and that of the files it includes."""
    text = _included(folder / source.file, set())
    text = re.sub(r"//[^\n]*", "", text).replace("\\\n", " ")
    macros = {name: (argument, body) for name, argument, body in DEFINE.findall(text)}
    macros |= {name: ("", body) for name, body in (option[2:].split("=") for option in source.options)}
    (listed,) = (found for name, found in KERNEL.findall(text) if name == source.name)
    return [_parameter(each) for each in " ".join(_expanded(listed, macros).split()).split(", ")]


def _included(path: Path, seen: set[Path]) -> str:
    if path in seen:
        return ""
    seen.add(path)
    return INCLUDE.sub(lambda found: _included(path.parent / found[1], seen), path.read_text())


def _expanded(text, macros):
    """Return a list of parameters with macros expanded: those without arguments, and ``AXIS(name)``."""
    before = None
    while text != before:
        before = text
        for name, (argument, body) in macros.items():
            if argument:
                for given in re.findall(rf"\b{name}\((\w+)\)", text):
                    text = text.replace(f"{name}({given})", body.replace(f"{argument}##", given))
            else:
                text = re.sub(rf"\b{name}\b", lambda _, body=body: body, text)
    return text


def _parameter(text):
    found = PARAMETER.fullmatch(text)
    assert found, f"no parameter of a kernel: {text!r}"
    return Parameter(found[4], found[2], found[3] is not None)


def given(name, value):
    """Return the parameter that an argument is for; the type of a null pointer is not known."""
    if value is None:
        return Parameter(name, "", True)
    if isinstance(value, np.ndarray):
        return Parameter(name, DTYPES[value.dtype.name][0], True)
    scalars = {np.int32: "int", np.int64: "long long", np.float32: "float", np.float64: "double"}
    return Parameter(name, scalars[type(value)], False)


def differences(arguments, taken):
    """Return the faults of a launch's arguments, in the order in which the kernel reads them."""
    if len(arguments) != len(taken):
        return [f"{len(arguments)} arguments, and the kernel takes {len(taken)}"]
    pairs = [
        (given(name, value), parameter)
        for (name, value), parameter in zip(arguments.items(), taken, strict=True)
    ]
    return [
        f"argument {number} is {argument}, and the kernel takes {parameter}"
        for number, (argument, parameter) in enumerate(pairs)
        if argument != (parameter._replace(type="") if arguments[argument.name] is None else parameter)
    ]
