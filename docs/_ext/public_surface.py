"""Lists every public name of convhub: what is promised, by the module that callers and authors take it from.

The reference pages describe each, and nothing else; `public_names` has the build warn where they do not.
``tests/core/test_public_surface.py`` holds the modules, and what backends may import, to this list.
"""

from __future__ import annotations

__all__ = ["FOR_AUTHORS", "PUBLIC"]

#: The modules that a backend may import; ``pyproject.toml`` forbids it all others.
FOR_AUTHORS = (
    "convhub.backend",
    "convhub.conformance",
    "convhub.errors",
    "convhub.hookspecs",
    "convhub.plugins",
)

ERRORS = (
    "ArgumentError",
    "ArgumentTypeError",
    "BackendContractError",
    "BackendError",
    "BackendFailedError",
    "BackendUnavailableError",
    "ConfigurationError",
    "ConvhubError",
    "DtypeError",
    "MixedArraysError",
    "OutOfMemoryError",
    "PluginError",
    "ShapeError",
    "UnknownBackendError",
    "UnsupportedProblemError",
)

PUBLIC: dict[str, tuple[str, ...]] = {
    "convhub": (
        *ERRORS,
        "Explanation",
        "Gradients",
        "Part",
        "Problem",
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
    ),
    "convhub.backend": (
        "CONTRACT",
        "Accuracy",
        "Answer",
        "Array",
        "ArrayLibrary",
        "Backend",
        "CachedKernel",
        "Capabilities",
        "HelperProfile",
        "KernelCache",
        "KernelProfile",
        "Problem",
        "RunOptions",
        "apart",
        "bounded_cache",
        "hookimpl",
        "python_command",
    ),
    "convhub.conformance": ("conformance_cases",),
    "convhub.conformance.verify": ("Finding", "verify"),
    "convhub.errors": ERRORS,
    "convhub.hookspecs": (
        "CallEvent",
        "convhub_backends",
        "convhub_called",
        "convhub_choose",
        "hookimpl",
        "hookspec",
    ),
    "convhub.plugins": ("Failure", "Origin", "register", "unregister"),
    "convhub.typing": ("Array", "ArrayT", "Mask", "Padding", "Steps"),
}
