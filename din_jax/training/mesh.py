"""The device mesh, and which array lies where on it."""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from din_jax.errors import UserError

DATA = "data"
# Parameters smaller than this stay whole on every device: splitting them costs more than it saves.
SHARD_FROM = 2**16


def make_mesh() -> Mesh:
    """One `data` axis over all devices of all processes."""
    return jax.make_mesh((jax.device_count(),), (DATA,), axis_types=(AxisType.Auto,))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Leading axis split over `data`."""
    return NamedSharding(mesh, P(DATA))


def replicated(mesh: Mesh) -> NamedSharding:
    """Whole on every device."""
    return NamedSharding(mesh, P())


def state_shardings(mesh: Mesh, abstract, rule: str):
    """A sharding for every array of a state.

    Args:
      mesh: the devices.
      abstract: tree of shapes (`jax.eval_shape` of the state).
      rule: "replicated", or "sharded": arrays of `SHARD_FROM` numbers or more are split along
        their largest axis that the number of devices divides (optimizer moments likewise).

    Returns:
      The tree with a `NamedSharding` per leaf.
    """
    count = mesh.shape[DATA]

    def choose(leaf) -> NamedSharding:
        if rule == "sharded" and leaf.size >= SHARD_FROM:
            for axis in np.argsort(leaf.shape)[::-1]:
                if leaf.shape[axis] % count == 0:
                    return NamedSharding(mesh, P(*[None] * axis, DATA))
        return replicated(mesh)

    return jax.tree.map(choose, abstract)


def on_any_process(flag: bool) -> bool:
    """Whether any process says so, the same answer on all; every process must call it as often.

    A collective over one number a process: whoever decides alone whether another step is taken
    leaves the others in a collective without end. JAX's own way, `reached_preemption_sync_point`,
    knows of SIGTERM alone.
    """
    return bool(multihost_utils.process_allgather(np.asarray(flag)).any())


def local_batch(batch: int) -> int:
    """Pairs per process for a global batch; refuses one that the devices do not divide."""
    if batch % jax.device_count():
        raise UserError(
            f"config.train.batch ({batch}) must be a multiple of the {jax.device_count()} devices."
        )
    return batch // jax.process_count()
