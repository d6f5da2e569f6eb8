"""Batches of content x style crops for training, and the fixed pairs for validation.

The pipeline on each side is: numbers 0..n-1, shuffled anew each epoch, each read, resized and
cropped with a random generator of its own record, every `shard_count`-th kept, repeated. Because
the crop belongs to the record's place in the global order, shards are disjoint and the union over
shards does not depend on their number. Content and style are shuffled independently. Pictures
stay uint8 until they are on the device.
"""

import dataclasses
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from din_jax.config import DataConfig
from din_jax.data.crops import jitter_colors, random_crop
from din_jax.data.decoding import resize_crop, resized_shape
from din_jax.data.known_styles import known_styles
from din_jax.data.opening import open_source
from din_jax.data.reader import ImageReader
from din_jax.data.sources import Source, SourceError, split_source

if TYPE_CHECKING:
    import grain

_PURPOSES = {"content shuffle": 0, "content crop": 1, "style shuffle": 2, "style crop": 3}


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """Record number -> uint8 [crop, crop, 3]: read, resize, crop, flip, jitter.

    Args:
        reader: where pictures come from.
        crop: side of the result, px.
        short_sides: (least, greatest) short side after resizing, px; drawn log-uniformly.
        flip: mirror left and right with probability 1/2.
        jitter: strength of the color jitter, 0..1.
    """

    reader: ImageReader
    crop: int
    short_sides: tuple[int, int]
    flip: bool = True
    jitter: float = 0.0

    def __call__(self, index: int, rng: np.random.Generator) -> np.ndarray:
        low, high = self.short_sides
        # The number of draws is the same for every setting, so that settings do not interact.
        scale, left, top, mirror = rng.random(4)
        short = min(high, round(low * (high / low) ** scale))
        image = self.reader.read(index, min_side=short)
        pixels = random_crop(image, short, self.crop, left, top)
        if self.flip and mirror < 0.5:
            pixels = pixels[:, ::-1]
        if self.jitter > 0:
            pixels = jitter_colors(pixels, self.jitter, rng)
        return np.ascontiguousarray(pixels)


@dataclasses.dataclass(frozen=True)
class CenterCrop:
    """Record number -> the central uint8 [crop, crop, 3] at a fixed scale."""

    reader: ImageReader
    crop: int
    short: int

    def __call__(self, index: int) -> np.ndarray:
        image = self.reader.read(index, min_side=self.short)
        resized = resized_shape(*image.size, self.short)
        corner = (resized[0] - self.crop) // 2, (resized[1] - self.crop) // 2
        return resize_crop(image, resized, corner, (self.crop, self.crop))


def make_batches(
    config: DataConfig,
    batch: int,
    seed: int,
    *,
    split: str = "train",
    shard_index: int = 0,
    shard_count: int = 1,
    styles: Sequence[str] = (),
) -> "grain.IterDataset":
    """Endless batches {"content", "style"}, each uint8 [batch, side, side, 3] RGB.

    With `styles` also "style_number", int32 [batch]: the place among them of the style's name.

    Sides are `config.crop` and `config.style_crop` (0: the same). `iter()` of the result has
    `get_state` and `set_state`, which resume exactly under the same configuration and number of
    workers; close the iterator when `config.workers` is positive.

    Args:
        config: sources, sizes, augmentation, threads and workers.
        batch: pictures per batch in this process.
        seed: of shuffling and cropping; 0 or more.
        split: "train" (shuffled, random crops) or "validation" (in order, center crops).
        shard_index, shard_count: this process's number among all, for disjoint shards.
        styles: names of the style pictures to take, in every split; () takes all.

    Raises:
        UserError: a source is missing, empty or bad, or an argument is out of range.
    """
    return make_pipeline(
        config, batch, seed, split=split, shard_index=shard_index, shard_count=shard_count,
        styles=styles,
    )(batch)  # fmt: skip


def make_pipeline(
    config: DataConfig,
    batch: int,
    seed: int,
    *,
    split: str = "train",
    shard_index: int = 0,
    shard_count: int = 1,
    styles: Sequence[str] = (),
) -> Callable[[int], "grain.IterDataset"]:
    """`make_batches` with the size of a batch left open: all have the same pairs in a row."""
    import grain

    if batch < 1 or not 0 <= shard_index < shard_count or seed < 0:
        raise SourceError(
            "a pipeline needs batch >= 1, seed >= 0 and 0 <= shard_index < shard_count, but got "
            f"batch {batch}, seed {seed}, shard {shard_index} of {shard_count}."
        )
    if split not in ("train", "validation"):
        raise SourceError(f"split must be 'train' or 'validation', but is '{split}'.")
    content, _ = _side(config, "content", seed, split, shard_index, shard_count)
    style, numbers = _side(config, "style", seed, split, shard_index, shard_count, styles)
    sides = [content, style, *([numbers] if styles else [])]
    pairs = grain.experimental.ZipMapDataset(sides).map(_name_pair)

    def batched(size: int) -> grain.IterDataset:
        batches = pairs.batch(size, drop_remainder=True).to_iter_dataset(_read_options(config))
        if config.workers > 0:
            _parse_absl_flags()
            options = grain.MultiprocessingOptions(
                num_workers=config.workers, per_worker_buffer_size=buffered(config)
            )
            batches = batches.mp_prefetch(options, functools.partial(_end_with, os.getpid()))
        return batches

    return batched


