"""Contents as a network gets them: extended where it needs that, whole or in pieces.

A frame is a content with what is put around it: reflection, up to the least size and the multiple
that the network takes, or the content itself once more on all sides, where it is to be seamless. A
piece is a window of it, of a size for which a program exists, that may stand out below and to the
right; it says where the picture ends (`ops.extent`) and which of its pixels are its own.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from din_jax.inference.pictures import pad_to_multiple
from din_jax.layers.codes import MapCode
from din_jax.layers.mixtures import Blend, Mixture, Regions

Shape = tuple[int, int]
Range = tuple[int, int]


class Pieces(NamedTuple):
    """Pieces of one size that run together.

    Attributes:
      images: uint8 [B, H, W, 3].
      own: int32 [B, 2, 2], the (first, stop) rows and columns that are wanted of each.
      size: int32 [B, 2], rows and columns to where the picture ends; None where the map does.
      counted: int32 [B, 2, 2], the rows and columns that statistics count; None with `size`.
    """

    images: np.ndarray
    own: np.ndarray
    size: np.ndarray | None = None
    counted: np.ndarray | None = None


class Window(NamedTuple):
    """Where a piece lies in its frame, and the (first, stop) rows and columns that are its own."""

    corner: Shape
    own: tuple[Range, Range]


@dataclasses.dataclass(frozen=True)
class Frame:
    """A content extended for the network.

    Attributes:
      image: uint8 [H, W, 3], all that the network sees.
      content: rows and columns of the content.
      inset: of the content in the image, both ways, 0 unless it is wrapped.
    """

    image: np.ndarray
    content: Shape
    inset: int = 0

    @property
    def shape(self) -> Shape:
        return self.image.shape[:2]

    def whole(self) -> Window:
        """The window of everything, of which the content is its own."""
        rows, columns = ((self.inset, self.inset + n) for n in self.content)
        return Window((0, 0), (rows, columns))

    def cut(self, window: Window, shape: Shape) -> np.ndarray:
        """The window's pixels, uint8 [*shape, 3], zeros where it stands out."""
        (top, left), (height, width) = window.corner, shape
        part = self.image[top : top + height, left : left + width]
        if part.shape[:2] == shape:
            return part
        piece = np.zeros((*shape, 3), np.uint8)
        piece[: part.shape[0], : part.shape[1]] = part
        return piece

    def indices(self, window: Window, shape: Shape, scale: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows and columns of a map of the content, 1 / scale of its size, a window shows."""
        found = []
        for corner, count, content in zip(window.corner, shape, self.map(scale), strict=True):
            index = (corner - self.inset) // scale + np.arange(-(-count // scale))
            found.append(index % content if self.inset else index.clip(0, content - 1))
        return tuple(found)

    def map(self, scale: int) -> Shape:
        """Rows and columns of a map of the content, 1 / scale of its size."""
        return tuple(-(-n // scale) for n in self.content)


def reflected(image: np.ndarray, multiple: int, smallest: int) -> Frame:
    """A content with reflected pixels below and to the right, up to what the network takes."""
    return Frame(pad_to_multiple(image, multiple, smallest), image.shape[:2])


def wrapped(image: np.ndarray, inset: int) -> Frame:
    """A content that its own other side continues, `inset` pixels on each."""
    sides = ((inset, inset), (inset, inset), (0, 0))
    return Frame(np.pad(image, sides, mode="wrap"), image.shape[:2], inset)


def windows(frame: Frame, tile: Shape, halo: int) -> list[Window]:
    """Windows of the size `tile` whose own parts are all pixels of the content, each once.

    A window's own part is `halo` pixels away from where it is cut; `tile` and `halo` are multiples
    of the network's grid, and so are the corners and the borders of all parts.
    """
    inner = frame.whole().own
    rows, columns = (
        _along(size, side, halo, part)
        for size, side, part in zip(frame.shape, tile, inner, strict=True)
    )
    return [Window((top, left), (own, across)) for top, own in rows for left, across in columns]


def _along(size: int, side: int, halo: int, inner: Range) -> list[tuple[int, Range]]:
    """(first pixel, own pixels) of the windows along an axis."""
    step = side - 2 * halo
    count = 1 if size <= side else 1 + -(-(size - side) // step)
    # The last one may stand out by what the others' steps are too much.
    firsts = [i * step for i in range(count)]
    borders = [0] + [first + halo for first in firsts[1:]] + [size]
    found = []
    for first, start, stop in zip(firsts, borders, borders[1:], strict=False):
        own = max(start, inner[0]), min(stop, inner[1])
        if own[0] < own[1]:
            found.append((first, own))
    return found


def pieces(
    frames: Sequence[Frame], places: Sequence[Window], shape: Shape, exact: bool = False
) -> Pieces:
    """Windows of some frames, all of `shape`; `exact` if each is a frame as it is."""
    images = np.stack([f.cut(w, shape) for f, w in zip(frames, places, strict=True)])
    corners = np.asarray([w.corner for w in places], np.int32)
    own = np.asarray([w.own for w in places], np.int32)
    relative = own - corners[:, :, None]
    if exact:
        return Pieces(images, relative)
    sizes = np.asarray([f.shape for f in frames], np.int32)
    contents = np.asarray([f.content for f in frames], np.int32)
    wrapped = np.asarray([[f.inset > 0] for f in frames])
    # A reflected border counts, as it does in a frame as it is; a wrapped one is there already.
    stops = np.where((own[:, :, 1] == contents) & ~wrapped, sizes, own[:, :, 1])
    counted = np.stack([own[:, :, 0], stops], -1) - corners[:, :, None]
    return Pieces(images, relative, sizes - corners, counted)


def fitted(
    mixture: Mixture,
    frames: Sequence[Frame],
    places: Sequence[Window],
    shape: Shape,
    scales: Mapping[str, int],
) -> Mixture:
    """A mixture of as many pictures as there are windows, its masks and maps those of the windows.

    Masks become those of each level, of the size of its map; so do the maps of a `MapCode`. Both
    cover the content, whatever their size.

    Args:
      mixture: of one picture per window.
      frames, places: a frame and a window of it for each.
      shape: rows and columns of all windows.
      scales: of the levels, in pixels of the content.
    """

    def maps(x, scale: int):
        """[B, h, w, C] at the size of a level."""
        parts = zip(np.asarray(x, np.float32), frames, places, strict=True)
        return np.stack(
            [
                resampled(one, frame.map(scale), frame.indices(window, shape, scale))
                for one, frame, window in parts
            ]
        )

    if isinstance(mixture, Blend):
        codes = (fitted(code, frames, places, shape, scales) for code in mixture.codes)
        return mixture._replace(codes=tuple(codes))
    if isinstance(mixture, Regions):
        codes = (fitted(code, frames, places, shape, scales) for code in mixture.codes)
        given = mixture.masks
        if not isinstance(given, Mapping):
            given = dict.fromkeys(scales, given)
        masks = {
            name: np.moveaxis(maps(np.moveaxis(given[name], 0, -1), scale), -1, 0)
            for name, scale in scales.items()
        }
        return Regions(tuple(codes), masks)
    return {
        name: MapCode(*(maps(x, scales[name]) for x in code)) if isinstance(code, MapCode) else code
        for name, code in mixture.items()
    }


def resampled(x: np.ndarray, size: Shape, indices: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Some rows and columns of a map [h, w, C] resized to `size`, as `ops.spatial.resize_map` does.

    Without computing the rest, nor matrices of the size of the whole.
    """
    for axis, (count, index) in enumerate(zip(size, indices, strict=True)):
        ratio = x.shape[axis] / count
        if ratio == 1:
            x = x.take(index, axis)
            continue
        centers, width = (index + 0.5) * ratio - 0.5, max(ratio, 1)
        low = max(int(np.floor(centers.min() - width)), 0)
        used = np.arange(low, min(int(np.ceil(centers.max() + width)) + 1, x.shape[axis]))
        weights = np.maximum(1 - np.abs(centers[:, None] - used) / width, 0)
        weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        x = np.moveaxis(np.tensordot(weights, x.take(used, axis), (1, axis)), 0, axis)
    return x
