"""FID: how far one set of pictures is from another, as Gaussians of Inception's features.

    d = |mu_x - mu_y|^2 + tr(C_x + C_y - 2 (C_x C_y)^(1/2))         (Heusel et al. 2017, eq. 6)
    ArtFID = (1 + mean LPIPS(content, painted)) (1 + d)             (Wright & Ommer 2022, eq. 4)

ArtFID's d is of the features of another Inception network, trained to know paintings.

Of few pictures it is far too large (their covariances cannot fill 2,048 dimensions), and of fewer
pictures larger: it compares programs that painted the same pairs, and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.data.decoding import load_image
from din_jax.evaluation.pictures import Named, square
from din_jax.models.inception import CHANNELS, InceptionParams, inception_features

BATCH = 8
Grid = Sequence[Sequence[Path | None]]  # pictures' files [contents][styles]


class Frechet:
    """Distances between sets of pictures.

    Args:
      params: of the network, as `weights.inception.find_inception` gives them.
      size: side of the squares that pictures are resized to first, as for every other number.
      network: of `models.inception`, (params, images) to features; default FID's.
    """

    def __init__(self, params: InceptionParams, size: int, network: Callable | None = None):
        self._params = jax.tree.map(jnp.asarray, dict(params))
        network = network or inception_features
        self._features = jax.jit(lambda params, x: network(params, x.astype(jnp.float32) / 255))
        self._size = size

    def features(self, pictures: Sequence[np.ndarray | Path]) -> np.ndarray:
        """[N, 2048] of pictures, uint8 or files."""
        found = []
        for start in range(0, len(pictures), BATCH):
            given = pictures[start : start + BATCH]
            images = [load_image(x) if isinstance(x, Path) else x for x in given]
            batch = np.stack([square(x, self._size) for x in images])
            # One program for all: the last batch is filled up.
            filled = np.pad(batch, ((0, BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))
            found.append(np.asarray(self._features(self._params, filled))[: len(batch)])
        return np.concatenate(found) if found else np.zeros((0, CHANNELS), np.float32)


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """d of two sets of features [N, C] and [M, C]; covariances divided by N - 1.

    The trace of the root is the sum of the singular values of X Y^T, X and Y the centered features
    over the roots of N - 1 and M - 1: no covariance is made, no root of one taken.

    Raises:
      ValueError: a set has fewer than two.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError("A Frechet distance needs two pictures on either side.")
    (mean_x, x), (mean_y, y) = (_centered(z) for z in (x, y))
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    spread = np.square(x).sum() + np.square(y).sum() - 2 * shared
    return float(np.square(mean_x - mean_y).sum() + max(spread, 0.0))


def fids(grids: Mapping[str, Grid], styles: Sequence[Named], measure: Frechet) -> dict[str, float]:
    """Program to the distance of its pictures to the styles, over the pairs that all have.

    A style counts as often as it was painted in; {} where no distance can be told.
    """
    shared = _shared(grids)
    if len({j for _, j in shared}) < 2:
        return {}
    of_styles = measure.features([x.image for x in styles])[[j for _, j in shared]]
    return {
        name: frechet_distance(measure.features([grid[i][j] for i, j in shared]), of_styles)
        for name, grid in grids.items()
    }


def artfids(
    grids: Mapping[str, Grid],
    styles: Sequence[Named],
    measure: Frechet,
    numbers: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, float]:
    """Program to ArtFID, over the pairs that all have; "lpips" of `numbers` [contents, styles]."""
    shared = _shared(grids)
    return {
        name: float((1 + np.mean([numbers[name]["lpips"][place] for place in shared])) * (1 + d))
        for name, d in fids(grids, styles, measure).items()
    }


def _shared(grids: Mapping[str, Grid]) -> list[tuple[int, int]]:
    first = next(iter(grids.values()))
    return [
        (i, j)
        for i, row in enumerate(first)
        for j in range(len(row))
        if all(grid[i][j] is not None for grid in grids.values())
    ]


def _centered(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = np.asarray(x, np.float64)
    mean = x.mean(0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)