def validation_pairs(
    config: DataConfig, count: int, seed: int, styles: Sequence[str] = ()
) -> list[dict[str, np.ndarray]]:
    """`count` fixed pairs {"content", "style"} of uint8 [side, side, 3] center crops.

    With `styles`, the names of those to take, also "style_number", their place among them.

    The pictures come from `content_validation` and `style_validation`, or are those held out of
    the training sources; the same seed gives the same pairs in every call. They repeat, in other
    combinations, if there are fewer pictures than `count`.

    Raises:
        UserError: no pictures for validation.
    """
    chosen = []
    for kind in ("content", "style"):
        source = source_of(config, kind, "validation", styles if kind == "style" else ())
        reader, crop = ImageReader(source), crop_side(config, kind)
        center = CenterCrop(reader, crop, _typical_short_side(config, crop))
        rng = np.random.default_rng([seed, kind == "style"])
        rounds = math.ceil(count / len(reader.source))
        order = np.concatenate([rng.permutation(len(reader.source)) for _ in range(rounds)] or [[]])
        chosen.append([center(int(index)) for index in order[:count]])
    if styles:
        chosen.append([np.int32(index) for index in order[:count]])
    return [_name_pair(pair) for pair in zip(*chosen, strict=True)]


def _side(config, kind, seed, split, shard_index, shard_count, styles=()) -> tuple:
    """One side of the pairs: an endless MapDataset of uint8 crops, and one of their records."""
    import grain

    reader = ImageReader(source_of(config, kind, split, styles))
    crop = crop_side(config, kind)
    numbers = grain.MapDataset.range(len(reader.source))
    if split == "train":
        jitter = config.style_jitter if kind == "style" else 0.0
        cropper = RandomCrop(reader, crop, short_sides(config, crop), config.flip, jitter)
        numbers = numbers.shuffle(seed=_derive_seed(seed, f"{kind} shuffle"))
        crops = numbers.random_map(cropper, seed=_derive_seed(seed, f"{kind} crop"))
    else:
        crops = numbers.map(CenterCrop(reader, crop, _typical_short_side(config, crop)))

    def own(records):
        if len(reader.source) < shard_count:  # tiny sets: every shard needs at least one record
            records = records.repeat(math.ceil(shard_count / len(reader.source)))
        usable = len(records) // shard_count * shard_count
        return records.slice(slice(shard_index, usable, shard_count)).repeat()

    return own(crops), own(numbers)


def source_of(config: DataConfig, kind: str, split: str, styles: Sequence[str] = ()) -> Source:
    """The "content" or "style" pictures of the "train" or "validation" part.

    With `styles` those of these names, the same ones to train and to validate on: no row of a table
    is learned for another.
    """
    training, validation = getattr(config, kind), getattr(config, f"{kind}_validation")
    size = max(config.resize, crop_side(config, kind))
    if styles:
        return known_styles(open_source(training, kind, size=size), styles)
    if validation:
        return open_source(training if split == "train" else validation, kind, size=size)
    parts = split_source(open_source(training, kind, size=size), config.validation)
    part = parts[0] if split == "train" else parts[1]
    if not len(part):
        raise SourceError(
            f"validation needs {kind} pictures, but none are held out: set data.validation above "
            f"0 or data.{kind}_validation to a source."
        )
    return part


def buffered(config: DataConfig) -> int:
    """Batches that each decoding process holds ready for the run's, beside those it has ahead."""
    return max(1, config.prefetch // 8)


def crop_side(config: DataConfig, kind: str) -> int:
    """Side of the square crops of a kind, px."""
    return config.style_crop or config.crop if kind == "style" else config.crop


def short_sides(config: DataConfig, crop: int) -> tuple[int, int]:
    """(least, greatest) short side of a picture before a crop of `crop` px is cut, px."""
    high = max(config.resize, crop)
    return max(crop, round(config.resize / config.zoom)), high


def _typical_short_side(config: DataConfig, crop: int) -> int:
    low, high = short_sides(config, crop)
    return round(math.sqrt(low * high))


def _read_options(config: DataConfig):
    import grain

    return grain.ReadOptions(
        num_threads=min(config.threads, config.prefetch), prefetch_buffer_size=config.prefetch
    )


def _derive_seed(seed: int, purpose: str) -> int:
    """A 32-bit seed of its own for each use of randomness."""
    return int(np.random.SeedSequence([seed, _PURPOSES[purpose]]).generate_state(1)[0])


def _name_pair(parts: tuple) -> dict[str, np.ndarray]:
    named = dict(zip(("content", "style", "style_number"), parts, strict=False))
    if "style_number" in named:
        named["style_number"] = np.int32(named["style_number"])
    return named


def _end_with(parent: int, *_: int) -> None:
    """Called in a worker process: it ends within a second of its parent, whatever killed that."""

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if os.name == "posix":  # elsewhere a process keeps the number of a parent that has died
        threading.Thread(target=watch, daemon=True).start()


def _parse_absl_flags() -> None:
    """grain's worker processes read absl flags, which only `absl.app.run` parses."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
