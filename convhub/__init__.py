"""2-D convolution, transposed convolution and all their gradients, on the engine of your choice."""

import typing as _typing

from .api import Gradients, conv2d, conv2d_backward, conv_transpose2d, conv_transpose2d_backward
from .config import reload_settings
from .context import settings, use_backend
from .dispatch.candidates import Verdict, available_backends
from .errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendContractError,
    BackendError,
    BackendFailedError,
    BackendUnavailableError,
    ConfigurationError,
    ConvhubError,
    DtypeError,
    MixedArraysError,
    OutOfMemoryError,
    PluginError,
    ShapeError,
    UnknownBackendError,
    UnsupportedProblemError,
)
from .explanation import Explanation, Part, explain
from .problem import Problem

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BackendContractError",
    "BackendError",
    "BackendFailedError",
    "BackendUnavailableError",
    "ConfigurationError",
    "ConvhubError",
    "DtypeError",
    "Explanation",
    "Gradients",
    "MixedArraysError",
    "OutOfMemoryError",
    "Part",
    "PluginError",
    "Problem",
    "ShapeError",
    "UnknownBackendError",
    "UnsupportedProblemError",
    "Verdict",
    "__version__",
    "available_backends",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "conv_transpose2d_backward",
    "explain",
    "reload_settings",
    "settings",
    "use_backend",
]

__version__: str

if not _typing.TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> str:
        """Read `__version__` from the installed metadata, which takes longer than all other imports."""
        if name == "__version__":
            from .system.versions import version_of

            return version_of("convhub")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
