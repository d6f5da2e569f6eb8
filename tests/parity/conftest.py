"""PyTorch on one thread: beside other test workers, its second one waits more than it computes."""

import importlib.util

import pytest


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    if importlib.util.find_spec("torch") is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def promotion():
    """As users have it: Flax's own norms, which take part in float64, rely on it."""
    import jax

    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def vgg():
    """Random VGG-19 features up to relu4_1, for both sides."""
    from din_jax.weights import random_vgg19

    return random_vgg19(0)
