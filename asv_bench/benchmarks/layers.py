"""The time of one layer of each class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import common


class TimeLayers:
    """A call by convhub's public functions, as a user makes it, or by torch's own."""

    param_names = ("backend", "primitive", "layer", "dtype")
    params = (common.FAST_ROWS, list(common.PRIMITIVES), list(common.LAYERS), list(common.DTYPES))
    timeout = 300  # seconds; where nothing is compiled yet, the first call is most of it

    number: int
    call: Callable[[], Any]

    def setup(self, backend: str, primitive: Any, layer: str, dtype: str) -> None:
        """Make the operands and call once.

        asv takes one call for a sample where there is a setup; so the count that fills its usual 10 ms is
        set here.
        """
        chosen = common.layer(layer, primitive, dtype)
        common.refuse_what_is_declined(backend, chosen.problem)
        self.call = common.prepared(backend, chosen)
        self.number = common.calls_within(self.call, 0.01)

    def time_call(self, backend: str, primitive: str, layer: str, dtype: str) -> None:
        """Time it."""
        self.call()
