"""What the losses compare with, computed once for crops that a run then meets again and again.

A step runs VGG-19 over the content, the style, the stylized picture and back; the first two are the
same for a crop that comes again. Here K crops of every picture are fixed, their features (contents)
and the statistics of their features (styles) computed by one pass and kept, so that a step runs VGG
over the stylized picture alone. They lie in a folder named by everything that they depend on.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from tqdm import tqdm

from din_jax.data.resident import Pictures
from din_jax.download import cache_folder
from din_jax.errors import UserError
from din_jax.memory import available_bytes
from din_jax.models.vgg import VGGParams
from din_jax.training.draw import Cropper, PictureArrays, draw_crops

BATCH = 16  # crops that run through VGG together
VERSION = 1  # of what is computed; another number leaves old folders unused
SHARE = 0.7  # of the available memory that kept arrays may take
Compute = Callable[[VGGParams, Array], Any]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is kept of one side of the pairs.

    Attributes:
      kind: "content" or "style".
      crops: K, per picture.
      cropper: how they are drawn.
      compute: (VGG parameters, uint8 crops [B, c, c, 3]) to nested dicts of arrays [B, ...].
      says: what `compute` computes, in words that change when its numbers do.
    """

    kind: str
    crops: int
    cropper: Cropper
    compute: Compute
    says: str

    def rows(self, vgg: VGGParams, crops: Array) -> dict:
        return {"crops": crops, "targets": self.compute(vgg, crops)}


def keep_targets(
    pictures: Pictures, recipe: Recipe, vgg: VGGParams, *, folder: str | Path = ""
) -> dict:
    """K fixed crops of every picture and their targets, computed or read from an earlier run.

    Args:
      pictures: one side of the pairs.
      recipe: what to keep.
      vgg: parameters of the loss network.
      folder: where it is written; "" is the user's cache.

    Returns:
      {"crops": uint8 [N * K, c, c, 3], "targets": as `recipe.compute` gives, [N * K, ...]}, arrays
      that are mapped from their files.

    Raises:
      UserError: they do not fit into memory, or the folder cannot be written to.
    """
    side = recipe.cropper.crop
    rows = jax.eval_shape(recipe.rows, vgg, jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8))
    leaves, structure = jax.tree_util.tree_flatten_with_path(rows)
    count = len(pictures) * recipe.crops
    shapes = {
        jax.tree_util.keystr(path, simple=True, separator="."): ((count, *x.shape[1:]), x.dtype)
        for path, x in leaves
    }
    size = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in shapes.values())
    if size > SHARE * available_bytes():
        raise UserError(
            f"config.data.kept_crops={recipe.crops} keeps {size / 2**30:.1f} GiB of {recipe.kind} "
            f"targets, but {available_bytes() / 2**30:.1f} GiB of memory are left: lower it, or "
            "config.data.crop."
        )
    place = Path(folder).expanduser() if folder else cache_folder() / "targets"
    path = place / f"{recipe.kind}-{_fingerprint(pictures, recipe, vgg)[:24]}"
    if not _complete(path, shapes):
        print(
            f"Computing VGG-19's targets of {count} {recipe.kind} crops once, "
            f"{size / 2**20:.0f} MiB in {path}",
            flush=True,
        )
        try:
            _write(path, shapes, _batches(pictures, recipe, vgg))
        except OSError as error:
            raise UserError(
                f"kept targets need a folder to write {size / 2**20:.0f} MiB to, but {place} "
                f"is none ({error.strerror}): set config.data.kept_folder to another."
            ) from error
    return jax.tree.unflatten(
        structure, [np.load(path / f"{name}.npy", mmap_mode="r") for name in shapes]
    )


def _batches(pictures: Pictures, recipe: Recipe, vgg: VGGParams) -> Iterator[list[np.ndarray]]:
    """The leaves of `BATCH` rows after the other, in order."""
    indices = np.repeat(np.arange(len(pictures), dtype=np.int32), recipe.crops)
    arrays = jax.device_put(PictureArrays(pictures.pixels, pictures.starts, pictures.sizes))
    # The same crops in every run, whatever its seed.
    key = jax.random.key(20200207 + (recipe.kind == "style"))

    @jax.jit
    def rows(arrays: PictureArrays, vgg: VGGParams, indices: Array, numbers: Array) -> dict:
        keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
        return recipe.rows(vgg, draw_crops(arrays, recipe.cropper, indices, keys))

    text = f"{recipe.kind} targets"
    with tqdm(total=len(indices), desc=text, unit="crop", disable=None, leave=False) as bar:
        for start in range(0, len(indices), BATCH):
            numbers = np.arange(start, start + BATCH) % len(indices)  # the last is filled up
            found = rows(arrays, vgg, indices[numbers], numbers)
            real = min(BATCH, len(indices) - start)
            yield [np.asarray(x)[:real] for x in jax.tree.leaves(found)]
            bar.update(real)


def _fingerprint(pictures: Pictures, recipe: Recipe, vgg: VGGParams) -> str:
    """SHA-256 of all that the numbers depend on."""
    cropper = dataclasses.asdict(recipe.cropper)
    facts = [VERSION, recipe.kind, recipe.crops, cropper, recipe.says, pictures.digest()]
    found = hashlib.sha256(json.dumps(facts).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(vgg):
        found.update(jax.tree_util.keystr(path).encode())
        found.update(np.ascontiguousarray(leaf).data)
    return found.hexdigest()


def _complete(path: Path, shapes: dict[str, tuple]) -> bool:
    """Whether all files are there in full; a damaged folder is computed anew."""
    try:
        found = {name: np.load(path / f"{name}.npy", mmap_mode="r") for name in shapes}
    except (OSError, ValueError):
        return False
    return all((found[n].shape, found[n].dtype) == wanted for n, wanted in shapes.items())


def _write(path: Path, shapes: dict[str, tuple], batches: Iterator[list[np.ndarray]]):
    """Streams rows into one .npy file a name; the folder appears complete or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        files = [
            np.lib.format.open_memmap(temporary / f"{name}.npy", "w+", dtype, shape)
            for name, (shape, dtype) in shapes.items()
        ]
        start = 0
        for leaves in batches:
            stop = start + len(leaves[0])
            for file, rows in zip(files, leaves, strict=True):
                file[start:stop] = rows
            start = stop
        for file in files:
            file.flush()
        shutil.rmtree(path, ignore_errors=True)  # a damaged one
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
