"""Lists sources of plugins, each with one fault, and convhub's messages about them."""

from __future__ import annotations

import importlib.metadata
from typing import NamedTuple

_PLUGIN = """
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from convhub.backend import Backend, Capabilities, hookimpl

convhub_contract = 1

{before}

def right(x, w):
    return np.einsum("nchwrs,kcrs->nkhw", sliding_window_view(x, w.shape[2:], (2, 3)), w)

def forward(x, w, bias, problem, options):
    {body}

@hookimpl
def convhub_backends():
    declared = dict(dtypes=("float64",), groups=False, stride=False, dilation=False, padding=False)
    capabilities = Capabilities(**(declared | dict({declares})))
    return [Backend({name!r}, capabilities, forward, {fields})]
"""


def plugin(body="return right(x, w)", *, name="mine", declares="", fields="", before=""):
    """Return the source of a plugin with one backend, which computes plain float64 problems correctly."""
    return _PLUGIN.format(body=body, name=name, declares=declares, fields=fields, before=before)


class Fault(NamedTuple):
    """A plugin `mine` of convhub-mine 1.2, and the error of a call that names its backend `mine`."""

    source: str
    error: str
    message: str


VERSION = importlib.metadata.version("convhub")
#: The one problem that every fault is shown on.
PROBLEM = "forward_float64_n1c1h4w4_k1r3s3"
WHO = "backend 'mine' (plugin 'mine' of convhub-mine 1.2)"
ORIGIN = "plugin 'mine' of convhub-mine 1.2"
NOT_LOADED = f"backend 'mine' (from argument): {ORIGIN} could not be loaded: "
DECLINES = f"backend 'mine' (from argument) does not run {PROBLEM}: "

#: Faults found when the plugin is loaded.
LOADING = {
    "an import that fails": Fault(
        "import mine_runtime",
        "PluginError",
        f"{NOT_LOADED}ModuleNotFoundError when it was loaded: No module named 'mine_runtime'",
    ),
    "another contract": Fault(
        plugin().replace("convhub_contract = 1", "convhub_contract = 2"),
        "PluginError",
        f"{NOT_LOADED}it was made for contract 2, and this convhub {VERSION} offers contract 1: upgrade "
        "convhub, or install a convhub-mine made for contract 1",
    ),
    "no contract": Fault(
        plugin().replace("convhub_contract = 1", ""),
        "PluginError",
        f"{NOT_LOADED}it does not say for which contract it was made, and this convhub {VERSION} offers "
        "contract 1: if that is the one, write convhub_contract = 1 beside its hooks",
    ),
    "a wrong declaration": Fault(
        plugin(declares="devices='cpu'"),
        "PluginError",
        f"{NOT_LOADED}its backend 'mine' declares devices 'cpu'; they must be a tuple of 'cpu' and 'cuda'",
    ),
}

#: Faults found when the backend is asked about itself.
ANSWERS = {
    "availability that raises": Fault(
        plugin(fields="availability=lambda: {}['driver']"),
        "BackendUnavailableError",
        f"{DECLINES}not available: its availability raised KeyError: 'driver' ({ORIGIN})",
    ),
    "availability that is no answer": Fault(
        plugin(fields="availability=lambda: None"),
        "BackendUnavailableError",
        f"{DECLINES}not available: its availability returned None; it must return True or a reason "
        f"({ORIGIN})",
    ),
    "supports that raises": Fault(
        plugin(fields="supports=lambda problem: problem.size"),
        "UnsupportedProblemError",
        f"{DECLINES}its supports raised AttributeError: 'Problem' object has no attribute 'size' ({ORIGIN})",
    ),
    "algorithm that is not a string": Fault(
        plugin(fields="algorithm=lambda problem, options: 5"),
        "BackendContractError",
        f"{WHO} returned the algorithm 5 for {PROBLEM}; it must be a string",
    ),
}

#: Faults always found when the backend is called.
CALLS = {
    "an error": Fault(
        plugin("return x[99]"),
        "BackendFailedError",
        f"{WHO} failed at {PROBLEM}: IndexError: index 99 is out of bounds for axis 0 with size 1",
    ),
    "a wrong shape": Fault(
        plugin("return np.zeros((2, 2))"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned an array of shape (2, 2); it must be (1, 1, 2, 2)",
    ),
    "a wrong dtype": Fault(
        plugin("return np.zeros(problem.output_shape, 'f4')"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned an array of dtype float32; it must be float64",
    ),
    "a view": Fault(
        plugin("return np.zeros(problem.output_shape[::-1]).T"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned a view; it must be a new array, contiguous and writable",
    ),
    "memory of an operand": Fault(
        plugin("return x.reshape(-1)[: np.prod(problem.output_shape)].reshape(problem.output_shape)"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned memory of one of its operands; it must be a new array",
    ),
    "no array": Fault(
        plugin("return [[0.0, 0.0], [0.0, 0.0]]"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned [[0.0, 0.0], [0.0, 0.0]] of type list; it must be an array of "
        "numpy",
    ),
}

FOUND = f'(found because check is on; `convhub verify "{PROBLEM}" --backend mine` shows more)'

#: Faults found when the backend is called with ``CONVHUB_CHECK=1``.
CHECKS = {
    "a wrong element": Fault(
        plugin("y = right(x, w); y[0, 0, 1, 1] += 0.5; return y"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned a wrong result: at (0, 0, 1, 1) it is 9.5, and must be within "
        f"2.2e-14 of 9.0; 1 of 4 checked elements is wrong {FOUND}",
    ),
    "an operand that is changed": Fault(
        plugin("y = right(x, w); x[0, 0, 0, 3] = 0; return y"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and changed its operand input, at (0, 0, 0, 3) {FOUND}",
    ),
    "memory that is used again": Fault(
        plugin(
            "kept.setdefault(0, np.empty(problem.output_shape))[:] = right(x, w); return kept[0]",
            before="kept = {}",
        ),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned the memory of an earlier result; it must be a new array {FOUND}",
    ),
    "different bits for the same call": Fault(
        plugin("calls.append(0); return right(x, w) * (1 + len(calls) * 2**-52)", before="calls = []"),
        "BackendContractError",
        f"{WHO} ran {PROBLEM} and returned different bits for the same call: at (0, 0, 0, 0) first "
        f"9.000000000000004, then 9.000000000000005; it declares deterministic = True {FOUND}",
    ),
}
