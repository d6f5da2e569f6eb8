"""A picture painted in pieces is the picture painted whole."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.errors import UserError
from din_jax.inference import Engine
from din_jax.inference.frames import Window, reflected, resampled, windows, wrapped
from din_jax.inference.passes import MapStore
from din_jax.layers.codes import MapCode, identity_code
from din_jax.layers.mixtures import Blend, Regions
from din_jax.models.footprint import bytes_per_pixel, grid, reach
from din_jax.ops.spatial import resize_map

BATCH = {"encoder_norm": "batch", "decoder_norm": "batch"}
INSTANCE = {"encoder_norm": "instance", "decoder_norm": "instance"}
NETS = {"code": "din", "style_encoder": "mobilenet"}
SIZE, TILE = (117, 150), 104  # neither a multiple of 4; six pieces of 104, 40 apart


def assert_same(picture, expected):
    """Equal but for values so close to a half that float32 cannot tell."""
    difference = np.abs(picture.astype(int) - expected)
    assert picture.shape == expected.shape and difference.max() <= 1
    assert (difference > 0).mean() < 2e-3 and expected.std() > 8


def both(engine, content, code, **options):
    """Pictures and shares clipped, in pieces and whole."""
    for tile in (TILE, 0):
        pictures, shares = engine.stylize_measured([content], code, tile=tile, **options)
        yield pictures[0], shares[0]


def test_two_passes_with_masks_and_a_blend(make, image):
    """Running statistics inside: those of the styled layers are all that is pooled."""
    engine = Engine(make(**BATCH), style_size=0)
    content = image(*SIZE)
    one, other = (engine.encode_style([image(40, 40, seed)]) for seed in (1, 2))
    masks = np.zeros((2, 1, 30, 47), np.float32)
    masks[0, :, :20, 5:] = 1
    masks[1] = 1 - masks[0]
    code = Regions([one, Blend([one, other], [0.2, 0.8])], masks)
    (pieces, some), (whole, share) = both(engine, content, code)
    assert_same(pieces, whole)
    assert some == pytest.approx(share, abs=1e-4)
    assert np.abs(whole.astype(int) - engine.stylize([content], one, tile=0)[0]).mean() > 1
    # Of the whole picture, measured in pieces.
    measured = (engine.statistics([content], code, tile=tile)[0] for tile in (TILE, 0))
    for a, b in zip(*map(jax.tree.leaves, measured), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_pass_for_every_norm(make, image, monkeypatch):
    """Instance norms everywhere: pass by pass, the maps between kept in memory and on disk."""
    stores = []

    class Watched(MapStore):
        def __exit__(self, *error):
            stores.append((self.bytes_on_disk, len(self._held)))
            super().__exit__(*error)

    monkeypatch.setattr("din_jax.inference.tiles.MapStore", Watched)
    told = []
    engine = Engine(
        make(**INSTANCE), style_size=0, memory=3 * 10**6, progress=lambda *of: told.append(of)
    )
    content, code = image(*SIZE), engine.encode_style([image(40, 40, 1)])
    (pieces, _), (whole, _) = both(engine, content, code)
    assert_same(pieces, whole)
    assert stores[0][0] > 0 and stores[0][1] == 0, "some on disk, all used up"
    # Norms one after the other: 5 in the encoder, that of level 3, 4 in the decoder; then the end.
    (passes,) = engine._tiler._programs.values()
    assert len(passes) == 11 == passes.compilations
    assert told == [(done, 11 * 6) for done in range(1, 11 * 6 + 1)], "six pieces in each pass"


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": "whitening", "code": "wct", "decoder_norm": "none"},
        {"transform": "spatial", "decoder_norm": "none"} | NETS,
    ],
    ids=["whitening", "spatial"],
)
def test_statistics_and_codes_of_other_kinds(make, image, changes):
    engine = Engine(make(**changes), style_size=0)
    if "transform" in changes:
        rng = np.random.default_rng(0)
        draw = lambda c: jnp.asarray(rng.uniform(0.5, 1.5, (1, 5, 4, c)), jnp.float32)  # noqa: E731
        widths = engine.loaded.config.model.widths
        code = {f"level{i}": MapCode(draw(c), draw(c)) for i, c in enumerate(widths, 1)}
    else:
        code = engine.encode_style([image(40, 40, 1)])
    (pieces, _), (whole, _) = both(engine, image(*SIZE), code)
    assert_same(pieces, whole)


@pytest.mark.parametrize("tile", [0, TILE])
def test_a_seamless_picture_continues_itself(make, image, tile):
    """The wrapped content shifted gives the picture shifted: there is no border in it."""
    engine = Engine(make(**BATCH), style_size=0)
    content, code = image(100, 72), engine.encode_style([image(40, 40, 1)])
    picture = engine.stylize([content], code, seamless=True, tile=tile)[0]
    moved = engine.stylize([np.roll(content, (40, 24), (0, 1))], code, seamless=True, tile=tile)[0]
    assert_same(np.roll(moved, (-40, -24), (0, 1)), picture)
    bordered = engine.stylize([content], code, tile=0)[0]
    assert np.abs(bordered[0].astype(int) - picture[0]).max() > 1


@pytest.mark.slow
def test_a_bucket_changes_nothing_of_a_deformable_layer(make, image):
    """What its offsets point at outside the picture is zero, as it is outside the map."""
    loaded = make(transform="deformable", dynamic_kernel=3, **NETS)
    content = image(41, 45)
    code = Engine(loaded, style_size=0).encode_style([image(40, 40, 1)])
    held, plain = (Engine(loaded, bucket=n).stylize([content], code)[0] for n in (64, 0))
    assert_same(held, plain)


@pytest.mark.slow
def test_a_vgg_network_in_pieces(loaded_vgg, image):
    engine = Engine(loaded_vgg, style_size=0)
    content, code = image(60, 201), engine.encode_style([image(32, 32, 1)])
    pieces, whole = (engine.stylize([content], code, tile=tile)[0] for tile in (176, 0))
    assert_same(pieces, whole)


@pytest.mark.parametrize("changes", [{}, {"kernel": 9, "residuals": 0, "levels": 1}])
def test_what_is_further_than_the_reach_changes_nothing(make, changes):
    """And what is nearly as far does: pieces overlap by no more than they need."""
    loaded = make(**BATCH, **changes)
    config = loaded.config.model
    far, size = reach(config), 97
    graph, state = nnx.split(loaded.model)

    # One by one: in a batch, a product may add up in another order from picture to picture.
    @jax.jit
    def run(state, given, content):
        model = nnx.merge(graph, state)
        code = model.encode_style(given)
        return model.stylize(content, code, model.content_statistics(given, code))

    rng = np.random.default_rng(0)
    contents = rng.uniform(0, 1, (1, size, size, 3)).astype(np.float32).repeat(5, 0)
    places = [(48 + i, 48 + (3 * i) % 4) for i in range(4)]
    for i, place in enumerate(places, 1):
        contents[(i, *place)] += 100
    pictures = [np.asarray(run(state, contents[:1], content[None]))[0] for content in contents]
    found = 0
    for (row, column), picture in zip(places, pictures[1:], strict=True):
        rows, columns = np.nonzero(np.abs(picture - pictures[0]).max(-1))
        found = max(found, np.abs(rows - row).max(), np.abs(columns - column).max())
    assert far - grid(config) <= found <= far


def test_windows_own_every_pixel_once_far_from_where_they_are_cut():
    for frame in (reflected(np.zeros((201, 30, 3), np.uint8), 1, 32),
                  wrapped(np.zeros((50, 61, 3), np.uint8), 32)):  # fmt: skip
        owned = np.zeros(frame.shape, int)
        for (top, left), own in windows(frame, (80, 80), 32):
            assert top % 4 == left % 4 == 0
            for (start, stop), first, size in zip(own, (top, left), frame.shape, strict=True):
                assert start >= first + 32 or first == 0
                assert stop <= first + 80 - 32 or first + 80 >= size
            owned[tuple(slice(*part) for part in own)] += 1
        inside = tuple(slice(*part) for part in frame.whole().own)
        assert (owned[inside] == 1).all() and owned.sum() == np.prod(frame.content)


@pytest.mark.parametrize("size", [(40, 52), (9, 7), (13, 31), (40, 31)])
def test_a_part_of_a_resized_map_is_cut_from_it(size):
    x = np.random.default_rng(0).uniform(0, 1, (13, 31, 2)).astype(np.float32)
    whole = np.asarray(resize_map(jnp.asarray(x)[None], *size))[0]
    index = np.arange(size[0])[3:8], np.arange(size[1])[::2]
    np.testing.assert_allclose(resampled(x, size, index), whole[np.ix_(*index)], atol=1e-6)


def test_maps_come_back_from_memory_and_disk():
    arrays = {(0, i): np.full((100, i + 1), i, "bfloat16" if i else np.float32) for i in range(3)}
    with MapStore(400) as store:
        for key, array in arrays.items():
            store.put(key, array)
        folder = store._folder.name
        for last in (False, True):
            for key, array in arrays.items():
                np.testing.assert_array_equal(store.get(key, last), array)
        assert store.bytes_on_disk == 1000
    assert not Path(folder).exists()


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="/proc tells the memory held")
def test_memory_of_maps_is_given_back_when_they_are_forgotten():
    array = np.ones((64, 1 << 18), np.float32)  # 64 MiB
    with MapStore(1e9) as store:
        before = resident_bytes()
        store.put((0, 0), array)
        assert resident_bytes() - before > 60 << 20
        kept = np.ones(100)  # on a heap, what lies above keeps it from shrinking
        store.get((0, 0), last=True)
        assert resident_bytes() - before < 8 << 20
    assert kept.all()


def test_pieces_are_chosen_by_the_memory_at_hand(make, image):
    loaded = make(**BATCH)
    frames = [reflected(np.zeros((n, 400, 3), np.uint8), 1, 32) for n in (100, 4000)]
    assert Engine(loaded, memory=10**10)._tiler.choose(frames, None) == ({}, [0, 1])
    large, whole = Engine(loaded, memory=2 * 10**7)._tiler.choose(frames, None)
    assert list(large) == [1] and whole == [0] and 128 <= large[1] <= 400
    assert Engine(loaded, memory=2 * 10**8, tile=0)._tiler.choose(frames, None) == ({}, [0, 1])
    with pytest.raises(UserError, match="400 x 4000 .* takes about 0.2 GB, but there are 0.0"):
        Engine(loaded, memory=10**6, tile=0)._tiler.choose(frames[1:], None)
    assert Engine(loaded, memory=1)._tiler.batch((100, 100), 8) == 1


@pytest.mark.parametrize("norms", [BATCH, INSTANCE], ids=["batch", "instance"])
def test_what_regions_take_is_in_the_estimate(make, image, norms):
    """By what XLA says of its programs; with masks for eight styles it was 1 of 5 bytes."""
    loaded = make(**norms, widths=(8, 16, 32))
    content = image(160, 160)
    code = Engine(loaded, style_size=0).encode_style([image(40, 40, 1)])
    for regions in (1, 2, 8):
        engine = Engine(loaded, memory=10**10)
        masks = np.full((regions, 1, 20, 20), 1 / regions, np.float32)
        engine.stylize([content], Regions([code] * regions, masks) if regions > 1 else code)
        taken = engine.temporary / 160**2
        said = bytes_per_pixel(loaded.config.model, regions)
        assert 0.4 * said < taken < said
    frames = [reflected(content, 1, 32)]
    tiler = Engine(loaded, memory=bytes_per_pixel(loaded.config.model, 7) * 160**2)._tiler
    assert tiler.choose(frames, None, 7) == ({}, [0])
    assert list(tiler.choose(frames, None, 8)[0]) == [0]


def test_pieces_are_as_small_as_their_number_allows(make):
    tiler = Engine(make(**BATCH))._tiler
    cases = (60, 512, 60), (960, 512, 512), (1000, 512, 384), (1100, 512, 448), (901, 904, 904)
    for size, side, expected in cases:
        rows = tiler._balanced(size, side)
        assert rows == expected
        frame = reflected(np.zeros((size, 32, 3), np.uint8), 1, 32)
        count = [len(windows(frame, (n, 32), tiler.halo)) for n in (rows, side)]
        assert count[0] == count[1]


def test_what_cannot_be_divided_is_one_sentence(make, image):
    engine = Engine(make(transform="deformable", **NETS), memory=1)
    frames = [reflected(image(60, 200), 1, 32)]
    with pytest.raises(UserError, match="deformable layer .* seamless"):
        code = {f"level{i}": identity_code(1, c) for i, c in enumerate((4, 6, 8), 1)}
        engine.stylize([image(60, 200)], code, seamless=True)
    with pytest.raises(UserError, match="200 x 60 pixels .* deformable"):
        engine._tiler.choose(frames, None)
    with pytest.raises(UserError, match="tile must be 0 .* of at least 68 pixels, .* not 32"):
        Engine(make(**BATCH), tile=32)


def test_a_window_is_named_by_what_it_owns():
    frame = reflected(np.zeros((20, 40, 3), np.uint8), 1, 32)
    assert frame.shape == (32, 40) and frame.whole() == Window((0, 0), ((0, 20), (0, 40)))
