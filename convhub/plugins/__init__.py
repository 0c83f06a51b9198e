"""Finds, loads and names plugins; those made by hand are registered here.

Public are the names in ``__all__``; the others serve convhub's own modules.
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
