"""How much a training step computes, beside what the device can."""

import jax
import jax.numpy as jnp

from din_jax.evaluation.operations import count_operations
from din_jax.tools.chips import chip_of
from din_jax.tools.plan_program import abstract_batch
from din_jax.training.loop import Trainer
from din_jax.training.measures import Work


def work_of(trainer: Trainer) -> Work | None:
    """The step's operations, two a multiply-add, and the devices' peak; None for unknown ones."""
    chip = chip_of(jax.devices()[0].device_kind)
    if chip is None:
        return None
    config, feed = trainer.config, trainer.feed
    if feed.iterator is None:
        number = jax.ShapeDtypeStruct((), jnp.int32)
        batch = jax.eval_shape(feed.draw, feed.arrays, feed.take(1)[0], number, number)
    else:
        batch = abstract_batch(config)
    macs = count_operations(
        trainer.step, trainer.abstract, batch, trainer.vgg, trainer.frozen
    ).macs
    return Work(2.0 * macs, getattr(chip, config.train.products) * jax.device_count())
