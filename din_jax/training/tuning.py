"""A style's code fitted to its picture: what the nets guess at once, improved by gradient steps.

    code* = argmin  sum over contents c of  L(g(c; code), c, s),   begun at code(s)
            code

with the perceptual loss L that the model was trained with and its content network g, which stays as
it is. So a tuned code paints as fast as any, lies in a bank beside others and is mixed with them.
Dumoulin et al. 2017 ("A Learned Representation for Artistic Style") add a style to a trained
network in the same way, by the parameters of its norms alone.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from din_jax.config import Config, DataConfig, LossConfig
from din_jax.data.opening import open_source
from din_jax.data.pairs import RandomCrop, short_sides
from din_jax.data.reader import ImageReader
from din_jax.data.sources import Source
from din_jax.errors import UserError
from din_jax.layers.codes import StyleCode
from din_jax.models.vgg import VGGParams
from din_jax.training.objective import Objective, Targets
from din_jax.weights import VGGWeights, vgg19_of
from din_jax.weights.models import LoadedModel

SHARE = 8  # one of so many crops is held out
Report = Callable[[int, dict[str, float]], None]


@dataclasses.dataclass(frozen=True)
class Tuning:
    """How a code is tuned: Adam, cosine decay to a twentieth.

    Attributes:
      rate: Adam's, of kernels and biases alike.
      batch: crops a step, of the size and at the scales of the model's training. In equal time one
        crop a step goes further than four (docs/RESULTS.md).
      crops: how many there are, a `SHARE`th of them held out to judge by.
      seed: of the crops.
    """

    rate: float = 5e-3
    batch: int = 1
    crops: int = 96
    seed: int = 0


class Tuned(NamedTuple):
    """A code and its losses on the held-out crops.

    Attributes:
      code: the tuned one; the given one where tuning did not lower the total.
      before: "content", "style" and "total" of the given code, of pictures clipped to [0, 1].
      after: of the tuned one.
    """

    code: StyleCode
    before: dict[str, float]
    after: dict[str, float]

    @property
    def improved(self) -> bool:
        return self.after["total"] < self.before["total"]


def loss_of(config: Config, style_weight: float | None = None) -> LossConfig:
    """What a model's codes are tuned by: the loss of its training.

    Less what one style alone does not have: others to contrast with.
    """
    weight = config.loss.style_weight if style_weight is None else style_weight
    return dataclasses.replace(config.loss, style_weight=weight, contrast_weight=0.0)


class Tuner:
    """Tunes codes of one model, one style after the other; compiled once.

    Args:
      loaded: the model.
      contents: what to paint meanwhile: "synthetic" (drawn scenes), a folder of photographs or
        "tfds:NAME", as `config.data.content`, or a source of pictures.
      style_weight: in the place of the training's, None takes that: larger ones pay in content.
      vgg: the file of VGG-19 weights, as of `weights.find_vgg19`.
      tuning: how.

    Raises:
      UserError: no such contents, a setting that is none.
      WeightsError, WeightsNotFound: of the VGG-19.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        contents: str | Source = "synthetic",
        style_weight: float | None = None,
        vgg: str = "",
        tuning: Tuning = Tuning(),
    ):
        if style_weight is not None and not 0 <= style_weight < np.inf:
            raise UserError(f"the style weight must be 0 or more, not {style_weight}.")
        self.tuning = tuning
        config = dataclasses.replace(loaded.config, loss=loss_of(loaded.config, style_weight))
        c = config.loss
        layers = {*c.content_layers, *c.style_layers}
        weights: VGGWeights = vgg19_of(config, layers, vgg)
        objective = dataclasses.replace(
            Objective.of(config, weights.preprocessing), read=(), maps=False
        )
        self._vgg = jax.tree.map(jnp.asarray, dict(weights.params))
        self._crops = _crops(contents, config.data, tuning)
        graph, state = nnx.split(loaded.model)
        self._state = nnx.to_pure_dict(state)
        self._content_targets = jax.jit(objective.content_targets)
        self._style_targets = jax.jit(objective.style_targets)
        self._targets: dict[int, Targets] = {}
        self._measured: tuple[int, ...] = ()  # shape of the last style

        def losses(code: StyleCode, state, vgg: VGGParams, content: Array, targets: Targets, clip):
            model = nnx.merge(graph, state)
            count = len(content)
            shared = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape[1:])), code)
            painted = model.stylize(content, shared)
            total, parts = objective(vgg, jnp.clip(painted, 0, 1) if clip else painted, targets)
            return total, {name: parts[name] for name in ("content", "style", "total")}

        def update(code, moments, rate, state, vgg, content, targets):
            slope, parts = jax.grad(losses, has_aux=True)(code, state, vgg, content, targets, False)
            with jax.numpy_dtype_promotion("standard"):  # Optax raises a float to its int32 count
                change, moments = self._optimizer.update(slope, moments, code)
            return jax.tree.map(lambda x, dx: x - rate * dx, code, change), moments, parts

        self._optimizer = optax.scale_by_adam()
        self._update = jax.jit(update, donate_argnums=(0, 1))
        self._measure = jax.jit(lambda *args: losses(*args, True)[1])

    def __call__(
        self,
        style: np.ndarray,
        code: StyleCode,
        steps: int = 200,
        report: Report = lambda step, losses: None,
    ) -> Tuned:
        """The code of one style, tuned.

        Args:
          style: the picture as it was encoded, uint8 [H, W, 3]; its statistics are the aim.
          code: of `Engine.encode_style`, of one style; begun at.
          steps: how many; of the included model one takes a core a quarter of a second.
          report: told the losses of every step.

        Returns:
          The code, float32 arrays, and what it gained.

        Raises:
          UserError: fewer than one step, a code of several styles.
        """
        if steps < 1:
            raise UserError(f"tuning takes at least one step, not {steps}.")
        if any(len(x) != 1 for x in jax.tree.leaves(code)):
            raise UserError("codes are tuned one style at a time.")
        if style.shape != self._measured:  # a folder has many sizes, and each has its program
            self._style_targets.clear_cache()
            self._measured = style.shape
        aim = self._style_targets(self._vgg, jnp.asarray(style[None], jnp.float32) / 255)
        count = len(self._crops)
        held_out = max(1, count // SHARE)
        seen, unseen = count - held_out, range(count - held_out, count)
        tuned = jax.tree.map(lambda x: jnp.array(x, jnp.float32), code)
        before = self._losses(tuned, unseen, aim)
        moments = self._optimizer.init(tuned)
        rate = optax.cosine_decay_schedule(self.tuning.rate, steps, 0.05)
        for step in range(steps):
            tuned, moments, parts = self._update(
                tuned, moments, np.float32(rate(step)), self._state, self._vgg,
                *self._batch(step % seen, aim),
            )  # fmt: skip
            report(step, {name: float(value) for name, value in parts.items()})
        found = Tuned(jax.tree.map(np.asarray, tuned), before, self._losses(tuned, unseen, aim))
        return found if found.improved else found._replace(code=code)

    def _batch(self, index: int, aim: Targets) -> tuple[Array, Targets]:
        """Crops, and what they are compared with: a content's computed when first asked for."""
        content = jnp.asarray(self._crops[index], jnp.float32) / 255
        if index not in self._targets:
            self._targets[index] = jax.device_get(self._content_targets(self._vgg, content))
        return content, self._targets[index] | aim

    def _losses(self, code: StyleCode, batches: Sequence[int], aim: Targets) -> dict[str, float]:
        each = [
            jax.device_get(self._measure(code, self._state, self._vgg, *self._batch(i, aim)))
            for i in batches
        ]
        return {name: float(np.mean([losses[name] for losses in each])) for name in each[0]}


def _crops(contents: str | Source, data: DataConfig, tuning: Tuning) -> np.ndarray:
    """uint8 [batches, B, crop, crop, 3]; every picture comes once before one comes again."""
    sides = short_sides(data, data.crop)
    if isinstance(contents, str):
        contents = open_source(contents, "content", size=max(sides))
    reader = ImageReader(contents)
    cut = RandomCrop(reader, data.crop, sides)
    rng = np.random.default_rng(tuning.seed)
    batches = max(2, tuning.crops // tuning.batch)
    count, there = batches * tuning.batch, len(reader.source)
    order = np.concatenate([rng.permutation(there) for _ in range(-(-count // there))])[:count]
    crops = np.stack([cut(int(i), rng) for i in order])
    return crops.reshape(batches, tuning.batch, *crops.shape[1:])
