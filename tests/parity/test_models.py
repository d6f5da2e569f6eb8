"""Both sides give the same numbers: operations, every layer of every model, training."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

from parity import variants  # noqa: E402
from parity.choices import compare_choices  # noqa: E402
from parity.forward import compare_forward, torch_forward  # noqa: E402
from parity.measure import compare, precision  # noqa: E402
from parity.operations import CASES, compare_operations  # noqa: E402
from parity.pair import make_pair, random_batch, random_variables  # noqa: E402
from parity.training import compare_training  # noqa: E402

SIZE = (33, 35)
EXACT = "float64"


def over(rows):
    return [(row.section, row.name, row.error) for row in rows if not row.passed]


def pair_of(name, vgg, dtype):
    config = variants.variant(name)
    return make_pair(config, random_variables(config, 1), vgg, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", EXACT])
def test_operations_and_their_gradients(dtype):
    with precision(dtype):
        rows = list(compare_operations(dtype))
    assert over(rows) == []
    assert len(rows) == sum(1 + len(case.shapes) for case in CASES) > 100
    # Nothing was compared with nothing.
    assert all(np.isfinite(row.relative) for row in rows)
    assert sum(row.absolute > 0 for row in rows) > 80


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in variants.VARIANTS if n not in ("din", "portable")])
def test_layers_losses_and_gradients_exactly(name, vgg):
    with precision(EXACT):
        pair = pair_of(name, vgg, EXACT)
        rows = list(compare_forward(pair, random_batch(SIZE, 2, 0), "layers"))
        rows += compare_training(pair, SIZE, 0, "training", 1)
    assert over(rows) == []
    names = {row.name for row in rows}
    assert {"output", "vgg.relu4_1", "loss total", "loss gram", "loss variation"} <= names
    gradients = sum(row.name.startswith("gradient ") for row in rows)
    assert gradients == sum(1 for _ in pair.model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["din", "portable"])
@pytest.mark.parametrize("dtype", ["float32", EXACT])
def test_training_in_lockstep(name, dtype, vgg):
    with precision(dtype):
        pair = pair_of(name, vgg, dtype)
        rows = list(compare_forward(pair, random_batch(SIZE, 2, 0), "layers"))
        rows += compare_training(pair, SIZE, 0, "training", 12)
    assert over(rows) == []
    steps = [row for row in rows if row.section == "training: lockstep"]
    held = [row for row in steps if row.tolerance is not None]
    assert len(held) == 12 and len(steps) == (12 if dtype == EXACT else 36)
    adam = [row for row in rows if row.section == "training: Adam"]
    assert {row.name.rsplit(" ", 1)[1] for row in adam} == {"(base)", "(dynamic)"}
    if name == "portable":
        assert any(row.name == "batch_stats.standardize.variance" for row in rows)


def test_a_wrong_bias_shows_from_its_layer_on(vgg):
    pair = pair_of("one-level", vgg, "float32")
    batch = random_batch(SIZE, 2, 0)
    right = torch_forward(pair, batch)
    with torch.no_grad():
        pair.model.encoder.down2.pointwise.conv.bias[3] += 0.01
    wrong = torch_forward(pair, batch)
    rows = [compare("", name, right[name], wrong[name], "network", "float32") for name in right]
    failed = [row.name for row in rows if not row.passed]
    assert failed[0] == "encoder.down2.pointwise.conv"
    assert not any(name.startswith(("vgg", "encoder.down1", "style")) for name in failed)


def test_arrays_of_other_shapes_or_undefined_numbers_are_over():
    x = np.ones((2, 3))
    for other in (np.ones((3, 2)), np.full((2, 3), np.nan), np.full((), np.nan)):
        for row in (
            compare("", "", x, other, "network", "float32"),
            compare("", "", other, x, "network", "float32"),
        ):
            assert not row.passed and row.absolute == row.relative == np.inf
    assert compare("", "", x, x, "network", EXACT).passed


def test_tolerances_hold_what_they_say():
    one = np.array([1.0, -100.0])

    def error(kind, dtype="float32", by=1e-3):
        return compare("", "", one + [by, 0], one, kind, dtype)

    row = error("gradient")
    np.testing.assert_allclose([row.absolute, row.relative], [1e-3, 1e-5], rtol=1e-6)
    assert row.passed and row.error == row.relative
    assert error("network").passed and not error("network", by=0.02).passed
    assert error("operation", by=0.9e-3).passed and not error("operation", by=1.1e-3).passed
    assert not error("network", EXACT, by=1e-6).passed
    # A gradient of nothing but rounding errors is held to the size of the others.
    tiny = compare("", "", [1e-9], [2e-9], "gradient", "float32")
    floored = compare("", "", [1e-9], [2e-9], "gradient", "float32", floor=1e-3)
    assert not tiny.passed and floored.passed


def test_other_choices_have_the_errors_that_the_documentation_tells(vgg):
    rows = {row.name: row.relative for row in compare_choices(vgg, 0)}
    assert all(row.tolerance is None for row in compare_choices(vgg, 0))

    def of(start):
        (found,) = [error for name, error in rows.items() if name.startswith(start)]
        return found

    assert of("bilinear x2: align") > 0.1
    assert of("bilinear x2: antialiasing") < 1e-12
    assert of("spatial code reduced") > 0.1
    np.testing.assert_allclose(of("deviation"), (30 / 29) ** 0.5 - 1, rtol=1e-3)
    np.testing.assert_allclose(of("running variance"), 1 / 127, rtol=1e-6)
    assert 1e-3 < of("AdaIN") < 0.02
    assert of("relu4_1 of 45x53 (5x6, not 6x7)") > 0.05
    assert of("relu4_1 of 45x53: padding") > 0.05


def test_full_widths_are_the_configs_own():
    full, small = variants.variant("din", full=True), variants.variant("din")
    assert full.model.widths == (32, 64, 128) and small.model.widths == (8, 16, 32)
    assert dataclasses.replace(full.model, **variants.SMALL) == small.model
