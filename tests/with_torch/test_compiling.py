"""`torch.compile` calls convhub as it is, and traces none of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import convhub

LAYERS = 20


def many_layers():
    """Return a function of twenty different calls, written out, since torch skips loops."""
    lines = [
        f"    x = torch.tanh(convhub.conv2d(x * 2, weights[{i}], None, 1, (({i % 3}, {i % 2}), (1, 0)), "
        f"{1 + i % 2}, backend='numpy'))"
        for i in range(LAYERS)
    ]
    source = "\n".join(["def model(x, *weights):", *lines, "    return x.sum()"])
    scope = {"torch": torch, "convhub": convhub}
    exec(compile(source, "model.py", "exec"), scope)
    weights = [torch.randn(i + 2, i + 1, 1 + i % 3, 1 + i % 2).requires_grad_() for i in range(LAYERS)]
    return scope["model"], (torch.randn(1, 1, 9, 9), *weights)


@pytest.mark.filterwarnings("ignore")  # of torch's compiler, about its own future
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_many_layers_are_called_and_never_traced(backend):
    """A second function, so that what is seen does not depend on which test is first in its process."""
    from torch._dynamo import convert_frame
    from torch._dynamo.utils import counters

    function, arguments = many_layers()
    torch.compile(lambda x, w: convhub.conv2d(x, w), backend="eager")(*arguments[:2])
    torch._dynamo.reset()
    counters.clear()
    convert_frame.output_codes.clear()
    compiled = torch.compile(function, backend=backend)
    torch.testing.assert_close(compiled(*arguments), function(*arguments))
    mine = torch.autograd.grad(compiled(*arguments), arguments[1:])
    for one, right in zip(mine, torch.autograd.grad(function(*arguments), arguments[1:]), strict=True):
        torch.testing.assert_close(one, right)
    assert sum(counters["graph_break"].values()) == LAYERS, counters["graph_break"]
    files = [code.co_filename for code in (seen() for seen in convert_frame.output_codes.seen) if code]
    assert "model.py" in files
    assert not [file for file in files if "convhub" in file], files


def test_an_ordinary_call_does_not_import_the_compiler():
    code = (
        "import sys, torch, convhub; convhub.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2), "
        "backend='numpy'); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
