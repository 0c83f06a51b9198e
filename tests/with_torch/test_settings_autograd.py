"""`convhub.settings` around calls whose gradients are computed elsewhere."""

from __future__ import annotations

import dataclasses
import threading
import types

import torch
from support import toy_backend

import convhub
from convhub import plugins
from convhub.backend import hookimpl


def test_gradients_are_computed_under_the_settings_of_their_call():
    threads = []

    def grad_input(*args):
        threads.append(args[-1].threads)
        return toy_backend.grad_input(*args)

    watched = dataclasses.replace(toy_backend.toy, name="watched", grad_input=grad_input)
    plugin = types.SimpleNamespace(convhub_backends=hookimpl(lambda: [watched]))
    plugins.register(plugin, "watched")
    try:
        x = torch.ones(1, 1, 4, 4, requires_grad=True)
        with convhub.settings(threads=3):
            first = convhub.conv2d(x, torch.ones(1, 1, 3, 3), backend="watched")
        second = convhub.conv2d(x, torch.ones(1, 1, 3, 3), backend="watched")
        # A thread knows nothing of the block, as those of the autograd engine on a GPU do not.
        thread = threading.Thread(target=first.sum().backward)
        thread.start()
        thread.join()
        with convhub.settings(threads=2):
            second.sum().backward()
    finally:
        plugins.unregister("watched")
    assert threads == [3, 2]
