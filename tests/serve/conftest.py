"""A small network with three styles as files, and servers of it."""

import contextlib
import threading
from typing import NamedTuple

import pytest

from din_jax.inference.bank import StyleBank
from din_jax.inference.stylizer import Stylizer
from din_jax.serve.painting import Steps
from din_jax.serve.results import Painted
from din_jax.weights.models import load_model, save_model
from tests.export.models import small_variables

from .serving import drawn, png, serving


class Small(NamedTuple):
    model: str
    bank: str
    stylizer: Stylizer
    steps: Steps


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    config, variables = small_variables(net_scale=3.0)  # styles differ by many levels
    model = save_model(folder / "small.safetensors", config, variables, dtype="float32")
    loaded, steps = load_model(model), Steps()
    bank = StyleBank(loaded.fingerprint, "small")
    encoder = Stylizer(loaded, bank=bank, bucket=0)
    for seed, name in enumerate(("waves", "mosaic", "stained glass")):
        style = drawn(40, 44, 5 + seed)
        bank.add(name, encoder.encode_style(style), style)
    file = bank.save(folder / "bank.safetensors")
    stylizer = Stylizer(loaded, bank=file, bucket=64, batch=1, progress=steps)
    return Small(str(model), str(file), stylizer, steps)


@pytest.fixture
def start(small):
    """start(**of serving): a server with other limits, ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            serving(small.stylizer, small.steps, **settings)
        )


@pytest.fixture(scope="session")
def served(small):
    """A server as it comes."""
    with serving(small.stylizer, small.steps) as found:
        yield found


class Gate:
    """Paints nothing until it is opened: each wish's contents as they are."""

    def __init__(self):
        self.open, self.begun = threading.Event(), threading.Semaphore(0)

    def paint(self, wish, tell):
        self.begun.release()
        for upload in wish.contents:
            while not self.open.wait(0.01):
                tell(0.25 / wish.count)
            yield Painted(upload.data, ".png", 32, 32)


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture(scope="session")
def picture():
    return png(drawn(48, 40, 1))
