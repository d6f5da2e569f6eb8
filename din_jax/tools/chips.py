"""Stated rates of accelerators and their links, and what a step would take on them.

Products are of dense matrices. Links are per device and direction: within a host or a slice, and
between those over the data center's network. Noted after the vendors' data sheets
(cloud.google.com/tpu for "v5e" and "v5p", NVIDIA's of the A100 and H100 SXM). "v5e" was compared
on 2026-11-28: 400 GB/s of a chip are four links and both directions, of which a ring takes two
links; a pod of 256 has 6.4 Tbit/s beyond. The others are not yet compared again: do that before
quoting a prediction. The network of GPU hosts is one adapter a GPU.
"""

import dataclasses

from din_jax.tools.plan_program import Facts


@dataclasses.dataclass(frozen=True)
class Chip:
    """Rates per device.

    Attributes:
      bfloat16, float32: floating-point operations a second, by the factors of products.
      memory: bytes.
      link: bytes a second to neighbors.
      island: devices that such links join.
      network: bytes a second beyond.
    """

    bfloat16: float
    float32: float
    memory: float
    link: float
    island: int
    network: float


CHIPS = {
    # float32 products of TPUs are six bfloat16 ones.
    "v5e": Chip(197e12, 197e12 / 6, 16e9, 100e9, 256, 3.1e9),
    "v5p": Chip(459e12, 459e12 / 6, 95e9, 300e9, 8960, 6.2e9),
    "a100": Chip(312e12, 19.5e12, 80e9, 300e9, 8, 25e9),
    "h100": Chip(989e12, 67e12, 80e9, 450e9, 8, 50e9),
}
# What `jax.Device.device_kind` holds, the first that fits.
_KINDS = (
    ("v5 lite", "v5e"), ("v5e", "v5e"), ("TPU v5", "v5p"), ("H100", "h100"), ("H200", "h100"),
    ("A100", "a100"),
)  # fmt: skip
SCALES = (8, 64, 256, 1024)
LATENCY = 10e-6  # s a message and step of its ring


@dataclasses.dataclass(frozen=True)
class Prediction:
    """Of a step on `devices`, with as many pairs on each as were compiled.

    Attributes:
      compute, link: s that it computes, and that messages take.
    """

    devices: int
    compute: float
    link: float

    @property
    def step(self) -> float:
        """Seconds, if nothing is sent while something is computed: the upper bound."""
        return self.compute + self.link

    @property
    def bound(self) -> str:
        """Which of the two takes longer."""
        return "compute" if self.compute >= self.link else "link"

    @property
    def efficiency(self) -> float:
        """Share of the speed that as many devices without messages have."""
        return self.compute / self.step


def chip_of(kind: str) -> Chip | None:
    """The rates of a device by its `device_kind`, if they are known."""
    return next((CHIPS[name] for part, name in _KINDS if part in kind), None)


def predict(
    facts: Facts,
    chip: Chip,
    devices: int,
    products: str,
    utilization: float,
    *,
    pairs: int | None = None,
) -> Prediction:
    """The step of `facts` on `devices` of a chip.

    A message over all devices goes round a ring of all of them, whose slowest link decides; one
    within a group of the `fsdp` axis stays as it is. Its bytes do not grow with the devices
    (`Collective.bytes`), which tests hold.

    Args:
      facts: of a compiled step.
      chip: the rates.
      devices: how many.
      products: "bfloat16" or "float32", what the factors of products are.
      utilization: the share of the chip's rate that products reach.
      pairs: on each device, by which its work grows; None is as many as in `facts`.
    """
    share = 1 if pairs is None else pairs / facts.pairs
    compute = 2 * facts.macs * share / (getattr(chip, products) * utilization)
    link = 0.0
    for one in facts.collectives:
        inner = one.group < facts.devices
        group = one.group if inner else devices
        rate = chip.link if group <= chip.island else chip.network
        sent = dataclasses.replace(one, group=group).sent
        link += sent / rate + one.count * LATENCY * (group - 1).bit_length()
    return Prediction(devices, compute, link)


def minutes(prediction: Prediction, batch: int, pairs: int) -> float:
    """How long a run over so many pairs takes, `batch` a step; set-up and validations apart."""
    return pairs / batch * prediction.step / 60
