"""FID against its formula with covariances and roots written out, and its place in a table."""

import numpy as np
import pytest

from din_jax.data.decoding import save_image
from din_jax.evaluation import frechet
from din_jax.evaluation.frechet import Frechet, artfids, fids, frechet_distance
from din_jax.evaluation.summary import Program, comma_separated, legend, markdown, summarize


def written_out(x, y):
    covariances = [np.cov(z, rowvar=False) for z in (x, y)]
    # The trace of a root is the sum of the eigenvalues' roots; a singular product may have no root
    # that `scipy.linalg.sqrtm` finds, and whether it warns of it is a matter of the last digit.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0))
    return np.square(x.mean(0) - y.mean(0)).sum() + np.trace(sum(covariances)) - 2 * roots.sum()


def normal(seed, count, channels):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, channels)) @ rng.normal(size=(channels, channels)) + seed


def with_moments(mean, deviations):
    """Points on the axes whose mean and (diagonal) covariance are exactly these."""
    axes = np.diag(deviations) * np.sqrt((2 * len(mean) - 1) / 2)
    return mean + np.concatenate([axes, -axes])


def test_known_gaussians():
    x = with_moments(np.array([1.0, 0, 2]), np.array([1.0, 2, 0]))
    y = with_moments(np.array([1.0, 3, 2]), np.array([4.0, 2, 1]))
    np.testing.assert_allclose(np.cov(x, rowvar=False), np.diag([1.0, 4, 0]), atol=1e-12)
    # |mu_x - mu_y|^2 = 9, and of covariances that commute (sigma_x - sigma_y)^2 each.
    assert frechet_distance(x, y) == pytest.approx(9 + 9 + 0 + 1)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("counts", [(40, 30), (6, 9), (2, 40)])
def test_it_is_the_formula_also_where_covariances_are_singular(counts):
    x, y = (normal(seed, count, 7) for seed, count in enumerate(counts))
    assert frechet_distance(x, y) == pytest.approx(written_out(x, y), rel=1e-5)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y))


def test_one_picture_has_no_covariance():
    with pytest.raises(ValueError, match="two pictures on either side"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))


@pytest.fixture
def colors_as_features(monkeypatch):
    """In the place of the network, which has tests of its own: the mean color of a picture."""
    monkeypatch.setattr(frechet, "inception_features", lambda params, x: x.mean((1, 2)))


@pytest.mark.usefixtures("colors_as_features")
def test_features_are_of_each_picture_however_many_there_are():
    colors = np.random.default_rng(0).integers(0, 256, (11, 3), np.uint8)
    pictures = [np.broadcast_to(color, (8 + i, 9, 3)).copy() for i, color in enumerate(colors)]
    found = Frechet({}, 8).features(pictures)
    np.testing.assert_allclose(found, colors / 255, atol=1e-6)


class Picture:
    def __init__(self, image):
        self.image = image


@pytest.mark.usefixtures("colors_as_features")
def test_a_program_is_as_far_as_its_pictures_are_from_its_styles(tmp_path):
    rng = np.random.default_rng(1)
    styles = rng.integers(0, 256, (3, 32, 32, 3), np.uint8)
    others = rng.integers(0, 256, (2, 3, 32, 32, 3), np.uint8) // 2
    grids = {"copies": [], "others": []}
    for name, grid in grids.items():
        for i in range(2):
            images = styles if name == "copies" else others[i]
            paths = [tmp_path / f"{name}{i}{j}.png" for j in range(3)]
            for path, image in zip(paths, images, strict=True):
                save_image(path, image)
            grid.append(list(paths))
    grids["others"][1][2] = None  # a pair that one lacks is nobody's
    given = grids, [Picture(x) for x in styles], Frechet({}, 32)
    found = fids(*given)
    assert found["copies"] == pytest.approx(0, abs=1e-9)
    means = [x.mean((0, 1)) / 255 for x in (*others[0], *others[1][:2])]
    expected = [styles[j].mean((0, 1)) / 255 for j in (0, 1, 2, 0, 1)]
    assert found["others"] == pytest.approx(
        written_out(np.array(means), np.array(expected)), rel=1e-4
    )
    lonely = {"one": [[tmp_path / "copies00.png", None, None]]}
    assert fids(lonely, *given[1:]) == {}
    # The mean of LPIPS is over the pairs that both have, five of six.
    distances = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, np.nan]])
    numbers = {name: {"lpips": distances} for name in grids}
    arts = artfids(*given, numbers)
    assert arts["copies"] == pytest.approx(1.3)
    assert arts["others"] == pytest.approx(1.3 * (1 + found["others"]))
    assert artfids(lonely, *given[1:], numbers) == {}


def test_a_table_has_it_where_it_is_and_says_so_where_not():
    numbers = {"content_loss": np.ones((2, 2)), "style_loss": np.ones((2, 2))}
    rows = summarize([Program("A", numbers, fid=123.4, artfid=56.7), Program("B", numbers)])
    text = markdown(rows)
    assert "| FID ↓ |" in text and "| 123 |" in text and "of all painted pictures" in text
    assert "A,fid,4,123.4,,,,," in comma_separated(rows)
    assert "| ArtFID ↓ |" in text and "| 56.7 |" in text and "trained on paintings" in text
    without = markdown(summarize([Program("B", numbers)]))
    assert "FID ↓" not in without and "- FID is left out" in without
    assert "ArtFID ↓" not in without and "- ArtFID is left out" in without
    assert not any(line.startswith("FID is left out") for line in legend(rows))
