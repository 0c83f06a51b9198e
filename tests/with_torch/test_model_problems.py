"""The problems of a torch model are those of one run, forward and backward, without its numbers."""

from __future__ import annotations

import re
import sys

import pytest
import torch
from torch import nn

import convhub
from convhub.ahead.model import input_shape, made_model, problems_of_model
from convhub.errors import ArgumentError
from convhub.problem import Problem
from convhub.torch import operators


class Ours(nn.Conv2d):
    """A layer that calls convhub, as the tutorial's does."""

    def forward(self, x):
        return convhub.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def problems(*texts):
    return [Problem.parse(text) for text in texts]


FIRST = "n2c3h9w8_k4r3s3_stride2_pad1"
SECOND = "n2c4h5w4_k4r3s2_dilation1x2_groups2"


def layers(kind=nn.Conv2d):
    return nn.Sequential(
        kind(3, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        kind(4, 4, (3, 2), dilation=(1, 2), groups=2),
    )


@pytest.mark.parametrize("kind", [nn.Conv2d, Ours])
def test_training_needs_no_gradient_for_the_networks_input(kind):
    found = problems_of_model(layers(kind), None, (2, 3, 9, 8), backward=True)
    expected = problems(
        *(f"forward_{each}" for each in (FIRST, SECOND)),
        f"grad_input_{SECOND}",
        *(f"grad_weight_{each}" for each in (SECOND, FIRST)),
    )
    assert set(found) == set(expected)
    assert found[:2] == expected[:2]


@pytest.mark.parametrize("kind", [nn.Conv2d, Ours])
def test_inference_needs_forward_alone(kind):
    found = problems_of_model(layers(kind), None, (2, 3, 9, 8), backward=False)
    assert found == problems(f"forward_{FIRST}", f"forward_{SECOND}")


def test_frozen_layers_need_no_gradient_for_their_weight():
    model = layers().double()
    for parameter in model[3].parameters():
        parameter.requires_grad_(False)
    found = problems_of_model(model, None, (2, 3, 9, 8), backward=True)
    gradients = [problem for problem in found if problem.primitive != "forward"]
    assert set(gradients) == set(problems(f"grad_input_float64_{SECOND}", f"grad_weight_float64_{FIRST}"))


def test_a_transposed_layer():
    layer = nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=1, output_padding=1, groups=2)
    x = torch.ones(2, 4, 5, 4, requires_grad=True)
    found = problems_of_model(layer, x, None, backward=True)
    explained = convhub.explain(
        convhub.conv_transpose2d,
        x.detach(),
        layer.weight.detach(),
        stride=2,
        padding=1,
        output_padding=1,
        groups=2,
    )
    assert found[0] == explained.parts[0].problem
    assert [problem.primitive for problem in found] == ["grad_input", "forward", "grad_weight"]


def test_a_gradient_for_an_input_that_asks_for_it():
    weight = nn.Parameter(torch.ones(4, 3, 3, 3))

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = weight

        def forward(self, x, scale):
            return {"out": [nn.functional.conv_transpose2d(x * scale, self.weight)], "scale": scale}

    example = {"x": torch.ones(1, 4, 5, 5), "scale": torch.ones(1, requires_grad=True)}
    found = problems_of_model(Twice(), example, None, backward=True)
    assert [problem.primitive for problem in found] == ["grad_input", "forward", "grad_weight"]
    assert weight.grad is None


def test_the_model_is_left_as_it_is():
    model = layers()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    problems_of_model(model, None, (2, 3, 9, 8), backward=True)
    for name, value in model.state_dict().items():
        assert type(value) is torch.Tensor
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_layer_of_any_size_takes_no_memory():
    found = problems_of_model(nn.Conv2d(64, 64, 3), None, (4096, 64, 4096, 4096), backward=True)
    assert found[0] == Problem.parse("forward_n4096c64h4096w4096_k64r3s3")


def test_operators_have_a_problem_each():
    assert set(operators.OPERATORS) == {"forward", "grad_input", "grad_weight"}


class Reads(nn.Module):
    def forward(self, x):
        return x if x.sum().item() > 0 else -x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Reads(), "the model cannot run on tensors without data: .*give the log to --from-log"),
        (nn.Linear(3, 4), "the model ran no 2-D convolution"),
        (nn.Conv2d(4, 4, 3), "cannot run on tensors without data: .*expected input"),
        (nn.Conv1d(3, 4, 1), "the model ran no 2-D convolution"),
    ],
)
def test_a_model_that_tells_nothing(model, words):
    shape = (2, 3, 3) if isinstance(model, nn.Linear | nn.Conv1d) else (2, 3, 9, 8)
    with pytest.raises(ArgumentError, match=words):
        problems_of_model(model, None, shape, backward=True)


@pytest.mark.parametrize("text", ["", "3", "8x3x224x224"])
def test_shapes(text):
    if text:
        assert input_shape(text) == tuple(map(int, text.split("x")))
        return
    for wrong in ("", "8x", "x", "0x3", "8,3", "-1x3", "8x3 "):
        with pytest.raises(
            ArgumentError, match=f"--input is {wrong!r}; it must be a shape such as 8x3x224x224"
        ):
            input_shape(wrong)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "mynet.py").write_text(
        "import torch\n"
        "class Maker:\n    build = staticmethod(lambda: torch.nn.Conv2d(1, 1, 3))\n"
        "def pair():\n    return torch.nn.Conv2d(1, 1, 3), torch.ones(1, 1, 4, 4)\n"
        "def fails():\n    raise KeyError('checkpoint')\n"
        "def number():\n    return 5\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != ""])
    yield
    sys.modules.pop("mynet", None)


@pytest.mark.usefixtures("module")
def test_a_factory_in_the_working_directory():
    assert made_model("mynet:Maker.build")[1] is None
    model, example = made_model("mynet:pair")
    assert isinstance(model, nn.Conv2d)
    assert example.shape == (1, 1, 4, 4)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mynet", "it must be module:factory"),
        (":pair", "it must be module:factory"),
        ("nonet:pair", "cannot be imported: ModuleNotFoundError: No module named 'nonet'"),
        ("mynet:pear", "cannot be imported: AttributeError: "),
        ("mynet:fails", "which raised KeyError: 'checkpoint'"),
        ("mynet:number", "which made 5; it must return a torch.nn.Module"),
    ],
)
def test_a_factory_that_makes_no_model(name, words):
    with pytest.raises(ArgumentError, match=f"--model is '{name}'.*{re.escape(words)}"):
        made_model(name)
