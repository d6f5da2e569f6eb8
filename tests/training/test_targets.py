"""Kept targets: the losses of a step with them are those of a step that computes them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.data.resident import Pictures
from din_jax.errors import UserError
from din_jax.training import targets as module
from din_jax.training.draw import Cropper
from din_jax.training.targets import Recipe, keep_targets

CROPPER = Cropper(32, (32, 40))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    rng = np.random.default_rng(0)
    sizes = np.asarray([(40, 48), (44, 40), (40, 40)], np.int32)
    coarse = [rng.integers(0, 256, (12, 12, 3), np.uint8).repeat(4, 0).repeat(4, 1) for _ in sizes]
    flat = [x[: s[0], : s[1]].reshape(-1, 3) for x, s in zip(coarse, sizes, strict=True)]
    starts = np.concatenate([[0], np.cumsum(sizes.prod(1))[:-1]]).astype(np.int32)
    return Pictures(np.concatenate(flat), starts, sizes)


def recipe_of(parts, kind: str, crops: int = 2, says: str = "") -> Recipe:
    compute = getattr(parts.objective, f"{kind}_targets")
    return Recipe(
        kind, crops, CROPPER, lambda v, x: compute(v, x.astype(jnp.float32) / 255), says
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def kept(parts, pictures, folder):
    return {
        kind: keep_targets(pictures, recipe_of(parts, kind), parts.vgg, folder=folder)
        for kind in ("content", "style")
    }


def test_two_crops_of_each_picture_and_other_ones_for_styles(kept, pictures):
    for side in kept.values():
        assert side["crops"].shape == (6, 32, 32, 3) and side["crops"].dtype == np.uint8
        assert len({crop.tobytes() for crop in side["crops"]}) == 6
    assert (kept["content"]["crops"] != kept["style"]["crops"]).any()
    # The second picture's crops hold no color that it has not: blocks of 4 pixels, resampled.
    crop = kept["content"]["crops"][2:4].reshape(-1, 3)
    assert (crop.min(0) >= pictures[1].min((0, 1))).all()


def test_step_with_kept_targets_has_the_losses_of_one_that_computes_them(parts, kept):
    rows = np.asarray([1, 4])
    batch = {kind: kept[kind]["crops"][rows] for kind in ("content", "style")}
    known = {k: v for side in kept.values() for k, v in side["targets"].items()}
    known = jax.tree.map(lambda x: jnp.asarray(x[rows]), known)
    _, fresh = parts.step(parts.state, batch, parts.vgg, {})
    _, cached = parts.step(parts.state, {**batch, "targets": known}, parts.vgg, {})
    assert fresh.keys() == cached.keys()
    for name, value in fresh.items():
        np.testing.assert_allclose(cached[name], value, rtol=1e-6, err_msg=name)


def test_next_run_reads_what_the_first_computed(parts, kept, pictures, folder, monkeypatch):
    monkeypatch.setattr(module, "_batches", None)
    again = keep_targets(pictures, recipe_of(parts, "style"), parts.vgg, folder=folder)
    jax.tree.map(np.testing.assert_array_equal, again, kept["style"])


def test_other_crops_words_pictures_or_weights_are_other_files(parts, pictures):
    def name(pictures=pictures, vgg=parts.vgg, **changes):
        return module._fingerprint(pictures, recipe_of(parts, "style", **changes), vgg)

    pixels = pictures.pixels.copy()
    pixels[5] ^= 1
    changed = jax.tree.map(lambda x: x, parts.vgg)
    changed["conv1_1"] = {**changed["conv1_1"], "bias": changed["conv1_1"]["bias"] + 1}
    others = [
        name(crops=3), name(says="bfloat16"), name(vgg=changed),
        name(Pictures(pixels, pictures.starts, pictures.sizes)),
    ]  # fmt: skip
    assert len({name(), *others}) == 5 and name() == name()


def test_damaged_folder_is_computed_anew(parts, kept, pictures, folder):
    path = next(folder.glob("style-*"))
    file = path / "crops.npy"
    good = np.array(kept["style"]["crops"])  # the mapped file itself is damaged next
    file.write_bytes(file.read_bytes()[:-7])
    again = keep_targets(pictures, recipe_of(parts, "style"), parts.vgg, folder=folder)
    np.testing.assert_array_equal(again["crops"], good)
    assert not list(folder.glob(".*"))  # nothing half done is left


def test_too_much_for_memory_is_a_sentence(parts, pictures, folder, monkeypatch):
    monkeypatch.setattr(module, "available_bytes", lambda: 1000)
    with pytest.raises(UserError, match=r"config\.data\.kept_crops=2 keeps .* GiB"):
        keep_targets(pictures, recipe_of(parts, "content"), parts.vgg, folder=folder)


def test_folder_that_cannot_be_written_is_a_sentence(parts, pictures, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"set config\.data\.kept_folder"):
        keep_targets(
            pictures, recipe_of(parts, "content"), parts.vgg, folder=tmp_path / "file" / "x"
        )
