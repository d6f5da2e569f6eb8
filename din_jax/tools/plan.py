"""What a training run will need on many devices, before one is rented.

    din-jax plan --config configs/din.py --devices 8 --chip h100

Compiles the run's step for so many simulated devices of this machine's CPU, without data, weights
or accelerators, and says what each holds, computes and sends a step; then what that takes at the
rates that are stated for a chip and its links: on 8, 64, 256 and 1024 of them with as many pairs on
each (weak scaling), and with the same batch on one to as many as it has pairs (strong). The last is
arithmetic on data sheets, not a measurement: --utilization is the share of the chip's products that
a step reaches, which `din-jax accelerator` measures.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from din_jax.command_line import Parser, check_least
from din_jax.config import PRODUCTS, Config
from din_jax.errors import UserError, exit_status, loading
from din_jax.tools import chips
from din_jax.tools.plan_program import Facts, compile_step, simulate


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--config", default="din", help="a preset, or FILE.py[:VARIANT]")
    add("--devices", type=int, default=8, help="simulated ones, for which the step is compiled")
    add("--pairs", type=int, help="on each device; left out, config.train.batch over the devices")
    add("--fsdp", type=int, help="config.train.fsdp")
    add("--products", choices=PRODUCTS, help="config.train.products")
    add("--recompute", action="store_true", help="with config.train.recompute")
    add("--chip", choices=sorted(chips.CHIPS), default="v5e", help="whose rates are taken")
    add("--utilization", type=float, default=0.3, help="share of the chip's rate, 0 to 1")
    add("--json", action="store_true", help="JSON instead of a table")
    flags = parser.parse_args(arguments)
    check_least(flags, devices=1)
    if flags.devices > 64:
        raise UserError(f"--devices are simulated here: at most 64, not {flags.devices}.")
    if flags.pairs is not None:
        check_least(flags, pairs=1)
    if not 0 < flags.utilization <= 1:
        raise UserError(f"--utilization must be above 0 and at most 1, not {flags.utilization}.")
    return flags


def planned(config: Config, flags: argparse.Namespace) -> Config:
    """The run at the batch and layout that the flags ask for."""
    pairs = flags.pairs or -(-config.train.batch // flags.devices)
    changed = {
        "batch": pairs * flags.devices,
        "fsdp": flags.fsdp or config.train.fsdp,
        "products": flags.products or config.train.products,
        "recompute": flags.recompute or config.train.recompute,
    }
    return dataclasses.replace(
        config,
        train=dataclasses.replace(config.train, **changed),
        loss=dataclasses.replace(config.loss, network="random"),  # decides nothing here
    )


def report(facts: Facts, config: Config, flags: argparse.Namespace, pairs: int) -> dict[str, Any]:
    """Everything that is said, as JSON holds it; `pairs` of the whole run."""
    chip = chips.CHIPS[flags.chip]

    def row(devices: int, each: int) -> dict[str, Any]:
        found = chips.predict(
            facts, chip, devices, config.train.products, flags.utilization, pairs=each
        )
        return {
            "devices": devices, "pairs": devices * each, "compute": found.compute,
            "link": found.link, "step": found.step, "bound": found.bound,
            "efficiency": found.efficiency,
            "minutes": chips.minutes(found, devices * each, pairs),
        }  # fmt: skip

    batch, group = config.train.batch, config.train.fsdp
    weak = [row(count, facts.pairs) for count in sorted({flags.devices, *chips.SCALES})]
    doubled = [group * 2**i for i in range((batch // group).bit_length())]
    strong = [row(count, batch // count) for count in doubled if batch % count == 0]
    sent = [dataclasses.asdict(one) | {"sent": one.sent} for one in facts.collectives]
    fits = facts.memory <= chip.memory
    return dataclasses.asdict(facts) | {
        "collectives": sent, "chip": flags.chip, "products": config.train.products,
        "utilization": flags.utilization, "fits": fits, "scales": weak, "split": strong,
        "run": pairs,
    }  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"compiled for {found['devices']} devices with {found['pairs']} pairs each; on each:",
        f"  parameters of the model      {found['parameters']:,}",
        f"  state that it holds          {found['state'] / 2**20:,.1f} MiB",
        f"  memory of a step             {found['memory'] / 2**20:,.1f} MiB"
        f" ({'fits' if found['fits'] else 'MORE THAN'} {found['chip']})",
        f"  multiply-adds of a step      {found['macs'] / 1e9:,.2f} G",
    ]
    for one in found["collectives"]:
        lines.append(
            f"  {one['kind']:<20} {one['count']:4d} over {one['group']} devices, results "
            f"{one['bytes'] / 2**20:,.2f} MiB, sent {one['sent'] / 2**20:,.2f} MiB"
        )
    head = (
        f"  {'devices':>7} {'pairs':>7} {'compute ms':>10} {'link ms':>8} {'step ms':>8} "
        f"{'bound by':>8} {'efficiency':>10} {'minutes':>9}"
    )
    lines += [
        f"predicted for {found['chip']} at {found['utilization']:.0%} of its {found['products']} "
        f"products, {found['run']:,} pairs in all; with as many pairs on each:",
        head,
        *map(_line, found["scales"]),
    ]
    if found["split"]:
        lines += ["with the same batch, split:", head, *map(_line, found["split"])]
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    return (
        f"  {row['devices']:7d} {row['pairs']:7d} {1e3 * row['compute']:10.2f} "
        f"{1e3 * row['link']:8.2f} {1e3 * row['step']:8.2f} {row['bound']:>8} "
        f"{row['efficiency']:10.0%} {row['minutes']:9.1f}"
    )


def plan(arguments: Sequence[str] | None) -> None:
    flags = parse(arguments)
    simulate(flags.devices)
    with loading():
        from din_jax.tools.config_files import read_config_file
    given = read_config_file(flags.config)
    config = planned(given, flags)
    found = report(compile_step(config), config, flags, given.train.steps * given.train.batch)
    print(json.dumps(found) if flags.json else table(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return exit_status(lambda: plan(arguments))


if __name__ == "__main__":
    sys.exit(main())
