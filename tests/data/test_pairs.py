"""Batches: deterministic, sharded without overlap, resumable, and free of held-out pictures."""

import dataclasses

import numpy as np
import pytest

from din_jax.config import DataConfig
from din_jax.data.opening import open_source
from din_jax.data.pairs import make_batches, validation_pairs
from din_jax.data.sources import split_source
from din_jax.errors import UserError

SMALL = DataConfig(resize=20, crop=16, validation=0, threads=2, prefetch=2, flip=False)


@pytest.fixture
def config(flat_folder):
    """40 contents and 12 styles; the red of a flat picture is its number."""
    content, style = flat_folder("content", 40), flat_folder("style", 12)
    return dataclasses.replace(SMALL, content=str(content), style=str(style))


def take(dataset, count: int) -> list[dict[str, np.ndarray]]:
    iterator = iter(dataset)
    return [next(iterator) for _ in range(count)]


def numbers(batches, side: str) -> list[int]:
    return [int(value) for batch in batches for value in batch[side][:, 0, 0, 0]]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        for side in ("content", "style"):
            np.testing.assert_array_equal(a[side], b[side])


def test_shapes_and_types(config):
    config = dataclasses.replace(config, style_crop=18)
    (batch,) = take(make_batches(config, 3, 0), 1)
    assert set(batch) == {"content", "style"}
    assert batch["content"].shape == (3, 16, 16, 3) and batch["style"].shape == (3, 18, 18, 3)
    assert batch["content"].dtype == batch["style"].dtype == np.uint8


def test_each_epoch_is_a_new_permutation(config):
    batches = take(make_batches(config, 8, 3), 10)
    content, style = numbers(batches, "content"), numbers(batches, "style")
    first, second = content[:40], content[40:]
    assert sorted(first) == sorted(second) == list(range(40))
    assert first != second and first != list(range(40))
    for start in range(0, 72, 12):
        assert sorted(style[start : start + 12]) == list(range(12))
    assert len(set(zip(content, style, strict=True))) > 70  # shuffled independently


def test_seed_decides_order_and_crops():
    config = dataclasses.replace(SMALL, flip=True, style_jitter=0.5, zoom=1.2)  # synthetic
    first = take(make_batches(config, 4, 7), 3)
    assert_same(first, take(make_batches(config, 4, 7), 3))
    other = take(make_batches(config, 4, 8), 3)
    assert not (first[0]["content"] == other[0]["content"]).all()


def test_content_and_style_of_one_folder_are_shuffled_apart(config):
    config = dataclasses.replace(config, style=config.content)
    (batch,) = take(make_batches(config, 40, 0), 1)
    assert sum(a == b for a, b in zip(numbers([batch], "content"), numbers([batch], "style"),
                                      strict=True)) < 10


