"""One update and one evaluation as pure functions of state and batch."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array

from din_jax.config import Config, LossConfig, ModelConfig
from din_jax.layers import sources
from din_jax.layers.codes import StyleCode
from din_jax.losses import (
    content_loss,
    gram_loss,
    style_loss,
    style_statistics,
    total_variation,
)
from din_jax.models.readers import make_reader
from din_jax.models.vgg import VGGParams, vgg_features
from din_jax.ops.preprocessing import Preprocessing
from din_jax.training.state import Network, TrainState, batch_stats_of

Metrics = dict[str, Array]


def layers_read(model: ModelConfig) -> tuple[str, ...]:
    """VGG-19 layers of the style that training gives the model's nets or style encoder to learn."""
    return make_reader(model).layers


@dataclasses.dataclass(frozen=True)
class Objective:
    """The perceptual loss: which layers, which weights, and the VGG that measures it.

    `read` names further layers of the style that the model reads (`layers_read`): one VGG pass
    serves both.
    """

    config: LossConfig
    preprocessing: Preprocessing
    read: tuple[str, ...] = ()

    def features(self, vgg: VGGParams, images: Array, layers) -> dict[str, Array]:
        return vgg_features(vgg, self.preprocessing, images, sorted(set(layers)))

    def targets(self, vgg: VGGParams, content: Array, style: Array) -> dict:
        """What the loss compares with, computed once per batch; no gradient runs through it."""
        c = self.config
        of_content = self.features(vgg, content, c.content_layers)
        # One pass gives the style's statistics and the features its code is predicted from.
        of_style = self.features(vgg, style, (*c.style_layers, *self.read))
        targets = {
            "content": of_content,
            "statistics": style_statistics(of_style, c.style_layers),
            "style": of_style,
        }
        return jax.lax.stop_gradient(targets)

    def __call__(self, vgg: VGGParams, stylized: Array, targets: dict) -> tuple[Array, Metrics]:
        """Total loss and each part: content and style are means over their layers."""
        c = self.config
        features = self.features(vgg, stylized, (*c.content_layers, *c.style_layers))
        parts = {"content": content_loss(features, targets["content"], c.content_layers)}
        statistics = style_statistics(features, c.style_layers)
        parts["style"] = style_loss(statistics, targets["statistics"])
        if c.gram_weight:
            parts["gram"] = gram_loss(features, targets["style"], c.style_layers)
        metrics = {
            f"{part}/{k}": v for part, by_layer in parts.items() for k, v in by_layer.items()
        }
        metrics |= {
            part: sum(by_layer.values()) / len(by_layer) for part, by_layer in parts.items()
        }
        total = c.content_weight * metrics["content"] + c.style_weight * metrics["style"]
        if c.gram_weight:
            total += c.gram_weight * metrics["gram"]
        if c.variation_weight:
            metrics["variation"] = total_variation(stylized)
            total += c.variation_weight * metrics["variation"]
        return total, metrics | {"total": total}


def to_float(images: Array, dtype) -> Array:
    """uint8 [0, 255] to floats in [0, 1]."""
    return (images.astype(jnp.promote_types(dtype, jnp.float32)) / 255).astype(dtype)


def code_statistics(code: StyleCode) -> Metrics:
    """How much the codes of a batch differ, per level; see `layers.sources.code_statistics`."""
    return {
        f"{key}/{name}": value
        for name, layer in code.items()
        for key, value in sources.code_statistics(layer).items()
    }


def style_input(batch: dict[str, Array], style: Array) -> Array:
    """What the model reads of a batch's styles: their numbers where the batch has them."""
    return batch.get("style_number", style)


def _style_code(model, style: Array, targets: dict, objective: Objective, use_teacher):
    """Style code of a training batch, and the losses that come with it."""
    reader = make_reader(model.config, objective.config.network)
    features, losses = reader.in_training(
        model, style, lambda: model.describe(targets["style"]), use_teacher
    )
    return model.code(features), losses


def make_train_step(
    network: Network, objective: Objective, optimizer: optax.GradientTransformation, config: Config
) -> Callable:
    """Gives step(state, batch, vgg, frozen) -> (state, metrics), to be jitted with donated state.

    batch: {"content", "style"}, uint8 [B, H, W, 3]; vgg: the loss network's parameters; frozen:
    `Network.frozen()`. Parameters, moments and statistics are float32 whatever the compute type.
    """
    dtype = jnp.dtype(config.train.compute_dtype)

    def step(state: TrainState, batch, vgg: VGGParams, frozen) -> tuple[TrainState, Metrics]:
        content, style = to_float(batch["content"], dtype), to_float(batch["style"], dtype)
        targets = objective.targets(vgg, content, style)
        use_teacher = state.step < config.train.teacher_steps

        def loss(params):
            model = network.module(params, state.batch_stats, frozen, training=True)
            read = style_input(batch, style)
            code, metrics = _style_code(model, read, targets, objective, use_teacher)
            total, parts = objective(vgg, model.stylize(content, code), targets)
            metrics |= parts | code_statistics(code)
            if "descriptor" in metrics:
                total += config.loss.descriptor_weight * metrics["descriptor"]
            metrics["total"] = total
            return total, (metrics, batch_stats_of(model))

        gradient, (metrics, stats) = jax.grad(loss, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        metrics["gradient_norm"] = optax.tree.norm(gradient)
        return TrainState(state.step + 1, params, stats, opt_state), metrics

    return step


def make_eval_step(network: Network, objective: Objective, config: Config) -> Callable:
    """Gives evaluate(variables, batch, vgg, frozen) -> (metrics, stylized uint8 [B, H, W, 3]).

    Beside the losses (of the clipped picture, as a user gets it): `output_spread`, the mean
    difference of a content's pictures in two styles (0: the network ignores the style); `outside`,
    the share of values that clipping changes; and what the sources say of themselves
    (`dead_units` of weight nets).
    """
    dtype = jnp.dtype(config.train.compute_dtype)

    def evaluate(variables, batch, vgg: VGGParams, frozen) -> tuple[Metrics, Array]:
        model = network.module(
            variables["params"], variables["batch_stats"], frozen, training=False
        )
        content, style = to_float(batch["content"], dtype), to_float(batch["style"], dtype)
        features = model.style_features(style_input(batch, style))
        code = model.code(features)
        stylized = model.stylize(content, code).astype(jnp.float32)
        other = model.stylize(content, jax.tree.map(lambda x: jnp.roll(x, 1, 0), code))
        clipped = jnp.clip(stylized, 0, 1)
        targets = objective.targets(vgg, content, style)
        _, metrics = objective(vgg, clipped.astype(dtype), targets)
        # Clipping would make a picture of infinities look like a white one.
        metrics["total"] = jnp.where(jnp.isfinite(stylized).all(), metrics["total"], jnp.nan)
        metrics["output_spread"] = jnp.abs(clipped - jnp.clip(other, 0, 1)).mean()
        metrics["outside"] = (stylized != clipped).mean()
        metrics |= model.diagnostics(features)
        return metrics, jnp.round(clipped * 255).astype(jnp.uint8)

    return evaluate
