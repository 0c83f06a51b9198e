from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

import convhub

X, W = np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3))


def chosen():
    return convhub.explain(convhub.conv2d, X, W).backend


def test_blocks_nest_and_end_with_an_error():
    default = chosen()
    with convhub.use_backend("naive"):
        assert chosen() == "naive"
        with pytest.raises(ZeroDivisionError), convhub.use_backend("numpy"):
            assert chosen() == "numpy"
            raise ZeroDivisionError
        assert chosen() == "naive"
    assert chosen() == default


def test_one_object_may_be_entered_again_and_by_others():
    naive = convhub.use_backend("naive")
    with naive, convhub.use_backend("numpy"), naive:
        assert chosen() == "naive"

    @naive
    def recursive(depth):
        return chosen() if depth == 0 else recursive(depth - 1)

    assert recursive(3) == "naive"


def test_other_threads_are_not_concerned():
    default, seen = chosen(), []
    with convhub.use_backend("naive"):
        thread = threading.Thread(target=lambda: seen.append(chosen()))
        thread.start()
        thread.join()
    assert seen == [default]


def test_tasks_keep_their_own():
    async def task(name, barrier):
        with convhub.use_backend(name):
            await barrier.wait()
            return chosen()

    @convhub.use_backend("naive")
    async def decorated():
        await asyncio.sleep(0)
        return chosen()

    async def main():
        barrier = asyncio.Barrier(2)
        both = await asyncio.gather(task("naive", barrier), task("numpy", barrier))
        return [*both, await decorated(), chosen()]

    default = chosen()
    assert asyncio.run(main()) == ["naive", "numpy", "naive", default]


def test_decorated_functions_keep_their_name():
    @convhub.use_backend("naive")
    def blur(image):
        """Blur."""
        return chosen()

    assert (blur.__name__, blur.__doc__, blur(X)) == ("blur", "Blur.", "naive")


def test_generators_are_refused():
    def generator():
        yield 1

    with pytest.raises(TypeError, match="put the with block inside"):
        convhub.use_backend("naive")(generator)


def test_leaving_out_of_order_takes_away_its_own():
    def generator():
        with convhub.use_backend("naive"):
            yield

    suspended = generator()
    next(suspended)
    with convhub.use_backend("numpy"):
        suspended.close()
        assert chosen() == "numpy"


@pytest.mark.parametrize("name", [None, 3, b"naive", ["naive"]])
def test_names_are_texts(name):
    with pytest.raises(convhub.ArgumentTypeError, match="must be the name of a backend"):
        convhub.use_backend(name)


def test_unknown_names_are_refused_on_entering():
    with (
        pytest.raises(convhub.UnknownBackendError, match="Did you mean 'naive'"),
        convhub.use_backend("naiv"),
    ):
        pass
    assert chosen() != "naiv"
