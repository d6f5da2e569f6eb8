"""The engine: encode_style(images) -> StyleCode, stylize(images, code) -> images, batched."""

from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from PIL import Image

from din_jax.data.decoding import resize_crop, resized_shape
from din_jax.errors import UserError
from din_jax.inference.batching import (
    CompiledCache,
    batches_by,
    check_images,
    fill_up,
    pad_to_multiple,
)
from din_jax.inference.codes import checked_mixture, join_codes, take_codes
from din_jax.layers.codes import StyleCode
from din_jax.layers.mixtures import Mixture
from din_jax.layers.styled import LayerStatistics
from din_jax.models.network import StylizationNetwork
from din_jax.models.readers import style_numbers
from din_jax.weights.models import LoadedModel

ContentStatistics = Mapping[str, LayerStatistics]
SMALLEST = 32  # pixels, the least side that the networks take


class Engine:
    """A loaded model, compiled for each size of image that it meets.

    The first image of a size pays for a compilation (a second to several on CPU); the programs of
    the last `cache` sizes are kept. Images of one size run together, up to `batch` at a time.
    A picture does not depend on what else is in its batch.

    Args:
      loaded: what `load_model` gave.
      batch: images that run together; the memory needed grows with it.
      bucket: 0 keeps every content at its exact size, so that results equal the plain network; a
        multiple of 8 such as 32 pads contents by reflection to multiples of it and cuts the result
        back, which saves compilations for folders of mixed sizes but lets the padding into the
        instance statistics.
      style_size: short side in pixels to which style images are resized before encoding, aspect
        ratio kept; None takes the size that training cut its crops from (`data.resize`), 0 keeps
        their own.
      cache: compiled sizes kept, separately for contents and styles.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        batch: int = 8,
        bucket: int = 0,
        style_size: int | None = None,
        cache: int = 32,
    ):
        if batch < 1 or cache < 1:
            raise UserError(f"batch and cache must be at least 1, not {batch} and {cache}.")
        if bucket < 0 or bucket % 8:
            raise UserError(f"bucket must be 0 or a multiple of 8, not {bucket}.")
        style_size = loaded.config.data.resize if style_size is None else style_size
        if style_size and style_size < SMALLEST:
            raise UserError(
                f"the style size must be 0 (keep) or at least {SMALLEST} pixels, not {style_size}."
            )
        self.loaded = loaded
        self.batch = batch
        self.style_size = style_size
        # VGG's decoder returns multiples of 8: what its pools drop it cannot restore.
        self._multiple = bucket or (8 if loaded.config.model.network == "vgg19" else 1)
        graph, state = nnx.split(loaded.model)
        self._state = nnx.to_pure_dict(state)  # plain dicts: dispatch is ten times faster
        self._encode = CompiledCache(lambda *args: _encode(graph, *args), cache)
        self._measure = CompiledCache(lambda *args: _measure(graph, *args), cache)
        self._stylize = CompiledCache(lambda *args: _stylize(graph, *args), cache)

    @property
    def compilations(self) -> int:
        """How many programs have been compiled so far."""
        programs = (self._encode, self._measure, self._stylize)
        return sum(program.compilations for program in programs)

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that the model has a table of, in the order of their numbers."""
        return self.loaded.config.model.styles

    def encode_style(
        self, images: Sequence[np.ndarray] | np.ndarray, *, size: int | None = None
    ) -> StyleCode:
        """Style images to one code that holds a kernel and a bias per image and level, in order.

        Args:
          images: uint8 RGB [H, W, 3] each, sizes may differ; or [N, H, W, 3]. For a model with a
            table of styles (`styles`), their names or numbers.
          size: short side in pixels to which they are resized, 0 keeps their own; None is
            `style_size`.

        Raises:
          UserError: no image, or one of another type or shape; a style that the table has not.
        """
        if self.styles:
            if len(images) == 0:
                raise UserError("at least one style is needed, but there is none.")
            return self._encode(self._state, style_numbers(self.styles, images))
        images = [self.prepare_style(x, size) for x in check_images(images, "style")]
        codes, order = [], []
        for indices in batches_by([x.shape for x in images], self.batch):
            filled = np.stack([images[i] for i in fill_up(indices, self.batch)])
            code = self._encode(self._state, filled)
            codes.append(take_codes(code, range(len(indices))))
            order += indices
        return take_codes(join_codes(codes), np.argsort(order))

    def statistics(
        self, contents: Sequence[np.ndarray] | np.ndarray, code: Mixture
    ) -> list[ContentStatistics]:
        """What `stylize` would normalize each content by, by level; arguments as there.

        Those of a frame can be averaged with earlier frames' (`pool_moments`), those of a whole
        picture given to a piece of it.

        Returns:
          Per content a dict from level name to `Moments` of one picture, or to a tuple of them, one
          for each of the `Regions` of a mixture by masks.
        """
        found: list[ContentStatistics] = [{}] * len(contents)
        for indices, arguments in self._batches(contents, code):
            moments = jax.device_get(self._measure(self._state, *arguments))
            for row, i in enumerate(indices):
                # Running statistics are one for the whole batch.
                found[i] = jax.tree.map(lambda x, row=row: x[min(row, len(x) - 1)][None], moments)
        return found

    def stylize(
        self,
        contents: Sequence[np.ndarray] | np.ndarray,
        code: Mixture,
        *,
        statistics: Sequence[ContentStatistics] | None = None,
    ) -> list[np.ndarray]:
        """Paints content images, each in its own style; every result has its content's size.

        Args:
          contents: uint8 RGB [H, W, 3] each, any sizes; or [N, H, W, 3]. Sides below 32 pixels are
            extended by reflection and cut back.
          code: of `encode_style`, or a `Blend` or `Regions` of some (`layers.mixtures`); of as many
            pictures as contents, or of one for all.
          statistics: what the styled layers normalize each content by, as `self.statistics` gives
            it; None takes the content's own.

        Raises:
          UserError: no image, one of another type or shape, or a number of codes that does not fit.
        """
        return self.stylize_measured(contents, code, statistics=statistics)[0]

    def stylize_measured(
        self,
        contents: Sequence[np.ndarray] | np.ndarray,
        code: Mixture,
        *,
        statistics: Sequence[ContentStatistics] | None = None,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """`stylize`, and per image the share of values that clipping to [0, 1] changed."""
        if statistics is not None and len(statistics) != len(contents):
            raise UserError(
                f"{len(contents)} contents need the statistics of each, not {len(statistics)}."
            )
        results: list[np.ndarray] = [None] * len(contents)
        outside = np.zeros(len(contents))
        for indices, arguments in self._batches(contents, code):
            given = statistics and _stacked([statistics[i] for i in fill_up(indices, self.batch)])
            images, shares = jax.device_get(self._stylize(self._state, *arguments, given))
            for i, image, share in zip(indices, images, shares, strict=False):
                height, width = contents[i].shape[:2]
                # A copy: a view would keep the whole padded batch in memory.
                results[i], outside[i] = image[:height, :width].copy(), share
        return results, outside

    def _batches(self, contents, code: Mixture) -> Iterator[tuple[list[int], tuple]]:
        """Numbers of contents that run together, and (images, sizes, mixture), filled up."""
        contents = check_images(contents, "content")
        code = checked_mixture(code, self.loaded.model.levels, len(contents))
        padded = [pad_to_multiple(x, self._multiple, SMALLEST) for x in contents]
        for indices in batches_by([x.shape for x in padded], self.batch):
            filled = fill_up(indices, self.batch)
            sizes = np.asarray([contents[i].shape[:2] for i in filled], np.int32)
            images = np.stack([padded[i] for i in filled])
            yield indices, (images, sizes, take_codes(code, filled))

    def prepare_style(self, image: np.ndarray, size: int | None = None) -> np.ndarray:
        """A style image as the model sees it, resized; a second time changes nothing more."""
        height, width = image.shape[:2]
        size = self.style_size if size is None else size
        if size and min(height, width) != size:
            shape = resized_shape(width, height, size)
            image = resize_crop(Image.fromarray(image), shape, (0, 0), shape, smooth=True)
        return pad_to_multiple(image, 1, SMALLEST)


def _encode(graph: nnx.GraphDef, state: dict, style: Array) -> StyleCode:
    """Of images uint8 [B, H, W, 3], or of the numbers [B] of known styles."""
    model: StylizationNetwork = nnx.merge(graph, state)
    known = bool(model.config.styles)
    return model.encode_style(style if known else style.astype(jnp.float32) / 255)


def _stacked(statistics: Sequence[ContentStatistics]) -> ContentStatistics:
    """Statistics of several contents as those of one batch."""
    return jax.tree.map(lambda *parts: np.concatenate(parts), *statistics)


def _measure(
    graph: nnx.GraphDef, state: dict, images: Array, sizes: Array, code: Mixture
) -> ContentStatistics:
    """What `_stylize` normalizes by without statistics; arguments as there."""
    model: StylizationNetwork = nnx.merge(graph, state)
    return model.content_statistics(images.astype(jnp.float32) / 255, code)


def _stylize(
    graph: nnx.GraphDef,
    state: dict,
    images: Array,
    sizes: Array,
    code: Mixture,
    statistics: ContentStatistics | None = None,
) -> tuple[Array, Array]:
    """uint8 [B, H, W, 3], and the share of clipped values in the first sizes[b] rows, columns."""
    model: StylizationNetwork = nnx.merge(graph, state)
    content = images.astype(jnp.float32) / 255
    stylized = model.stylize(content, code, statistics).astype(jnp.float32)
    clipped = jnp.clip(stylized, 0, 1)
    rows = jnp.arange(images.shape[1])[:, None] < sizes[:, 0, None, None]
    columns = jnp.arange(images.shape[2]) < sizes[:, 1, None, None]
    changed = (stylized != clipped) & (rows & columns)[..., None]
    shares = changed.sum((1, 2, 3)) / (3 * sizes.prod(1))
    return jnp.round(clipped * 255).astype(jnp.uint8), shares
