"""Where a step's batch comes from: grain's batches, made on the host, or pictures that live on the
device, of which the step draws its own.

Both are used alike: `take(count)` gives what the host sends along for the next `count` steps or
fewer, and for how many; `draw(arrays, taken, i, step)`, pure and inside the jitted call, makes the
batch of one of them. `Feed.arrays` lies on the devices all the time.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from din_jax.config import Config
from din_jax.data.pairs import buffered, make_pipeline
from din_jax.data.resident import Pictures, load_pictures
from din_jax.errors import UserError
from din_jax.models.vgg import VGGParams
from din_jax.training.draw import Cropper, PictureArrays, draw_crops
from din_jax.training.flats import with_flat_contents
from din_jax.training.measures import per_second
from din_jax.training.mesh import BATCH, batch_sharding, local_batch, replicated
from din_jax.training.objective import Objective
from din_jax.training.targets import Recipe, keep_targets

Batch = dict[str, Any]
KINDS = ("content", "style")


def with_own_styles(batch: Batch, share: float, key: Array) -> Batch:
    """The batch, in which some contents, each with probability `share`, are their own style.

    The identity loss of Park & Lee 2019 (SANet, eq. 7) as pairs among the others: what such a pair
    is held to is the content itself. Targets that are kept have those of contents as styles in
    "own".
    """
    batch = dict(batch)
    targets = dict(batch.get("targets", {}))
    own = targets.pop("own", {})
    if targets:
        batch["targets"] = targets
    if not share:
        return batch
    chosen = jax.random.bernoulli(key, share, (len(batch["content"]),))

    def choose(mine: Array, other: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *[1] * (mine.ndim - 1)), mine, other)

    batch["style"] = choose(batch["content"], batch["style"])
    for name, values in own.items():
        targets[name] = jax.tree.map(choose, values, targets[name])
    return batch


def _changed(batch: Batch, shares: tuple[float, float], key: Array) -> Batch:
    """The batch with shares of flat contents, and of contents that are their own styles."""
    flat, identity = shares
    # Runs without flat pictures draw what they always drew.
    batch = with_flat_contents(batch, flat, jax.random.fold_in(key, 1))
    return with_own_styles(batch, identity, key)


class HostFeed:
    """Batches of `data.pairs.make_pipeline`; each process reads its own part of them."""

    arrays: dict = {}
    attempt = 0  # how often the run has been rolled back; the iterator is further on then

    def __init__(self, config: Config, mesh: Mesh):
        self.config = config
        self._local = local_batch(config.train.batch)
        self._batched = make_pipeline(
            config.data,
            self._local,
            config.seed,
            shard_index=jax.process_index(),
            shard_count=jax.process_count(),
            styles=config.trained_styles,
        )
        self.iterator = iter(self._batched(self._local))
        self._failed: UserError | None = None
        self.most = config.train.steps_per_call
        self.shares = config.data.flat, config.data.identity
        self.key = jax.random.key(config.seed)
        self.sharding = NamedSharding(mesh, PartitionSpec(None, BATCH))

    def take(self, count: int) -> tuple[Batch, int]:
        """The next `count` batches, [steps_per_call, B, H, W, 3] each, the rest zeros; how many.

        They are fewer where the input fails behind them: then the next call raises its error, so
        that the iterator stands behind what was taught when the run is saved.
        """
        batches = []
        while len(batches) < count and not self._failed:
            try:
                batches.append(next(self.iterator))
            except UserError as error:
                if jax.process_count() > 1:
                    raise  # the others take all of them: fewer here would part their collectives
                self._failed = error
        if not batches:
            raise self._failed
        count = len(batches)

        def send(*parts: np.ndarray) -> Array:
            stacked = np.zeros((self.most, *np.shape(parts[0])), np.asarray(parts[0]).dtype)
            stacked[:count] = parts
            return jax.make_array_from_process_local_data(self.sharding, stacked)

        return jax.tree.map(send, *batches), count

    def draw(self, arrays: dict, taken: Batch, i: Array, step: Array) -> Batch:
        batch = jax.tree.map(lambda x: x[i], taken)
        return _changed(batch, self.shares, jax.random.fold_in(self.key, step))

    def alone(self) -> float:
        """Pairs a second that the pipeline delivers while nothing else runs, of all processes, if
        they are as fast as this one; measured with an iterator of its own, within seconds.

        The run's iterator stays where it is, and draws what it would have drawn.
        """
        data = self.config.data
        threads = min(data.threads, data.prefetch)
        made = data.workers * (data.prefetch + buffered(data))
        iterator = iter(self._batched(1))  # single pairs: sooner done
        try:
            return jax.process_count() * per_second(iterator, threads * max(1, data.workers), made)
        finally:
            _close(iterator)

    def close(self):
        _close(self.iterator)


def _close(iterator):
    if hasattr(iterator, "close"):
        iterator.close()


class ResidentFeed:
    """Pictures in the memory of the device; crops are drawn from the seed and the step's number.

    With `config.data.kept_crops` the crops are fixed, with their targets beside them. Pictures are
    drawn with replacement, so that a step needs no order to be kept.
    """

    iterator = None  # nothing to resume: a batch follows from the step
    attempt = 0  # how often the run has been rolled back: after it, a step has another batch

    def __init__(self, config: Config, mesh: Mesh, objective: Objective, vgg: VGGParams):
        if jax.process_count() > 1:
            raise UserError(
                "config.data.resident keeps all pictures in one process, but there are "
                f"{jax.process_count()}: set it to False, so that each host reads its part."
            )
        self.config, self.batch = config, config.train.batch
        self.key = jax.random.key(config.seed)
        self.croppers = {kind: Cropper.of(config.data, kind) for kind in KINDS}
        self.split = batch_sharding(mesh)
        self.whole = whole = replicated(mesh)
        self.arrays = {}
        for kind in KINDS:
            styles = config.trained_styles if kind == "style" else ()
            pictures = load_pictures(config.data, kind, styles=styles)
            if config.data.kept_crops:
                kept = self._kept(pictures, kind, objective, vgg)
                self.arrays[kind] = jax.device_put(kept, whole)
            else:
                placed = PictureArrays(pictures.pixels, pictures.starts, pictures.sizes)
                self.arrays[kind] = jax.device_put(placed, whole)

    def _kept(self, pictures: Pictures, kind: str, objective: Objective, vgg: VGGParams) -> dict:
        compute = objective.content_targets if kind == "content" else objective.style_targets
        says = f"{objective.computes} in {self.config.train.products}"
        if kind == "content" and self.config.data.identity:
            compute, says = objective.own_targets, f"{says}, also as styles"
        recipe = Recipe(
            kind,
            self.config.data.kept_crops,
            self.croppers[kind],
            lambda params, crops: compute(params, crops.astype(jnp.float32) / 255),
            says,
        )
        return keep_targets(pictures, recipe, vgg, folder=self.config.data.kept_folder)

    def take(self, count: int) -> tuple[Batch, int]:
        if not self.config.train.rollbacks:
            return {}, count
        return {"attempt": jax.device_put(np.int32(self.attempt), self.whole)}, count

    def draw(self, arrays: dict, taken: Batch, i: Array, step: Array) -> Batch:
        """The batch of a step: {"content", "style"}, and "targets" where they are kept."""
        batch: Batch = {}
        step_key = jax.random.fold_in(self.key, step)
        if "attempt" in taken:
            again = jax.random.fold_in(step_key, taken["attempt"])
            step_key = jnp.where(taken["attempt"] > 0, again, step_key)
        keys = jax.random.split(step_key, 2 * len(KINDS))
        for kind, key, crop_key in zip(KINDS, keys[::2], keys[1::2], strict=True):
            held = arrays[kind]
            if isinstance(held, PictureArrays):
                chosen = jax.random.randint(key, (self.batch,), 0, len(held.starts))
                keys_of_crops = jax.random.split(crop_key, self.batch)
                batch[kind] = draw_crops(held, self.croppers[kind], chosen, keys_of_crops)
                numbers = chosen
            else:
                rows = jax.random.randint(key, (self.batch,), 0, len(held["crops"]))
                row = jax.tree.map(lambda x, rows=rows: x[rows], held)
                batch[kind] = row["crops"]
                batch["targets"] = batch.get("targets", {}) | row["targets"]
                numbers = rows // self.config.data.kept_crops
            if kind == "style" and self.config.model.styles:
                batch["style_number"] = numbers
        # Another key than those split off above.
        own = jax.random.fold_in(step_key, len(keys))
        batch = _changed(batch, (self.config.data.flat, self.config.data.identity), own)
        return jax.lax.with_sharding_constraint(batch, self.split)

    def alone(self) -> None:
        """Nothing is waited for."""

    def close(self):
        pass
