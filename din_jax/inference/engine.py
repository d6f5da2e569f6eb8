"""The engine: encode_style(images) -> StyleCode, stylize(images, code) -> images, batched."""

from collections.abc import Sequence

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
from din_jax.layers.codes import StyleCode
from din_jax.models.network import StylizationNetwork
from din_jax.models.readers import style_numbers
from din_jax.weights.models import LoadedModel

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
        self._stylize = CompiledCache(lambda *args: _stylize(graph, *args), cache)

    @property
    def compilations(self) -> int:
        """How many programs have been compiled so far."""
        return self._encode.compilations + self._stylize.compilations

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

    def stylize(
        self, contents: Sequence[np.ndarray] | np.ndarray, code: StyleCode
    ) -> list[np.ndarray]:
        """Paints content images, each in its own style code; every result has its content's size.

        Args:
          contents: uint8 RGB [H, W, 3] each, any sizes; or [N, H, W, 3]. Sides below 32 pixels are
            extended by reflection and cut back.
          code: of `encode_style`; as many codes as contents, or one for all.

        Raises:
          UserError: no image, one of another type or shape, or a number of codes that does not fit.
        """
        return self.stylize_measured(contents, code)[0]

    def stylize_measured(
        self, contents: Sequence[np.ndarray] | np.ndarray, code: StyleCode
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """`stylize`, and per image the share of values that clipping to [0, 1] changed."""
        contents = check_images(contents, "content")
        count = code_count(code)
        if count not in (1, len(contents)):
            raise UserError(
                f"{len(contents)} contents need as many style codes, or one for all, not {count}."
            )
        padded = [pad_to_multiple(x, self._multiple, SMALLEST) for x in contents]
        results: list[np.ndarray] = [None] * len(contents)
        outside = np.zeros(len(contents))
        for indices in batches_by([x.shape for x in padded], self.batch):
            filled = fill_up(indices, self.batch)
            sizes = np.asarray([contents[i].shape[:2] for i in filled], np.int32)
            codes = take_codes(code, [0] * len(filled) if count == 1 else filled)
            images, shares = self._stylize(
                self._state, np.stack([padded[i] for i in filled]), sizes, codes
            )
            images, shares = np.asarray(images), np.asarray(shares)
            for i, image, share in zip(indices, images, shares, strict=False):
                height, width = contents[i].shape[:2]
                # A copy: a view would keep the whole padded batch in memory.
                results[i], outside[i] = image[:height, :width].copy(), share
        return results, outside

    def prepare_style(self, image: np.ndarray, size: int | None = None) -> np.ndarray:
        """A style image as the model sees it, resized; a second time changes nothing more."""
        height, width = image.shape[:2]
        size = self.style_size if size is None else size
        if size and min(height, width) != size:
            shape = resized_shape(width, height, size)
            image = resize_crop(Image.fromarray(image), shape, (0, 0), shape, smooth=True)
        return pad_to_multiple(image, 1, SMALLEST)


def take_codes(code: StyleCode, indices: Sequence[int] | np.ndarray) -> StyleCode:
    """The codes of some images, in the order asked for; an index may repeat."""
    chosen = np.asarray(indices)
    return jax.tree.map(lambda x: x[chosen], code)


def join_codes(codes: Sequence[StyleCode]) -> StyleCode:
    """Several codes as one, in order."""
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *codes)


def code_count(code: StyleCode) -> int:
    """How many images a code holds styles for."""
    return next(iter(code.values())).bias.shape[0]


def _encode(graph: nnx.GraphDef, state: dict, style: Array) -> StyleCode:
    """Of images uint8 [B, H, W, 3], or of the numbers [B] of known styles."""
    model: StylizationNetwork = nnx.merge(graph, state)
    known = bool(model.config.styles)
    return model.encode_style(style if known else style.astype(jnp.float32) / 255)


def _stylize(
    graph: nnx.GraphDef, state: dict, images: Array, sizes: Array, code: StyleCode
) -> tuple[Array, Array]:
    """uint8 [B, H, W, 3], and the share of clipped values in the first sizes[b] rows, columns."""
    model: StylizationNetwork = nnx.merge(graph, state)
    stylized = model.stylize(images.astype(jnp.float32) / 255, code).astype(jnp.float32)
    clipped = jnp.clip(stylized, 0, 1)
    rows = jnp.arange(images.shape[1])[:, None] < sizes[:, 0, None, None]
    columns = jnp.arange(images.shape[2]) < sizes[:, 1, None, None]
    changed = (stylized != clipped) & (rows & columns)[..., None]
    shares = changed.sum((1, 2, 3)) / (3 * sizes.prod(1))
    return jnp.round(clipped * 255).astype(jnp.uint8), shares