def test_crops_depend_on_seed_and_side(tmp_path, encode):
    ramp = np.arange(60 * 60, dtype=np.uint16).reshape(60, 60)
    pixels = np.stack([ramp % 251, ramp // 251, ramp % 13], -1).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encode(pixels))
    config = dataclasses.replace(SMALL, content=str(tmp_path), style=str(tmp_path), resize=60)
    first, second = (take(make_batches(config, 8, seed), 1)[0] for seed in (0, 1))
    assert not (first["content"] == second["content"]).all()
    assert not (first["content"] == first["style"]).all()


def test_threads_do_not_change_batches(config):
    serial = dataclasses.replace(config, threads=1, prefetch=1)
    assert_same(take(make_batches(config, 8, 1), 8), take(make_batches(serial, 8, 1), 8))


@pytest.mark.parametrize("shards", [2, 3])
def test_shards_are_disjoint_and_together_the_whole(config, shards):
    per_epoch = 40 // shards
    parts = [
        numbers(take(make_batches(config, 1, 5, shard_index=i, shard_count=shards), per_epoch),
                "content")
        for i in range(shards)
    ]
    union = sum(parts, [])
    assert len(set(union)) == len(union) == per_epoch * shards


def test_number_of_shards_does_not_change_the_pairs(config):
    config = dataclasses.replace(config, content="synthetic", style="synthetic")
    whole = take(make_batches(config, 4, 5), 2)
    halves = [take(make_batches(config, 2, 5, shard_index=i, shard_count=2), 2) for i in (0, 1)]
    for step in range(2):
        for side in ("content", "style"):
            woven = np.stack([half[step][side] for half in halves], 1).reshape(4, 16, 16, 3)
            np.testing.assert_array_equal(woven, whole[step][side])


def test_more_shards_than_pictures_all_get_some(flat_folder):
    folder = str(flat_folder("few", 3))
    config = dataclasses.replace(SMALL, content=folder, style=folder)
    for shard in range(5):
        dataset = make_batches(config, 2, 0, shard_index=shard, shard_count=5)
        assert set(numbers(take(dataset, 3), "content")) <= {0, 1, 2}


def test_sets_smaller_than_the_batch_repeat(flat_folder):
    folder = str(flat_folder("one", 1))
    config = dataclasses.replace(SMALL, content=folder, style=folder, validation=16)
    (batch,) = take(make_batches(config, 5, 0), 1)
    assert numbers([batch], "content") == [0] * 5


def test_resume_is_exact(config):
    config = dataclasses.replace(config, flip=True, zoom=1.2)
    iterator = iter(make_batches(config, 4, 0))
    for _ in range(12):  # past the end of the first epoch
        next(iterator)
    state = iterator.get_state()
    expected = [next(iterator) for _ in range(6)]
    resumed = iter(make_batches(config, 4, 0))
    resumed.set_state(state)
    assert_same([next(resumed) for _ in range(6)], expected)


def test_two_workers_give_the_same_batches_and_resume(config):
    config = dataclasses.replace(config, flip=True, style_jitter=0.3)
    expected = take(make_batches(config, 4, 2), 6)
    iterator = iter(make_batches(dataclasses.replace(config, workers=2), 4, 2))
    try:
        first = [next(iterator) for _ in range(3)]
        state = iterator.get_state()
        assert_same(first + [next(iterator) for _ in range(3)], expected)
        iterator.set_state(state)
        assert_same([next(iterator) for _ in range(3)], expected[3:])
    finally:
        iterator.close()


def test_held_out_pictures_are_never_trained_on(config):
    config = dataclasses.replace(config, validation=6)
    trained = take(make_batches(config, 10, 0), 12)
    for side, count, held in (("content", 40, 6), ("style", 12, 2)):
        kept = set(numbers(trained, side))
        for seed in (0, 1):  # whichever the seed, the same pictures are held out
            pairs = validation_pairs(config, 30, seed)
            shown = {int(pair[side][0, 0, 0]) for pair in pairs}
            assert len(shown) == held and not shown & kept
            assert shown | kept == set(range(count))


def test_validation_split_is_in_order_and_unshuffled(config):
    config = dataclasses.replace(config, validation=6)
    part = split_source(open_source(config.content, "content"), 6)[1]
    held = part.indices.tolist()
    batches = take(make_batches(config, 6, 9, split="validation"), 2)
    assert numbers(batches, "content") == held * 2


def test_validation_sources_of_their_own(config, flat_folder):
    own = flat_folder("own", 3)
    config = dataclasses.replace(config, content_validation=str(own), validation=16)
    assert len(set(numbers(take(make_batches(config, 8, 0), 5), "content"))) == 40
    assert {int(p["content"][0, 0, 0]) for p in validation_pairs(config, 9, 0)} == {0, 1, 2}


def test_validation_pairs_are_fixed_center_crops(tmp_path, encode):
    rows = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 20, 3))
    for side in ("content", "style"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "a.png").write_bytes(encode(np.ascontiguousarray(rows)))
    config = dataclasses.replace(
        SMALL, content=str(tmp_path / "content"), style=str(tmp_path / "style"), validation=1
    )
    pairs = validation_pairs(config, 2, 0)
    assert len(pairs) == 2
    for pair in pairs:
        np.testing.assert_array_equal(pair["content"], rows[12:28, 2:18])
    assert_same(pairs, validation_pairs(config, 2, 0))
    assert validation_pairs(config, 0, 0) == []


def test_pictures_smaller_than_the_crop_are_enlarged(flat_folder):
    folder = str(flat_folder("small", 2, (16, 30)))
    config = dataclasses.replace(SMALL, content=folder, style=folder, resize=40, crop=32)
    (batch,) = take(make_batches(config, 2, 0), 1)
    assert batch["content"].shape == (2, 32, 32, 3)
    assert sorted(numbers([batch], "content")) == [0, 1]


def test_flip_mirrors_about_half_of_the_crops(tmp_path, encode):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:, 8:] = 255
    (tmp_path / "half.png").write_bytes(encode(pixels))
    config = dataclasses.replace(
        SMALL, content=str(tmp_path), style=str(tmp_path), resize=16, flip=True
    )
    mirrored = np.array(numbers(take(make_batches(config, 16, 0), 8), "content")) > 127
    assert 40 < mirrored.sum() < 88  # 128 fair coins
    plain = dataclasses.replace(config, flip=False)
    assert not any(numbers(take(make_batches(plain, 16, 0), 2), "content"))


