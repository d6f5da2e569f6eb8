"""One update and one evaluation as pure functions of state and batch."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array

from din_jax.config import Config, LossConfig, ModelConfig
from din_jax.layers import sources
from din_jax.layers.codes import StyleCode
from din_jax.layers.recomputing import recomputing
from din_jax.models.readers import Reader, make_reader
from din_jax.models.vgg import VGGParams
from din_jax.training.accumulation import accumulated
from din_jax.training.objective import Metrics, Objective
from din_jax.training.rows import only_rows, rows_alone
from din_jax.training.state import Network, TrainState, batch_stats_of


def to_float(images: Array, dtype) -> Array:
    """uint8 [0, 255] to floats in [0, 1]."""
    wide = dtype if jnp.dtype(dtype).itemsize > 4 else jnp.float32
    return (images.astype(wide) / 255).astype(dtype)


def code_statistics(code: StyleCode) -> Metrics:
    """How much the codes of a batch differ, per level; see `layers.sources.code_statistics`."""
    return {
        f"{key}/{name}": value
        for name, layer in code.items()
        for key, value in sources.code_statistics(layer).items()
    }


def style_input(batch: dict[str, Array], style: Array, config: Config) -> Array:
    """What the model reads of a batch's styles: their numbers where the batch has them.

    A batch counts the styles that are trained (`config.trained_styles`), a model those it has.
    """
    if "style_number" not in batch:
        return style
    rows = rows_alone(config)
    return batch["style_number"] if rows is None else jnp.asarray(rows)[batch["style_number"]]


def reads_truth_alone(model: ModelConfig, loss: LossConfig) -> bool:
    """Whether nothing trains the MobileNet that predicts statistics: nets read the true ones."""
    predicts = model.style_feature == "statistics" and model.style_encoder == "mobilenet"
    return predicts and not loss.descriptor_weight


def _style_code(model, reader: Reader, style: Array, targets: dict, maps: bool, use_teacher):
    """Style code of a training batch, and the losses that come with it."""

    def truth() -> Array:
        if maps:
            return model.describe(targets["maps"])
        return model.describe_statistics(targets["statistics"])

    features, losses = reader.in_training(model, style, truth, use_teacher)
    return model.code(features), losses


def make_train_step(
    network: Network, objective: Objective, optimizer: optax.GradientTransformation, config: Config
) -> Callable:
    """Gives step(state, batch, vgg, frozen, allowed=True) -> (state, metrics), a pure function.

    batch: {"content", "style"}, uint8 [B, H, W, 3], and "targets" where they are known already
    (`Objective.targets`); vgg: the loss network's parameters; frozen: `Network.frozen()`.
    Parameters, moments and statistics are float32 whatever the compute type. With
    `config.train.only_styles` the rows of these styles change alone (`training.rows`).

    A step whose loss or gradient is not finite, or that is not `allowed`, leaves the state as it
    was, its number too. One whose gradient's norm is above `config.optim.skip_above` changes the
    number alone, and counts in the metric "skipped".

    With `config.train.accumulate` the batch is taken in parts (`accumulation.accumulated`).
    """
    dtype = jnp.dtype(config.train.compute_dtype)
    decay, most = config.optim.average, config.optim.skip_above
    rows = rows_alone(config)
    taught = bool(config.loss.descriptor_weight)
    reader = make_reader(network.config, config.loss.network, taught)

    def step(
        state: TrainState, batch, vgg: VGGParams, frozen, allowed: Array | bool = True
    ) -> tuple[TrainState, Metrics]:
        use_teacher = state.step < config.train.teacher_steps

        def gradients(params, stats, batch):
            content, style = to_float(batch["content"], dtype), to_float(batch["style"], dtype)
            targets = batch.get("targets") or objective.targets(vgg, content, style)

            def loss(params):
                training = rows is None  # else running statistics stand, and are used
                model = network.module(params, stats, frozen, training=training)
                read = style_input(batch, style, config)
                with recomputing(config.train.recompute):
                    code, own = _style_code(
                        model, reader, read, targets, objective.maps, use_teacher
                    )
                    stylized = model.stylize(content, code)
                seen = objective.seen(vgg, stylized)
                total, parts = objective.losses(seen, stylized, targets)
                found = {name: x["statistics"] for name, x in seen[""].items() if "statistics" in x}
                own |= reader.of_painted(model, stylized, found)
                total += config.loss.descriptor_weight * sum(own.values())
                metrics = own | parts | code_statistics(code)
                metrics["total"] = total
                return total, (metrics, batch_stats_of(model))

            gradient, (metrics, stats_after) = jax.grad(loss, has_aux=True)(params)
            return gradient, metrics, stats_after

        gradient, metrics, stats = accumulated(gradients, config.train.accumulate)(
            state.params, state.batch_stats, batch
        )
        gradient = only_rows(gradient, jax.tree.map(jnp.zeros_like, gradient), rows)
        metrics["gradient_norm"] = optax.tree.norm(gradient)

        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = only_rows(optax.apply_updates(state.params, updates), state.params, rows)
        average = update_average(state.average, params, state.step, decay)
        average = only_rows(average, state.average, rows)
        new = TrainState(state.step + 1, params, stats, opt_state, average)
        # Chosen number by number, not by a branch: XLA fuses that into the update itself.
        good = jnp.isfinite(metrics["total"]) & jnp.isfinite(metrics["gradient_norm"]) & allowed
        kept = state
        if most:
            calm = metrics["gradient_norm"] <= most
            metrics["skipped"] = 1 - calm.astype(jnp.float32)
            kept = state.replace(step=jnp.where(good, new.step, state.step))
            good &= calm
        return jax.tree.map(lambda a, b: jnp.where(good, a, b), new, kept), metrics

    return step


def update_average(average: dict, params: dict, step: Array, decay: float) -> dict:
    """a <- d a + (1 - d) params with d = min(decay, (1 + step) / (10 + step)); {} stays {}.

    The first steps are forgotten quickly, as in TensorFlow's ExponentialMovingAverage.
    """
    count = step.astype(jnp.float32)
    d = jnp.minimum(decay, (1 + count) / (10 + count))

    def mix(a: Array, p: Array) -> Array:
        return d.astype(a.dtype) * a + (1 - d).astype(a.dtype) * p

    return jax.tree.map(mix, average, params) if average else {}


def make_eval_step(network: Network, objective: Objective, config: Config) -> Callable:
    """Gives evaluate(variables, batch, vgg, frozen) -> (metrics, stylized uint8 [B, H, W, 3]).

    Every metric is [B], one number per pair, so that pairs which only fill a batch can be left out.
    Beside the losses (of the clipped picture, as a user gets it): `output_spread`, the mean
    difference of a content's pictures in its own and in the next pair's style (0: the network
    ignores the style); `outside`, the share of values that clipping changes; and what the sources
    say of themselves (`dead_units` of weight nets).
    """
    dtype = jnp.dtype(config.train.compute_dtype)
    # An encoder that this run does not train would be measured in the place of the nets.
    reads_truth = reads_truth_alone(config.model, config.loss)

    def evaluate(variables, batch, vgg: VGGParams, frozen) -> tuple[Metrics, Array]:
        model = network.module(
            variables["params"], variables["batch_stats"], frozen, training=False
        )
        content, style = to_float(batch["content"], dtype), to_float(batch["style"], dtype)
        targets = objective.targets(vgg, content, style)
        if reads_truth:
            features = model.describe_statistics(targets["statistics"])
        else:
            features = model.style_features(style_input(batch, style, config))
        code = model.code(features)
        stylized = model.stylize(content, code).astype(jnp.float32)
        other = model.stylize(content, jax.tree.map(lambda x: jnp.roll(x, 1, 0), code))
        clipped = jnp.clip(stylized, 0, 1)
        metrics = objective.each(vgg, clipped.astype(dtype), targets)
        # Clipping would make a picture of infinities look like a white one.
        finite = jnp.isfinite(stylized).all((1, 2, 3))
        metrics["total"] = jnp.where(finite, metrics["total"], jnp.nan)
        metrics["output_spread"] = jnp.abs(clipped - jnp.clip(other, 0, 1)).mean((1, 2, 3))
        metrics["outside"] = (stylized != clipped).mean((1, 2, 3))
        for name, value in model.diagnostics(features).items():
            metrics[name] = jnp.full(len(content), value)
        return metrics, jnp.round(clipped * 255).astype(jnp.uint8)

    return evaluate
