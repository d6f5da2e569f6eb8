"""Training: losses and gradients of a step, Adam from equal gradients, and steps in lockstep.

Why gradients in float32 are compared on a batch out of several: a ReLU, a maximum and an absolute
value have kinks, and of a million of them some lie within a rounding error of theirs, where float32
decides at random whether a gradient passes. One unit of the 16384 of relu4_1 at 32 x 32 pixels
changes a gradient by about 1 / sqrt(16384), eight times the tolerance. PyTorch's own gradients in
float32 and float64 then differ as much: on 8 of 12 random batches by 0.3 to 2.5 %, on the others by
0.003 to 0.015 %. So batches are drawn until one has no unit at its kink; a mistake shows on all.
"""

import copy
import dataclasses
from collections.abc import Iterator

import numpy as np
import torch

from din_jax.training.optimizer import parameter_labels
from din_jax.training.state import TrainState
from din_jax.weights.runs import flatten
from din_jax.weights.torch_names import our_name, to_torch, torch_name
from parity.measure import Row, compare, difference, tolerance
from parity.pair import Pair, load, random_batch
from parity.reference import training as reference
from parity.steps import (
    JaxTraining,
    TorchTraining,
    adam_states,
    as_images,
    gradient_of,
    jax_training,
    shaken_training,
    to_arrays,
)

# Gradients smaller than this part of the largest are measured against it: see `measure.compare`.
SMALL_GRADIENT = 1e-3
DRAWS = 20  # batches, at most
# 1 - b2^t is 0.01 then: optax computes it in float32, where it is off by 6e-5 at t = 1.
ADAM_STEP = 9


def compare_training(
    pair: Pair, size: tuple[int, int], seed: int, section: str, steps: int
) -> Iterator[Row]:
    """The first step in full, one Adam step from equal gradients, and `steps` steps in lockstep.

    Call it inside `measure.precision(pair.dtype)`; images are two random pairs of `size`.
    """
    ours, batch, theirs, losses, rows = first_step(pair, size, seed, section, steps)
    yield from rows
    images = as_images(batch, pair.dtype)
    shaken = shaken_training(pair, steps) if pair.dtype == "float32" and steps > 1 else None
    for number in range(steps):
        before = ours.state
        metrics = ours(batch)
        if number:
            losses = theirs(images)
        if number == ADAM_STEP:
            yield from compare_adam(pair, before, ours, f"{section}: Adam", steps)
        if steps > 1:
            other = None if shaken is None else shaken(images)["total"]
            yield from drift(
                pair, f"{section}: lockstep", number, before, metrics, losses, other, images
            )
    if steps > 1:
        yield from compare_ends(ours, theirs.model, f"{section}: after {steps} steps")


def first_step(pair: Pair, size: tuple[int, int], seed: int, section: str, steps: int):
    """Both sides after one step on the first batch without a unit at its kink, and its rows.

    Returns:
      JAX's side still at step 0, the batch, PyTorch's side after it, its losses, the rows.
    """
    ours = jax_training(pair, random_batch(size, 2, seed), steps)
    for draw in range(1 if pair.dtype == "float64" else DRAWS):
        batch = random_batch(size, 2, seed + draw)
        state, metrics = ours.step(ours.state, batch, pair.vgg, pair.frozen)
        theirs = TorchTraining(pair, steps)
        losses = theirs(as_images(batch, pair.dtype))
        gradients = list(compare_gradients(state.opt_state[0], theirs.model, section, pair.dtype))
        if all(row.passed for row in gradients):
            break
    section = f"{section}: first step, batch {draw + 1}"
    rows = [
        *(
            compare(section, f"loss {name}", metrics[name], value, "loss", pair.dtype)
            for name, value in losses.items()
        ),
        *(dataclasses.replace(row, section=section) for row in gradients),
        *compare_statistics(state.batch_stats, theirs.model, section, pair.dtype),
    ]
    return ours, batch, theirs, losses, rows


