"""All pictures of a source decoded once and kept in memory, as one flat array of pixels.

A set of a few thousand pictures fits in memory, and a run over it meets each hundreds of times:
decoded once, it needs no pipeline. Needs numpy and Pillow only, neither grain nor TFDS.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from tqdm import tqdm

from din_jax.config import DataConfig
from din_jax.data.decoding import resize_crop, resized_shape
from din_jax.data.pairs import crop_side, short_sides, source_of
from din_jax.data.reader import ImageReader
from din_jax.data.sources import SourceError
from din_jax.memory import available_bytes

GROUP = 64  # pictures decoded between two looks at the memory
# Pixels are numbered in 32 bits on the device.
MOST_PIXELS = 2**31 - 1
SHARE = 0.7  # of the available memory that pictures may take


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures of any sizes, row by row in one array.

    Attributes:
      pixels: uint8 [total, 3] RGB.
      starts: int32 [N], the first pixel of each picture.
      sizes: int32 [N, 2], rows and columns of each.
    """

    pixels: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture `index`, uint8 [H, W, 3]."""
        rows, columns = self.sizes[index]
        start = self.starts[index]
        return self.pixels[start : start + rows * columns].reshape(rows, columns, 3)

    def digest(self) -> str:
        """SHA-256 of all pixels and sizes."""
        found = hashlib.sha256(self.sizes.tobytes())
        found.update(self.pixels.data)
        return found.hexdigest()


def load_pictures(
    config: DataConfig,
    kind: str,
    split: str = "train",
    *,
    limit: int | None = None,
    styles: Sequence[str] = (),
) -> Pictures:
    """Decodes the "content" or "style" pictures of a run, those of training or of validation.

    A picture whose short side is longer than training needs (`config.resize`) is shrunk to it; none
    is enlarged. Bad pictures are replaced by the next good one, as `ImageReader` does.

    Args:
      config: sources and sizes.
      kind: "content" or "style".
      split: "train" or "validation".
      limit: bytes; None takes a share of the memory that is available now.
      styles: names of the pictures to take, in their order; () takes all.

    Raises:
      UserError: the source is missing, empty or bad, or its pictures do not fit into memory.
    """
    reader = ImageReader(source_of(config, kind, split, styles))
    count = len(reader.source)
    short = short_sides(config, crop_side(config, kind))[1]
    limit = int(SHARE * available_bytes()) if limit is None else limit

    def decode(index: int) -> np.ndarray:
        image = reader.read(index, min_side=short)
        if min(image.size) <= short:
            return np.asarray(image)
        shape = resized_shape(*image.size, short)
        return resize_crop(image, shape, (0, 0), shape)

    images, total = [], 0
    order = iter(range(count))
    bar = tqdm(total=count, desc=f"{kind} pictures", unit="", disable=None, leave=False)
    with ThreadPoolExecutor(max(1, config.threads)) as pool, bar:
        while group := list(islice(order, GROUP)):
            images += pool.map(decode, group)
            total += sum(image.size for image in images[-len(group) :])
            # Twice: the pictures one by one, and the array of all.
            if 2 * total > limit or total // 3 > MOST_PIXELS:
                raise SourceError(
                    f"config.data.resident keeps all {count} {kind} pictures in memory, but the "
                    f"first {len(images)} take {total / 2**20:.0f} MiB of {limit / 2**21:.0f}: "
                    "set it to False, or lower config.data.resize."
                )
            bar.update(len(group))
    sizes = np.asarray([image.shape[:2] for image in images], np.int32)
    ends = np.cumsum(sizes.prod(1, dtype=np.int64))
    pixels = np.empty((int(ends[-1]), 3), np.uint8)
    starts = (ends - sizes.prod(1)).astype(np.int32)
    for i, start in enumerate(starts):
        image, images[i] = images[i], None  # freed as it is copied
        pixels[start : start + image.shape[0] * image.shape[1]] = image.reshape(-1, 3)
    return Pictures(pixels, starts, sizes)
