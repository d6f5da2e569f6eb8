"""A training step compiled for simulated devices: what each of them holds, computes and sends."""

import dataclasses
import math
import os
import re
from collections import defaultdict
from typing import Any

from din_jax.config import Config

_SIMULATED = "--xla_force_host_platform_device_count="
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4,
          "u32": 4, "f64": 8, "s64": 8, "u64": 8, "c64": 8}  # fmt: skip
_COLLECTIVE = re.compile(
    r"= (?P<shape>\(.*?\)|\S+) (?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|"
    r"collective-permute|collective-broadcast)(?:-start)?\((?P<rest>.*)"
)
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
_LISTED = re.compile(r"replica_groups=\{\{([\d,]+)\}")
_IOTA = re.compile(r"replica_groups=\[\d+,(\d+)\]")


@dataclasses.dataclass(frozen=True)
class Collective:
    """One kind of message of a step, over groups of one size.

    Attributes:
      kind: as XLA names it, "all-reduce".
      group: devices that take part together.
      count: how many of them a step has.
      bytes: of their results on one device, together.
    """

    kind: str
    group: int
    count: int
    bytes: int

    @property
    def sent(self) -> float:
        """Bytes that each device sends, if they go round a ring (Patarasuk & Yuan 2009)."""
        n = self.group
        shares = {
            "all-reduce": 2 * (n - 1) / n,
            "all-gather": (n - 1) / n,
            "reduce-scatter": n - 1,  # its result is the n-th part
            "all-to-all": (n - 1) / n,
        }
        return shares.get(self.kind, 1) * self.bytes


@dataclasses.dataclass(frozen=True)
class Facts:
    """Of one step on one of `devices`: bytes, multiply-adds, messages.

    `memory` is that of the step's arguments, results and temporary arrays as XLA's CPU compiler
    lays them out; an accelerator's differs in its temporary arrays.
    """

    devices: int
    pairs: int
    parameters: int
    memory: int
    state: int
    macs: int
    collectives: tuple[Collective, ...]


def simulate(devices: int) -> None:
    """To be called before JAX looks for devices: this process has so many, of the CPU."""
    flags = [f for f in os.environ.get("XLA_FLAGS", "").split() if not f.startswith(_SIMULATED)]
    os.environ["XLA_FLAGS"] = " ".join([*flags, f"{_SIMULATED}{devices}"])
    os.environ["JAX_PLATFORMS"] = "cpu"


def compile_step(config: Config) -> Facts:
    """The step of `config` on all devices of this process, without data or weights."""
    import jax
    import jax.numpy as jnp

    from din_jax.evaluation.operations import count_operations
    from din_jax.models.network import VGGBackbone
    from din_jax.training.mesh import (
        batch_sharding,
        local_batch,
        make_mesh,
        replicated,
        state_shardings,
    )
    from din_jax.training.objective import Objective, layers_needed
    from din_jax.training.optimizer import make_optimizer
    from din_jax.training.state import Network, count, create_state
    from din_jax.training.step import make_train_step
    from din_jax.weights import random_vgg19

    c = config.train
    local_batch(c.batch, c.accumulate)
    mesh = make_mesh(c.fsdp)
    split, whole = batch_sharding(mesh), replicated(mesh)

    def placed(tree: Any, sharding: Any):
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    weights = random_vgg19(0, tuple(sorted(layers_needed(config))))
    vgg = jax.tree.map(jnp.asarray, dict(weights.params))
    uses_vgg = "vgg19" in (config.model.network, config.model.style_encoder)
    backbone = VGGBackbone(weights.params, weights.preprocessing) if uses_vgg else None
    network = Network(config.model, backbone)
    optimizer = make_optimizer(config.optim, c.steps)
    abstract = jax.eval_shape(
        lambda key: create_state(network, optimizer, key, average=config.optim.average > 0),
        jax.random.key(0),
    )
    shardings = state_shardings(mesh, abstract, c.shard)
    state = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract, shardings
    )
    batch = abstract_batch(config)
    step = make_train_step(network, Objective.of(config, weights.preprocessing), optimizer, config)
    frozen = network.frozen()
    with jax.default_matmul_precision(c.products):
        arguments = state, placed(batch, split), placed(vgg, whole), placed(frozen, whole)
        jitted = jax.jit(step, donate_argnums=0, out_shardings=(shardings, whole))
        program = jitted.lower(*arguments).compile()
    memory = program.memory_analysis()
    held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return Facts(
        devices=jax.device_count(),
        pairs=c.batch // jax.device_count(),
        parameters=count(abstract.params),
        memory=held - memory.alias_size_in_bytes,
        state=sum(_part(x, s) for x, s in zip(*map(jax.tree.leaves, (abstract, shardings)),
                                              strict=True)),
        macs=count_operations(step, abstract, batch, vgg, frozen).macs // jax.device_count(),
        collectives=read_collectives(program.as_text(), jax.device_count()),
    )  # fmt: skip


def abstract_batch(config: Config) -> dict[str, Any]:
    import jax
    import jax.numpy as jnp

    sides = {"content": config.data.crop, "style": config.style_crop}
    batch = {
        kind: jax.ShapeDtypeStruct((config.train.batch, side, side, 3), jnp.uint8)
        for kind, side in sides.items()
    }
    if config.model.styles:
        batch["style_number"] = jax.ShapeDtypeStruct((config.train.batch,), jnp.int32)
    return batch


def _part(x: Any, sharding: Any) -> int:
    """Bytes of an array on one device."""
    return math.prod(sharding.shard_shape(x.shape)) * x.dtype.itemsize


def read_collectives(text: str, devices: int) -> tuple[Collective, ...]:
    """The messages of a compiled program, from XLA's text; loops are taken once."""
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for line in text.splitlines():
        match = _COLLECTIVE.search(line)
        if not match:
            continue
        group = devices
        if listed := _LISTED.search(match["rest"]):
            group = len(listed[1].split(","))
        elif iota := _IOTA.search(match["rest"]):
            group = int(iota[1])
        size = sum(
            _BYTES.get(kind, 4) * math.prod(int(n) for n in shape.split(",") if n)
            for kind, shape in _SHAPE.findall(match["shape"])
        )
        if group > 1:
            found[match["kind"], group].append(size)
    return tuple(
        Collective(kind, group, len(sizes), sum(sizes))
        for (kind, group), sizes in sorted(found.items())
    )
