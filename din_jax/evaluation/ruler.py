"""One ruler for every program's pictures: the same squares, the same VGG-19, the same numbers.

Contents, styles and what was painted of them are resized to size x size squares (bicubic) before
they are measured, whoever painted them and at whatever size, and read from their files.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from din_jax.data.decoding import load_image
from din_jax.data.outputs import digest, file_digest
from din_jax.evaluation.judges import Judged, judge, patch_projections
from din_jax.evaluation.metrics import PerceptualMetrics
from din_jax.evaluation.perceptual import LPIPS
from din_jax.evaluation.pictures import Named, square
from din_jax.files import write_atomically
from din_jax.weights.lpips import LPIPSWeights
from din_jax.weights.vgg19 import VGGWeights

Grid = Sequence[Sequence[Path | None]]
Numbers = dict[str, np.ndarray]  # by name [contents, styles]; NaN where there is no picture


class Ruler:
    """Measures pictures of some contents in some styles.

    Args:
      vgg: the network, to relu4_1.
      contents, styles: pictures of any size.
      size: side of the squares, pixels.
      lpips: to measure that distance to the content too.
      kept: file where numbers are kept, so that the same picture is never measured twice; None
        keeps none.
    """

    def __init__(
        self,
        vgg: VGGWeights,
        contents: Sequence[Named],
        styles: Sequence[Named],
        *,
        size: int,
        kept: Path | None = None,
        lpips: LPIPSWeights | None = None,
    ):
        self.metrics = PerceptualMetrics(vgg, more=True, batch=4)
        self._lpips = None if lpips is None else LPIPS(lpips)
        self.names = (*self.metrics.names, *Judged._fields, *(["lpips"] if lpips else []))
        self.contents = [square(x.image, size) for x in contents]
        self.styles = [square(x.image, size) for x in styles]
        self.size = size
        self._kept = kept
        self._known: dict[str, list[float]] = {}
        if kept is not None and kept.is_file():
            self._known = _read(kept, len(self.names))
        self._style_targets = None

    def measure(
        self, painted: Mapping[str, Grid], tell: Callable[[int], object] = lambda _: None
    ) -> dict[str, Numbers]:
        """The numbers of each program's pictures.

        Args:
          painted: program to its pictures' files, [contents][styles].
          tell: called with the number of pictures done.
        """
        shape = len(self.contents), len(self.styles)
        found = {
            name: {number: np.full(shape, math.nan) for number in self.names} for name in painted
        }
        for i, content in enumerate(self.contents):
            keys = {
                (name, j): self._key(i, j, path)
                for name, grid in painted.items()
                for j, path in enumerate(grid[i])
                if path is not None
            }
            missing = [place for place, key in keys.items() if key not in self._known]
            if missing:
                files = [painted[name][i][j] for name, j in missing]
                numbers = self._of(content, files, [j for _, j in missing])
                self._keep({keys[place]: row for place, row in zip(missing, numbers, strict=True)})
            for (name, j), key in keys.items():
                for number, value in zip(self.names, self._known[key], strict=True):
                    found[name][number][i, j] = value
            tell(len(keys))
        return found

    def _of(
        self, content: np.ndarray, files: Sequence[Path], styles: Sequence[int]
    ) -> list[list[float]]:
        """The numbers of pictures of one content, in the styles of these places."""
        if self._style_targets is None:
            self._style_targets = self.metrics.style_targets(self.styles)
            self._patches = [patch_projections(x) for x in self.styles]
        images = [square(load_image(path), self.size) for path in files]
        target = self.metrics.content_targets([content])[0]
        targets = [self._style_targets[j] for j in styles]
        losses = self.metrics.losses(images, [target] * len(images), targets)
        return [
            [
                *loss,
                *judge(image, content, self._patches[j]),
                *([self._lpips(image, content)] if self._lpips else []),
            ]
            for loss, image, j in zip(losses, images, styles, strict=True)
        ]

    def _key(self, i: int, j: int, path: Path) -> str:
        pictures = [
            hashlib.sha256(x.tobytes()).hexdigest() for x in (self.contents[i], self.styles[j])
        ]
        by = [self.metrics.fingerprint, self.size, *self.names]
        return digest(painted=file_digest(path), of=pictures, by=by)

    def _keep(self, numbers: Mapping[str, list[float]]):
        self._known |= numbers
        if self._kept is not None:
            write_atomically(self._kept, json.dumps(self._known))


def _read(path: Path, count: int) -> dict[str, list[float]]:
    """What an earlier call kept; nothing where the file is no such table."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        good = {k: [float(x) for x in v] for k, v in table.items() if len(v) == count}
    except (ValueError, TypeError, AttributeError):
        return {}
    return good
