"""Numbers of textures against textures that were made with them."""

import numpy as np
import pytest

from din_jax.data.decoding import load_image, save_image
from din_jax.evaluation.pictures import read_picture
from din_jax.evaluation.texture import (
    TILE,
    fine_part,
    flat_pictures,
    main,
    measure,
    overlap,
    paint,
    peak,
    spectrum,
)
from din_jax.inference.engine import Engine
from din_jax.weights.models import load_model

SIDE = 192


def waves(period: float, angle: float, contrast: float = 30.0, phase: float = 0.0) -> np.ndarray:
    """A gray picture of one wave, uint8."""
    y, x = np.mgrid[:SIDE, :SIDE]
    along = x * np.cos(angle) + y * np.sin(angle)
    values = 128 + contrast * np.sin(2 * np.pi * along / period + phase)
    return np.repeat(np.round(values).astype(np.uint8)[..., None], 3, 2)


def noise(seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(128, 20, (SIDE, SIDE, 1))
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8), 3, 2)


def test_fine_part_of_flat_and_slowly_changing_pictures_is_their_noise():
    flat = {name: fine_part(image)[20:-20, 20:-20] for name, image in flat_pictures(SIDE).items()}
    assert np.abs(flat["gradient"]).max() < 1.5
    # 1.5 levels per channel, weighed by the luma's coefficients: their norm is 0.67.
    assert flat["gray"].std() == pytest.approx(1.5 * 0.67, rel=0.1)
    assert (flat_pictures(SIDE)["gray"] == flat_pictures(SIDE)["gray"]).all()


def test_spectrum_of_a_wave_lies_at_its_frequency():
    power = spectrum(fine_part(waves(8, 0)))
    assert np.unravel_index(power.argmax(), power.shape) == (0, TILE // 8)
    np.testing.assert_allclose(power.sum(), 1)


def test_overlap_of_waves_and_of_noise():
    across, down = (spectrum(fine_part(waves(8, angle))) for angle in (0, np.pi / 2))
    assert overlap(across, across) == pytest.approx(1)
    assert overlap(across, down) < 0.02
    one, two = (spectrum(fine_part(noise(seed))) for seed in (0, 1))
    assert overlap(one, two) > 0.75


def test_peak_tells_a_pattern_from_noise():
    assert peak(spectrum(fine_part(noise(0)))) < 3
    assert peak(spectrum(fine_part(waves(8, 0)))) > 10


def test_one_pattern_in_every_style_is_told_from_one_pattern_per_style():
    styles = [waves(8, 0), waves(6, 1.0), waves(10, 2.0)]
    same = measure([[waves(7, 0.5)] * 2] * 3, styles)
    assert same.same_place == pytest.approx(1) and same.same_kind == pytest.approx(1)
    own = measure([[style] * 2 for style in styles], styles)
    assert own.same_place < 0.1 and own.same_kind < 0.1
    assert own.own_style > 0.9 > 0.1 > abs(same.own_style)
    assert own.strength == pytest.approx(30 / 2**0.5, rel=0.1)


def test_the_same_kind_at_other_places_is_not_the_same_place():
    found = measure([[noise(0)], [noise(1)]], [noise(2), noise(3)])
    assert found.same_place < 0.05 and found.same_kind > 0.75 and abs(found.own_style) < 0.05


def test_command_prints_a_row_per_model_and_draws_a_row_per_style(model_file, tmp_path, capsys):
    for i in range(2):
        save_image(tmp_path / "styles" / f"{i}.png", noise(i))
    out = tmp_path / "flat.png"
    flags = ["--style", str(tmp_path / "styles"), "--output", str(out), "--size", "128"]
    assert main([str(model_file), *flags, "--names"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["model", "strength"] and len(lines) == 3
    numbers = [float(x) for x in lines[1].split()[1:]]
    assert len(numbers) == 5 and np.isfinite(numbers).all()
    assert load_image(out).shape[0] > 2 * 128
    assert main([str(model_file), *flags[:-1], "100"]) == 2
    assert "--size must be at least 128" in capsys.readouterr().err


def test_other_programs_pictures_are_measured_as_models_are(model_file, tmp_path, capsys):
    """What the model painted, given back as another program's, has the model's own numbers."""
    for name in ("a", "b"):
        save_image(tmp_path / "styles" / f"{name}.png", noise(ord(name)))
    flats, theirs, size = tmp_path / "flats", tmp_path / "theirs", ["--size", "128"]
    assert main(["--draw", str(flats), *size]) == 0
    drawn = {path.stem: load_image(path) for path in flats.iterdir()}
    assert drawn.keys() == flat_pictures(128).keys()
    engine = Engine(load_model(model_file), batch=1, style_size=128)
    for name in ("a", "b"):
        style = read_picture(tmp_path / "styles" / f"{name}.png", 128)
        for flat, image in zip(drawn, paint(engine, list(drawn.values()), style), strict=True):
            save_image(theirs / f"{flat}_by_{name}.png", image)
    flags = ["--style", str(tmp_path / "styles"), "--output", str(tmp_path / "sheet.png"), *size]
    others = ["--outputs", f"them={theirs}", "--pattern", "{content}_by_{style}"]
    capsys.readouterr()
    assert main([str(model_file), *others, *flags]) == 0
    _, ours, other, _ = capsys.readouterr().out.splitlines()
    assert other.split()[0] == "them" and ours.split()[1:] == other.split()[1:]

    (theirs / "gray_by_b.png").unlink()
    assert main([*others, *flags, "--overwrite"]) == 2
    assert "no picture of gray in the style of b" in capsys.readouterr().err
    assert main(["--draw", str(flats), *size]) == 2 and main(flags) == 2
