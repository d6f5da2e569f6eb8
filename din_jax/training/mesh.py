"""The device mesh, and which array lies where on it."""

import re
from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from din_jax.errors import UserError

DATA, FSDP = "data", "fsdp"
BATCH = (DATA, FSDP)  # a batch is split over all devices, whatever is split beside it
# Arrays smaller than this stay whole where no rule names them: splitting costs more than it saves.
SHARD_FROM = 2**16


def make_mesh(fsdp: int = 1) -> Mesh:
    """All devices of all processes as `data` x `fsdp`.

    Neighbors, which have the fastest links, share the `fsdp` axis: it carries every parameter.

    Raises:
      UserError: `fsdp` does not divide the number of devices.
    """
    count = jax.device_count()
    if count % fsdp:
        raise UserError(
            f"config.train.fsdp ({fsdp}) must divide the number of devices, which is {count}."
        )
    return jax.make_mesh((count // fsdp, fsdp), BATCH, axis_types=(AxisType.Auto,) * 2)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Leading axis split over all devices."""
    return NamedSharding(mesh, P(BATCH))


def replicated(mesh: Mesh) -> NamedSharding:
    """Whole on every device."""
    return NamedSharding(mesh, P())


def state_shardings(mesh: Mesh, abstract, rules: Sequence[str] = ()):
    """A sharding for every array of a state (fully sharded data parallelism, Zhao et al. 2023).

    Args:
      mesh: the devices; with an `fsdp` axis of one device, everything is whole on every device.
      abstract: tree of shapes (`jax.eval_shape` of the state).
      rules: regular expressions; a parameter whose path, such as "encoder.first.conv.kernel", one
        of them is found in is split over `fsdp` along its largest axis that this divides, its
        moments and its average likewise. None: those of `SHARD_FROM` numbers or more.

    Returns:
      The tree with a `NamedSharding` per leaf.

    Raises:
      UserError: a rule is found in no path.
    """
    count = mesh.shape[FSDP]
    used: set[str] = set()

    def named(path: str, leaf) -> bool:
        if not rules:
            return leaf.size >= SHARD_FROM
        found = {rule for rule in rules if re.search(rule, path)}
        used.update(found)
        return bool(found)

    def choose(keys, leaf) -> NamedSharding:
        path = parameter_path(keys)
        if path and named(path, leaf) and count > 1:
            for axis in np.argsort(leaf.shape)[::-1]:
                if leaf.shape[axis] and leaf.shape[axis] % count == 0:
                    return NamedSharding(mesh, P(*[None] * axis, FSDP))
        return replicated(mesh)

    found = jax.tree_util.tree_map_with_path(choose, abstract)
    if unused := [rule for rule in rules if rule not in used]:
        raise UserError(
            f"config.train.shard: {unused[0]!r} is found in the path of no parameter; one of them "
            f"is {_example(abstract)!r}."
        )
    return found


def parameter_path(keys) -> str:
    """Dotted path of the parameter that a leaf of a state is, or is a moment of; "" for others.

    That is what stands behind the last attribute or index: optimizers wrap the tree of parameters,
    and keep its dicts as they are.
    """
    names: list[str] = []
    for key in keys:
        name = getattr(key, "key", None)
        names = [] if name is None else [*names, str(name)]
    return "" if any(getattr(key, "name", "") == "batch_stats" for key in keys) else ".".join(names)


def _example(abstract) -> str:
    paths = (parameter_path(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(abstract))
    return next(filter(None, paths), "")


def on_any_process(flag: bool) -> bool:
    """Whether any process says so, the same answer on all; every process must call it as often.

    A collective over one number a process: whoever decides alone whether another step is taken
    leaves the others in a collective without end. JAX's own way, `reached_preemption_sync_point`,
    knows of SIGTERM alone.
    """
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def local_batch(batch: int, parts: int = 1) -> int:
    """Pairs per process for a global batch; refuses one that devices and parts do not divide."""
    if batch % (jax.device_count() * parts):
        in_parts = f", in {parts} parts each" if parts > 1 else ""
        raise UserError(
            f"config.train.batch ({batch}) must be a multiple of the {jax.device_count()} devices"
            f"{in_parts}."
        )
    return batch // jax.process_count()
