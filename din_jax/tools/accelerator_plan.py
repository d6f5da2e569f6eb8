"""The tasks of `din_jax.tools.accelerator`, in the order of their importance."""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from din_jax.configs.din import GPU
from din_jax.tools.accelerator_cases import Stylization
from din_jax.tools.bench_cases import VARIANTS, Case, named_forms
from din_jax.tools.pace import FRESH
from din_jax.tools.rows import Task

OURS = "din_jax"
EAGER, CHANNELS_LAST, COMPILED = "torch", "torch, channels_last", "torch.compile"
RIVALS = (EAGER, CHANNELS_LAST, COMPILED)
ALONE = "large, theirs"  # the stage of rivals that have the device for themselves
CEILINGS = ("copy float32", "triad float32", "product bfloat16", "product float32", "product exact")
# The step first: if the time ends, its parts are what can be spared.
STEP = (
    FRESH,
    "step, kept targets",
    "VGG-19, both ways, float32",
    "network, both ways",
    "optimizer",
    "VGG-19, forward",
)
# Without "5x5" and "spatial", of which nothing hangs on the card.
OPERATIONS = ("1x1", "3x3", "depthwise 3x3", "group 3x3", "deformable 3x3")


class Training(NamedTuple):
    """A step of `configs/din.py:gpu`, or one of its parts (`pace.parts_of`)."""

    part: str
    dtype: str
    batch: int
    crop: int


class Job(NamedTuple):
    """A task: what is measured, and whose or which form of it."""

    stage: str
    case: str | Stylization | Case | Training  # a ceiling is its name
    contender: str

    @property
    def task(self) -> Task:
        return Task(f"{title(self.case)}: {self.contender}", self.stage)


class Sizes(NamedTuple):
    """How large everything is."""

    picture: tuple[int, int]  # height and width
    large: tuple[int, int]
    batches: tuple[int, ...]
    maps: tuple[tuple[int, int], ...]  # side and batch of the operations' maps
    pairs: int  # of a training step
    crop: int
    ceiling: int  # bytes of a vector
    rounds: int
    seconds: float  # about as long as a contender is run
    compiled: int | None  # further cases of `torch.compile`; None for all


FULL = Sizes(
    (512, 512), (2160, 3840), (32, 8, 1), ((256, 8), (512, 8), (128, 8)),
    GPU.train.batch, GPU.data.crop, 1 << 30, 9, 3.0, None,
)  # fmt: skip
REHEARSAL = Sizes((40, 48), (64, 96), (2, 1), ((8, 1),), 1, 32, 1 << 20, 2, 0.3, 0)


def title(case: str | Stylization | Case | Training) -> str:
    """What a case is called in the table."""
    if isinstance(case, str):
        return case
    if isinstance(case, Stylization):
        form = "" if case.form == "auto" else f", all {case.form}"
        return f"stylize {case.width}x{case.height}, batch {case.batch}, {case.dtype}{form}"
    if isinstance(case, Case):
        shape = f"{case.batch}x{case.size}x{case.size}x{case.channels}"
        way = "forward+backward" if case.direction == "both" else case.direction
        return f"{case.variant} {shape}, {way}, {case.dtype}"
    part = case.part.removesuffix(", float32")
    return f"train {case.batch} of {case.crop} px, {case.dtype}, {part}"


def plan(sizes: Sizes, rivals: bool) -> dict[str, Job]:
    """All jobs by the names of their tasks; `rivals`: PyTorch's too."""
    return {job.task.name: job for job in _jobs(sizes) if rivals or job.contender not in RIVALS}


def _jobs(sizes: Sizes) -> Iterator[Job]:
    for name in CEILINGS:
        yield Job("ceilings", name, "reached")
    pictures = [
        Stylization(*sizes.picture, batch, dtype)
        for batch, dtype in itertools.product(sizes.batches, ("bfloat16", "float32"))
    ]
    for case in pictures:
        for contender in (OURS, EAGER, CHANNELS_LAST):
            yield Job("pictures", case, contender)
    yield from _operations(sizes.maps[:1], "float32")
    yield from _training(sizes, "bfloat16")
    # Half a minute each: first the largest batch, and the smallest.
    first, last = pictures[0], pictures[-1]
    yield from (Job("compiled", case, COMPILED) for case in (first, last))
    large = [
        Stylization(*sizes.large, batch, dtype)
        for batch, dtype in itertools.product(sorted(sizes.batches), ("bfloat16", "float32"))
    ]
    for case in large[:2]:
        for contender in (OURS, EAGER, CHANNELS_LAST):
            yield Job("large", case, contender)
    for form in ("shift", "conv"):
        yield Job("forms", Stylization(*sizes.picture, sizes.batches[0], "float32", form), OURS)
    yield from _training(sizes, "float32")
    for contender in (OURS, EAGER):
        yield Job("exact", Stylization(*sizes.picture, sizes.batches[0], "exact"), contender)
    yield from _operations(sizes.maps[:1], "bfloat16")
    # Memory is what decides here, and neither library gives back what it once had.
    yield from (Job("large, ours", case, OURS) for case in large[2:])
    yield from (Job(ALONE, case, CHANNELS_LAST) for case in large[2:])
    yield from _operations(sizes.maps[1:], "float32")
    further = [case for case in pictures if case not in (first, last)] + large[:2]
    further += [
        Case(variant, *sizes.maps[0], way) for variant in OPERATIONS for way in ("forward", "both")
    ]
    yield from (Job("compiled", case, COMPILED) for case in further[: sizes.compiled])


def _training(sizes: Sizes, dtype: str) -> Iterator[Job]:
    for part in STEP:
        case = Training(part, dtype, sizes.pairs, sizes.crop)
        yield Job(f"training, {dtype}", case, OURS)


def _operations(maps: Sequence[tuple[int, int]], dtype: str) -> Iterator[Job]:
    for size, variant, way in itertools.product(maps, OPERATIONS, ("forward", "both")):
        case = Case(variant, *size, way, dtype)
        for form in (*named_forms(case), EAGER):
            yield Job(f"operations, {dtype}", case, form)


def default_operation(case: Case, backend_form: str) -> str:
    """The form that `din_jax.ops` takes by itself where static convolutions are "conv" or "shift".

    See `ops.dynamic` and `ops.deformable`.
    """
    forms = named_forms(case)
    if VARIANTS[case.variant].kind == "deformable":
        return "taps"
    return "winograd" if backend_form == "shift" and "winograd" in forms else "matmul"
