"""Validation: the losses and pictures of pairs that training never sees."""

import jax
import numpy as np
from jax.sharding import Mesh

from din_jax.config import Config
from din_jax.data.pairs import validation_pairs
from din_jax.models.vgg import VGGParams
from din_jax.training.mesh import batch_sharding, replicated
from din_jax.training.objective import Objective
from din_jax.training.reports import Average, Reports
from din_jax.training.state import Network
from din_jax.training.step import make_eval_step

# Validation runs in batches of at most this many pairs.
BATCH = 8


def held_out(config: Config) -> list[tuple[int, dict[str, np.ndarray]]]:
    """Validation pairs in batches, each with the number of those that count.

    The batches are equal and multiples of the devices; what the last one lacks is filled up.
    """
    pairs = validation_pairs(
        config.data, config.data.validation, config.seed, config.trained_styles
    )
    size = min(BATCH, len(pairs))
    size = -(-size // jax.device_count()) * jax.device_count()
    batches = []
    for start in range(0, len(pairs), size):
        chosen = [pairs[i % len(pairs)] for i in range(start, start + size)]
        batch = {key: np.stack([p[key] for p in chosen]) for key in pairs[0]}
        batches.append((min(size, len(pairs) - start), batch))
    return batches


class Validation:
    """The held-out pairs of a run and the compiled program that measures them.

    Attributes:
      evaluate: jitted `make_eval_step`; its results are on every device.
    """

    def __init__(
        self, config: Config, mesh: Mesh, network: Network, objective: Objective, vgg: VGGParams,
        frozen: dict,
    ):  # fmt: skip
        self.config, self._mesh, self._vgg, self._frozen = config.train, mesh, vgg, frozen
        self._pairs = held_out(config)
        self.evaluate = jax.jit(
            make_eval_step(network, objective, config), out_shardings=replicated(mesh)
        )

    def __call__(self, variables, step: int, reports: Reports) -> float:
        """Mean losses on the held-out pairs; every `grid_every` steps also their pictures."""
        average = Average()
        grid = step % self.config.grid_every == 0 or step == self.config.steps
        split = batch_sharding(self._mesh)
        for i, (real, batch) in enumerate(self._pairs):
            metrics, stylized = self.evaluate(
                variables, jax.device_put(batch, split), self._vgg, self._frozen
            )
            sums = {k: float(v[:real].sum()) for k, v in jax.device_get(metrics).items()}
            average.add(sums, real)
            if i == 0 and grid:
                shown = (batch["content"], batch["style"], jax.device_get(stylized))
                reports.grid(step, *(images[:real] for images in shown))
        means = average.take()
        reports.scalars(step, "validation", means)
        reports.say(
            f"step {step}: validation content {means['content']:.3f}, style {means['style']:.3f}, "
            f"output spread {means['output_spread']:.3f}"
        )
        return means["total"]
