"""Wrong calls, in each line of which a checker finds an error, of the kind that stands at its end."""

import numpy as np
import torch

import convhub

x = np.ones((1, 3, 8, 8), np.float32)
w = np.ones((4, 3, 3, 3), np.float32)
t = torch.ones(1, 3, 8, 8)

convhub.conv2d(x, w, stride="2")  # arg-type
convhub.conv2d(x, w, stride=1.5)  # arg-type
convhub.conv2d(x, w, dilation=None)  # arg-type
convhub.conv2d(x, w, padding="sam")  # arg-type
convhub.conv2d(x, w, padding=((1, 1, 1), (1, 1)))  # arg-type
convhub.conv2d(x, w, groups="2")  # arg-type
convhub.conv2d(x, w, groups=(1, 1))  # arg-type
convhub.conv2d(x, w, backend=3)  # arg-type
convhub.conv2d([[1.0]], w)  # type-var
convhub.conv2d(x, None)  # type-var
convhub.conv2d(3, w)  # type-var
convhub.conv2d(np.float32(1), w)  # type-var
convhub.conv_transpose2d(x, w, padding="same")  # arg-type
convhub.conv_transpose2d(x, w, output_padding=1.0)  # arg-type
convhub.conv2d_backward(x, x, w, output_mask=(1, 1, 1))  # arg-type
print(convhub.conv2d_backward(t, t, t).weights)  # attr-defined
wrong: int = convhub.conv2d(x, w)  # assignment
other: list[float] = convhub.conv2d(t, t)  # assignment
