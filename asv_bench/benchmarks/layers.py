"""Times one layer of each class, and small layers that Python loops can compute too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import common


class TimeLayers:
    """A call of convhub's public functions, like a user's, or of torch's own."""

    param_names = ("backend", "primitive", "layer", "dtype")
    params = (common.FAST_ROWS, list(common.PRIMITIVES), list(common.LAYERS), list(common.DTYPES))
    timeout = 300  # seconds; where nothing is compiled yet, the first call is most of it

    number, repeat, warmup_time = common.NUMBER, common.REPEAT, common.WARMUP
    call: Callable[[], Any]

    def setup(self, backend: str, primitive: str, layer: str, dtype: str) -> None:
        """Make the operands and call once."""
        self.call = common.ready(backend, common.layer(layer, primitive, dtype))

    def time_call(self, backend: str, primitive: str, layer: str, dtype: str) -> None:
        """Time it."""
        self.call()


class TimeSmallLayers:
    """Layers that are also fast in Python loops, so that every row has a time.

    "small" has 14 400 multiply-accumulates; the time of "tiny" is nearly all overhead of convhub.
    """

    param_names = ("backend", "primitive", "layer")
    params = (common.ROWS, list(common.PRIMITIVES), list(common.SMALL_LAYERS))
    timeout = 300

    number, repeat, warmup_time = common.NUMBER, common.REPEAT, common.WARMUP
    call: Callable[[], Any]

    def setup(self, backend: str, primitive: str, layer: str) -> None:
        """Make the operands and call once."""
        self.call = common.ready(backend, common.small_layer(layer, primitive))

    def time_call(self, backend: str, primitive: str, layer: str) -> None:
        """Time it."""
        self.call()