def compare_gradients(gradient: dict, model, section: str, dtype: str) -> Iterator[Row]:
    """The gradient of every parameter."""
    ours, theirs = to_arrays(gradient), gradient_of(model)
    largest = max(float(np.abs(x).max()) for x in theirs.values())
    for name, array in ours.items():
        title = f"gradient {our_name(name).removeprefix('params.')}"
        floor = SMALL_GRADIENT * largest
        yield compare(section, title, array, theirs[name], "gradient", dtype, floor=floor)


def compare_statistics(stats: dict, model, section: str, dtype: str) -> Iterator[Row]:
    """Running means and variances after the step."""
    theirs = model.state_dict()
    for name, array in flatten({"batch_stats": stats}).items():
        yield compare(section, name, array, theirs[torch_name(name)].numpy(), "network", dtype)


def compare_adam(
    pair: Pair, before: TrainState, after: JaxTraining, section: str, steps: int
) -> Iterator[Row]:
    """One update of Adam from equal moments and an equal gradient.

    Steps from each side's own gradient would not tell: Adam divides a gradient by its own size, so
    that the rounding errors of one that is zero by nature (a bias before a norm) become whole
    steps.
    """
    config, count = pair.config.optim, int(before.step)
    gradient, update = to_arrays(after.gradient), to_arrays(after.update)
    # From zero, so that what is left after the step is the update.
    named = {
        name: torch.nn.Parameter(torch.from_numpy(np.zeros_like(g))) for name, g in gradient.items()
    }
    optimizer, scheduler = reference.make_optimizer(named.items(), config, steps)
    moments: list[dict[str, np.ndarray]] = [{}, {}]
    for adam in adam_states(before.opt_state[2]):
        for found, tree in zip(moments, (adam.mu, adam.nu), strict=True):
            found |= to_arrays(tree)
    for name, parameter in named.items():
        first, second = (torch.from_numpy(found[name].copy()) for found in moments)
        step = torch.tensor(float(count))
        optimizer.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
        parameter.grad = torch.from_numpy(gradient[name].copy())
    for group, base in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
        group["lr"] = base * scheduler.lr_lambdas[0](count)
    if config.clip > 0:
        reference.clip_by_global_norm(list(named.values()), config.clip)
    optimizer.step()
    labels = flatten({"params": parameter_labels(before.params)})
    for name, array in update.items():
        title = f"{our_name(name)} ({labels[our_name(name)]})"
        yield compare(section, title, array, named[name].detach(), "update", pair.dtype)


def drift(
    pair: Pair, section: str, number: int, before: TrainState, metrics, losses, shaken, images
) -> Iterator[Row]:
    """The total loss of a step, each side on its own way since step 0.

    In float64 the ways stay together and are held to the tolerance. In float32 they part as any
    two do that differ by a rounding error, because a ReLU that switches changes a gradient at
    once: then PyTorch's loss at our parameters is held, and the drift told, beside PyTorch's own
    from a start that differs by rounding errors.
    """
    ours, theirs = float(metrics["total"]), losses["total"]
    row = compare(section, f"step {number}", ours, theirs, "loss", pair.dtype)
    if shaken is None:
        yield row
        return
    model = copy.deepcopy(pair.model).train()
    load(model, to_torch(before.variables))
    with torch.no_grad():
        found = reference.training_losses(model, pair.torch_vgg, images, pair.config, number)
    title = f"step {number}, equal parameters"
    yield compare(section, title, ours, found["total"], "loss", pair.dtype)
    yield dataclasses.replace(row, name=f"step {number}, drift", tolerance=None)
    yield difference(section, f"step {number}, PyTorch's own drift", shaken, theirs)


def compare_ends(ours: JaxTraining, model, section: str) -> Iterator[Row]:
    """Parameters after free-running steps; held in float64 only, for the reason in `drift`."""
    dtype = ours.pair.dtype
    for name, array in to_arrays(ours.state.params).items():
        other = model.get_parameter(name).detach().numpy()
        row = compare(section, our_name(name), array, other, "network", dtype)
        held = tolerance("network", dtype) if dtype == "float64" else None
        yield dataclasses.replace(row, tolerance=held)
