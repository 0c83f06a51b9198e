"""Right calls, as a checker sees them: no error, and results of the type of what came in."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import torch

import convhub
from convhub.typing import ArrayT, Steps

Array = npt.NDArray[np.float32]

x: Array = np.ones((1, 3, 8, 8), np.float32)
w: Array = np.ones((4, 3, 3, 3), np.float32)
t = torch.ones(1, 3, 8, 8)
layer = torch.nn.Conv2d(3, 4, 3)

assert_type(convhub.conv2d(x, w), Array)
assert_type(convhub.conv2d(x, w, None, 2, (1, 1), [1, 1], 1, backend="numpy"), Array)
assert_type(convhub.conv2d(t, layer.weight, layer.bias, layer.stride, groups=layer.groups), torch.Tensor)
assert_type(convhub.conv_transpose2d(t, t, stride=(2,), output_padding=1, dilation=2), torch.Tensor)
assert_type(convhub.conv2d_backward(t, t, t, output_mask=(True, False, True)).weight, torch.Tensor | None)
assert_type(convhub.conv_transpose2d_backward(x, x, x, padding=[1, 2]).bias, Array | None)

convhub.conv2d(x, w, padding="same", stride=np.int64(1), groups=np.int8(1))
convhub.conv2d(x, w, padding=((0, 1), (1, 1)))
convhub.conv2d(x, w, padding=[[0, 1], [1, 1]])
convhub.conv2d(x, w, padding=[(0, 1), (1, 1)])


def blur(image: ArrayT, weight: ArrayT, stride: Steps = 1) -> ArrayT:
    """Return what a function of the caller's own returns, whichever library it is called with."""
    return convhub.conv2d(image, weight, stride=stride, padding="same")


assert_type(blur(t, t), torch.Tensor)
assert_type(blur(x, x), Array)


@convhub.use_backend("numpy")
def named(image: Array) -> Array:
    """Return what a decorated function returns."""
    return convhub.conv2d(image, image)


assert_type(named(x), Array)

#: Of a library without types, such as CuPy.
untyped: Any = None
assert_type(convhub.conv2d(untyped, untyped), Any)
