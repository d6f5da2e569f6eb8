"""The engine: encode_style(images) -> StyleCode, stylize(images, code) -> images, batched."""

from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np
from flax import nnx

from din_jax.config import PRODUCTS
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError
from din_jax.inference import programs
from din_jax.inference.batching import (
    CompiledCache,
    batches_by,
    check_images,
    fill_up,
    one_of,
    placement,
    stacked,
)
from din_jax.inference.codes import checked_mixture, join_codes, region_count, take_codes
from din_jax.inference.fold import for_inference
from din_jax.inference.frames import Frame, fitted, pieces, reflected, wrapped
from din_jax.inference.passes import Progress
from din_jax.inference.pictures import check_style_size, prepare_style, round_up
from din_jax.inference.reading import Reading
from din_jax.inference.tiles import Tiler
from din_jax.layers.codes import StyleCode
from din_jax.layers.mixtures import Mixture
from din_jax.layers.styled import LayerStatistics
from din_jax.models.footprint import grid, reach
from din_jax.models.readers import style_numbers
from din_jax.weights.models import LoadedModel

ContentStatistics = Mapping[str, LayerStatistics]
DTYPES = ("float32", "bfloat16")


class Engine:
    """A loaded model, compiled for each size of image that it meets.

    The first image of a size pays for a compilation (a second to several on CPU); the programs of
    the last `cache` sizes are kept. Images of one size run together, up to `batch` at a time, as
    many as memory holds. A picture does not depend on what else is in its batch. One that is too
    large for memory is painted in pieces, which nothing in the result tells (`inference.tiles`).

    Args:
      loaded: what `load_model` gave.
      batch: images that run together; the memory needed grows with it.
      bucket: 0 compiles for every size of content; a multiple of 8 such as 64 compiles for
        multiples of it alone, which saves compilations for folders of mixed sizes. The result is
        the same: borders and statistics are those of the picture (`ops.extent`).
      style_size: short side in pixels to which style images are resized before encoding, aspect
        ratio kept; None takes the size that training cut its crops from (`data.resize`), 0 keeps
        their own.
      cache: compiled sizes kept, separately for contents and styles.
      dtype: "float32" or "bfloat16", computed in while painting; statistics are float32, and style
        codes are made in float32.
      devices: of JAX, over which a batch is divided; None takes the default one.
      tile: pixels along a side of the pieces of a large content: None chooses by the memory at
        hand, 0 never divides, else contents larger than that are divided.
      memory: bytes that painting may take; None takes what the machine or the device has left.
      products: "float32", or "bfloat16" for the 1x1 convolutions of the content network (not of the
        style's reader): factors of 8 bits, sums in float32. For processors that multiply them
        (AVX512-BF16, AMX); docs/RESULTS.md has times and the error.
      progress: `progress(done, total)` is called after each step of a content painted, or measured,
        in pieces, which takes seconds to minutes.

    Raises:
      UserError: an option that is not as said here.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        batch: int = 8,
        bucket: int = 0,
        style_size: int | None = None,
        cache: int = 32,
        dtype: str = "float32",
        devices: Sequence[jax.Device] | None = None,
        tile: int | None = None,
        memory: int | None = None,
        products: str = "float32",
        progress: Progress | None = None,
    ):
        if products not in PRODUCTS:
            raise UserError(f"products must be {' or '.join(PRODUCTS)}, not {products!r}.")
        if batch < 1 or cache < 1:
            raise UserError(f"batch and cache must be at least 1, not {batch} and {cache}.")
        if bucket < 0 or bucket % 8:
            raise UserError(f"bucket must be 0 or a multiple of 8, not {bucket}.")
        if dtype not in DTYPES:
            raise UserError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}.")
        if devices is not None and not devices:
            raise UserError("devices must name at least one, or be None for the default one.")
        self.loaded = loaded
        self.style_size = loaded.config.data.resize if style_size is None else style_size
        check_style_size(self.style_size)
        self._devices = len(devices or [0])
        self.batch = -(-batch // self._devices) * self._devices
        self._bucket = bucket
        config = loaded.config.model
        # VGG's decoder returns multiples of 8: what its pools drop it cannot restore.
        self._multiple = 8 if config.network == "vgg19" else 1
        self._sharded, place = placement(devices)
        graph, state = nnx.split(for_inference(loaded.model, products))
        self._state = place(nnx.to_pure_dict(state))  # plain dicts: dispatch is ten times faster
        self._encode = Reading(graph, config, cache)
        self._measure = CompiledCache(
            lambda *args: programs.measure(graph, dtype, False, *args), cache
        )
        self._stylize = CompiledCache(
            lambda *args: programs.stylize(graph, dtype, False, *args), cache
        )
        self._tiler = Tiler(
            loaded, graph, self._state, dtype, self._devices, self._sharded, tile, memory, cache,
            progress,
        )  # fmt: skip

    @property
    def compilations(self) -> int:
        """How many programs have been compiled so far."""
        caches = (self._encode, self._measure, self._stylize, self._tiler)
        return sum(each.compilations for each in caches)

    @property
    def temporary(self) -> int:
        """Most bytes that a compiled program that paints needs between arguments and result."""
        return self._stylize.temporary

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
          size: in the place of `style_size`, for these.

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
            filled = fill_up(indices, self.batch, self._devices)
            code = self._encode(self._state, self._sharded(np.stack([images[i] for i in filled])))
            codes.append(take_codes(code, range(len(indices))))
            order += indices
        return take_codes(join_codes(codes), np.argsort(order))

    def statistics(
        self,
        contents: Sequence[np.ndarray] | np.ndarray,
        code: Mixture,
        *,
        tile: int | None = None,
        seamless: bool = False,
    ) -> list[ContentStatistics]:
        """What `stylize` would normalize each content by, by level; arguments as there.

        Those of a frame can be averaged with earlier frames' (`pool_moments`), those of a whole
        picture given to a piece of it.

        Returns:
          Per content a dict from level name to `Moments` of one picture, or to a tuple of them, one
          for each of the `Regions` of a mixture by masks.
        """
        frames, code = self._frames(contents, code, seamless)
        found: list[ContentStatistics] = [{}] * len(frames)
        large, whole = self._tiler.choose(frames, tile, region_count(code))
        for indices, _, arguments in self._batches(frames, whole, code):
            moments = jax.device_get(self._measure(*arguments))
            for row, i in enumerate(indices):
                found[i] = one_of(moments, row)
        for i, side in large.items():
            found[i] = one_of(self._tiler.measure(frames[i], take_codes(code, [i]), side), 0)
        return found

    def stylize(
        self,
        contents: Sequence[np.ndarray] | np.ndarray,
        code: Mixture,
        *,
        statistics: Sequence[ContentStatistics] | None = None,
        tile: int | None = None,
        seamless: bool = False,
    ) -> list[np.ndarray]:
        """Paints content images, each in its own style; every result has its content's size.

        Args:
          contents: uint8 RGB [H, W, 3] each, any sizes; or [N, H, W, 3]. Sides below 32 pixels are
            extended by reflection and cut back.
          code: of `encode_style`, or a `Blend` or `Regions` of some (`layers.mixtures`); of as many
            pictures as contents, or of one for all. Masks cover the content, whatever their size.
          statistics: what the styled layers normalize each content by, as `self.statistics` gives
            it; None takes the content's own.
          tile: in the place of the engine's, for these.
          seamless: whether results are to tile the plane: each content is continued by its own
            other side. Exact where sides are multiples of 4 (8 for a VGG-19 network), else the
            grid of the deepest maps starts anew at the border, by up to 3 (7) pixels.

        Raises:
          UserError: no image, one of another type or shape, or a number of codes that does not fit.
        """
        measured = self.stylize_measured(
            contents, code, statistics=statistics, tile=tile, seamless=seamless
        )
        return measured[0]

    def stylize_measured(
        self,
        contents: Sequence[np.ndarray] | np.ndarray,
        code: Mixture,
        *,
        statistics: Sequence[ContentStatistics] | None = None,
        tile: int | None = None,
        seamless: bool = False,
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """`stylize`, and per image the share of values that clipping to [0, 1] changed."""
        frames, code = self._frames(contents, code, seamless)
        if statistics is not None and len(statistics) != len(frames):
            raise UserError(
                f"{len(frames)} contents need the statistics of each, not {len(statistics)}."
            )
        results: list[np.ndarray] = [None] * len(frames)
        changed = np.zeros(len(frames))
        large, whole = self._tiler.choose(frames, tile, region_count(code))
        for indices, filled, arguments in self._batches(frames, whole, code):
            given = statistics and stacked([statistics[i] for i in filled])
            images, counts = jax.device_get(self._stylize(*arguments, given))
            for i, image, count in zip(indices, images, counts, strict=False):
                rows, columns = (slice(*part) for part in frames[i].whole().own)
                # A copy: a view would keep the whole padded batch in memory.
                results[i], changed[i] = image[rows, columns].copy(), count
        for i, side in large.items():
            given = statistics and statistics[i]
            one = take_codes(code, [i])
            results[i], changed[i] = self._tiler.stylize(frames[i], one, side, given)
        return results, changed / [3 * np.prod(frame.content) for frame in frames]

    def _frames(self, contents, code: Mixture, seamless: bool) -> tuple[list[Frame], Mixture]:
        """Contents extended for the network, and the mixture, checked."""
        images = check_images(contents, "content")
        code = checked_mixture(code, self.loaded.model.levels, len(images))
        if not seamless:
            return [reflected(x, self._multiple, SMALLEST_SIDE) for x in images], code
        far = reach(self.loaded.config.model)
        if far is None:
            raise UserError(
                "a deformable layer reads as far as its offsets point, so that no border makes its "
                "result seamless: use another model, or leave seamless out."
            )
        inset = round_up(max(far, SMALLEST_SIDE), 8)
        return [wrapped(x, inset) for x in images], code

    def _batches(
        self, frames: Sequence[Frame], chosen: Sequence[int], code: Mixture
    ) -> Iterator[tuple[list[int], list[int], tuple]]:
        """(frames that run together, the same filled up, what programs take) of whole frames."""
        step = self._bucket or grid(self.loaded.config.model)
        keys = []  # rows and columns of the map, and whether it is larger than the picture
        for i in chosen:
            larger = bool(self._bucket or frames[i].inset)
            shape = tuple(round_up(n, step) for n in frames[i].shape)
            keys.append((shape if larger else frames[i].shape, larger))
        for shape, larger in dict.fromkeys(keys):
            same = [i for i, key in zip(chosen, keys, strict=True) if key == (shape, larger)]
            batch = self._tiler.batch(shape, self.batch, region_count(code))
            for start in range(0, len(same), batch):
                indices = same[start : start + batch]
                filled = fill_up(indices, batch, self._devices)
                some, codes = [frames[i] for i in filled], take_codes(code, filled)
                yield indices, filled, self._arguments(some, shape, larger, codes)

    def _arguments(
        self, frames: Sequence[Frame], shape: tuple[int, int], larger: bool, code: Mixture
    ) -> tuple:
        """What programs take: (images, where they end, arrays of the model, code)."""
        places = [frame.whole() for frame in frames]
        cut = pieces(frames, places, shape, exact=not larger)
        code = fitted(code, frames, places, shape, self.loaded.model.scales)
        return self._sharded(cut.images), cut._replace(images=None), self._state, code

    def prepare_style(self, image: np.ndarray, size: int | None = None) -> np.ndarray:
        """A style image as the model sees it (`pictures.prepare_style`); None is `style_size`."""
        return prepare_style(image, self.style_size if size is None else size)
