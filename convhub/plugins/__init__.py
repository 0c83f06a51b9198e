"""Finds, loads and names plugins; those made by hand are registered here."""

from .loading import BY_HAND, Failure, Origin
from .registering import (
    Hook,
    LeftOut,
    RegisteredBackend,
    Registry,
    normalized,
    register,
    registry,
    unregister,
)

__all__ = [
    "BY_HAND",
    "Failure",
    "Hook",
    "LeftOut",
    "Origin",
    "RegisteredBackend",
    "Registry",
    "normalized",
    "register",
    "registry",
    "unregister",
]