def test_zoom_draws_scales_between_its_ends(tmp_path, encode):
    """In a ramp, the step between neighbors of a crop tells the scale."""
    ramp = np.broadcast_to(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], (128, 128, 3))
    (tmp_path / "ramp.png").write_bytes(encode(np.ascontiguousarray(ramp)))
    config = dataclasses.replace(
        SMALL, content=str(tmp_path), style=str(tmp_path), resize=64, crop=16, zoom=2.0
    )
    batches = take(make_batches(config, 16, 0), 40)
    crops = np.concatenate([batch["content"] for batch in batches]).astype(float)[:, 8, :, 0]
    short = 2 * 128 / ((crops[:, -2] - crops[:, 1]) / 13)
    assert 31 < short.min() < 36 and 58 < short.max() < 66
    assert abs(np.log2(short / 32).mean() - 0.5) < 0.03  # log-uniform; uniform has 0.557
    still = take(make_batches(dataclasses.replace(config, zoom=1.0), 16, 0), 1)[0]["content"]
    step = (still[:, 8, -2, 0].astype(float) - still[:, 8, 1, 0]) / 13
    np.testing.assert_allclose(step, 4, atol=0.2)


def test_one_bad_file_does_not_stop_training(config, encode, caplog):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)
    data = encode(noise)
    path = f"{config.content}/99.png"
    with open(path, "wb") as file:  # a whole PNG but for damage in its middle
        file.write(data[:600] + bytes(100) + data[700:])
    batches = take(make_batches(config, 8, 0), 10)
    seen = numbers(batches, "content")
    assert set(seen) == set(range(40)) and seen.count(0) >= 3  # 0 follows the bad one
    assert "99.png" in caplog.text


@pytest.mark.parametrize("arguments", [
    {"batch": 0}, {"seed": -1}, {"split": "test"}, {"shard_index": 2, "shard_count": 2},
])
def test_wrong_arguments_are_refused(arguments):
    values = {"batch": 1, "seed": 0, **arguments}
    with pytest.raises(UserError):
        make_batches(SMALL, values.pop("batch"), values.pop("seed"), **values)


def test_no_validation_pictures_is_an_error():
    with pytest.raises(UserError, match="content_validation"):
        validation_pairs(SMALL, 1, 0)


@pytest.mark.slow
def test_photographs_and_paintings_flow(shared_data):
    config = DataConfig(content=str(shared_data / "test" / "content"),
                        style=str(shared_data / "test" / "style"), resize=96, crop=64)
    for batch in take(make_batches(config, 4, 0), 3):
        assert batch["content"].std() > 20 and batch["style"].std() > 20


def test_known_styles_come_with_their_numbers(config):
    """In the order of the names, for training and validation alike, shuffled and sharded."""
    names = ("7", "2", "11")
    batches = take(make_batches(config, 4, 3, styles=names), 9)
    for batch in batches:
        assert batch["style_number"].dtype == np.int32
        named = [int(names[number]) for number in batch["style_number"]]
        assert numbers([batch], "style") == named
    seen = [int(n) for batch in batches for n in batch["style_number"]]
    assert all(sorted(seen[i : i + 3]) == [0, 1, 2] for i in range(0, 36, 3))
    assert len({tuple(seen[i : i + 3]) for i in range(0, 36, 3)}) > 1
    (shard,) = take(make_batches(config, 2, 3, styles=names, shard_index=1, shard_count=2), 1)
    assert numbers([shard], "style") == [int(names[n]) for n in shard["style_number"]]
    for pair in validation_pairs(dataclasses.replace(config, validation=4), 5, 0, names):
        assert pair["style"][0, 0, 0] == int(names[pair["style_number"]])


def test_contents_and_crops_do_not_depend_on_style_numbers(config):
    first = take(make_batches(config, 4, 3), 3)
    names = tuple(map(str, range(12)))  # all, in the folder's order
    assert_same(first, take(make_batches(config, 4, 3, styles=names), 3))


def test_styles_that_no_picture_has_are_named(config, flat_folder):
    with pytest.raises(UserError, match="'waves' \\(0 pictures\\) of its 12 do not"):
        make_batches(config, 2, 0, styles=("3", "waves"))
