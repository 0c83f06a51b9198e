"""Finds, loads and names plugins, and registers those made by hand.

The names in ``__all__`` are public; the others serve convhub's own modules.
"""

from .loading import BY_HAND as BY_HAND
from .loading import Failure, Origin
from .registering import Hook as Hook
from .registering import LeftOut as LeftOut
from .registering import RegisteredBackend as RegisteredBackend
from .registering import Registry as Registry
from .registering import normalized as normalized
from .registering import register, unregister
from .registering import registry as registry

__all__ = ["Failure", "Origin", "register", "unregister"]
