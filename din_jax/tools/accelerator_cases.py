"""What `din_jax.tools.accelerator` measures: ceilings, stylization, operations, a training step.

A `Contender` is something compiled that can be started and waited for; those of this program are
made here, PyTorch's in `parity.accelerator`.
"""

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.config import Config, ModelConfig
from din_jax.configs.din import GPU
from din_jax.evaluation.operations import count_operations
from din_jax.layers.codes import StyleCode
from din_jax.models.network import StylizationNetwork
from din_jax.ops import default_form
from din_jax.tools.bench import measure, quartiles
from din_jax.tools.bench_cases import (
    Case,
    Program,
    compile_program,
    device_inputs,
    in_direction,
    named_forms,
)
from din_jax.tools.pace import compile_part, parts_of, with_flags
from din_jax.training.state import Network, variables_of
from din_jax.weights.included import INCLUDED
from din_jax.weights.models import LoadedModel, load_model

# How products of float32 are computed. "float32": as each library does by default on the card,
# which is TF32 where it has that (PyTorch is told to as well); "exact": without.
DTYPES = ("float32", "exact", "bfloat16")
STYLE = 256  # pixels, side of the style picture
# One timed run is as many calls without waiting in between as take this long, so that starting
# them is hidden behind computing, as it is in a stream of pictures.
RUN_SECONDS, MOST_CALLS = 0.03, 50


@dataclasses.dataclass(frozen=True)
class Contender:
    """Something that can be measured.

    Attributes:
      start: begins one call and gives its result, which may not be there yet.
      wait: until a result is there.
      array: a result's first image as float32 [H, W, C], for comparison; None: not compared.
      about: what is known of it before it runs.
      peak: bytes of the most memory that it took, called when it has run.
    """

    start: Callable[[], Any]
    wait: Callable[[Any], Any]
    array: Callable[[Any], np.ndarray] | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    peak: Callable[[], int | None] = lambda: None


@dataclasses.dataclass(frozen=True)
class Stylization:
    """Pictures of one size in known styles, by the included model."""

    height: int
    width: int
    batch: int
    dtype: str
    form: str = "auto"  # of all its convolutions, see `din_jax.ops.forms`

    @property
    def model(self) -> ModelConfig:
        return _included().config.model

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Content [1, H, W, 3] and style [1, S, S, 3], float32 in [0, 1], for all of the batch."""
        rng = np.random.default_rng(0)
        shapes = [(self.height, self.width), (STYLE, STYLE)]
        return tuple(rng.random((1, *size, 3), np.float32) for size in shapes)

    def variables(self) -> dict[str, Any]:
        """Parameters and statistics as numpy arrays."""
        return jax.tree.map(np.asarray, variables_of(_included().model))


@functools.cache
def _included() -> LoadedModel:
    return load_model(INCLUDED)


@functools.cache
def _network(model: ModelConfig) -> Network:
    return Network(model)


def _module(model: ModelConfig, variables: dict[str, Any]) -> StylizationNetwork:
    params, stats = variables["params"], variables["batch_stats"]
    return _network(model).module(params, stats, {}, training=False)


@functools.partial(jax.jit, static_argnums=0)
def _code(model: ModelConfig, variables: dict[str, Any], style: jax.Array) -> StyleCode:
    return _module(model, variables).encode_style(style)


def products(dtype: str) -> contextlib.AbstractContextManager:
    """The precision of products inside."""
    return jax.default_matmul_precision("float32") if dtype == "exact" else contextlib.nullcontext()


def array_type(dtype: str) -> str:
    return "bfloat16" if dtype == "bfloat16" else "float32"


def stylizing(case: Stylization) -> Contender:
    """This program's pictures."""
    variables = jax.tree.map(jnp.asarray, case.variables())

    def stylize(variables, content, code):
        return _module(case.model, variables).stylize(content, code)

    content, style = case.images()
    code = _code(case.model, variables, style)
    content = jnp.asarray(content, array_type(case.dtype))
    content, code = jax.tree.map(lambda x: jnp.repeat(x, case.batch, 0), (content, code))
    macs = count_operations(stylize, variables, content, code).macs
    with products(case.dtype), default_form(case.form):
        program = compile_program(stylize, variables, content, code)
    return _contender(program, macs, lambda y: np.asarray(y[0], np.float32))


def operating(case: Case, form: str) -> Contender:
    """This program's instance norm and dynamic convolution in one of its forms."""
    program = compile_program(in_direction(case, named_forms(case)[form]), *device_inputs(case))
    passes = 3 if case.direction == "both" else 1
    return _contender(
        program, passes * case.what.multiply_adds(case.batch, case.size, case.channels)
    )


@functools.cache
def training_parts(dtype: str, batch: int, crop: int) -> dict[str, Any]:
    """The parts of a step of `configs/din.py:gpu`, with their products as it takes them."""
    return {
        name: part._replace(products=GPU.train.products)
        for name, part in parts_of(training_config(dtype, batch, crop)).items()
        if "bfloat16" not in name  # the same but for their products
    }


def training_config(dtype: str, batch: int, crop: int) -> Config:
    config = with_flags(GPU, batch, crop)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, compute_dtype=dtype))


def training(name: str, dtype: str, batch: int, crop: int) -> Contender:
    """A step, or one of its parts."""
    part = training_parts(dtype, batch, crop)[name]
    return _contender(compile_part(part), part.macs)


def _contender(program: Program, macs: int | None, array: Callable | None = None) -> Contender:
    about = {
        "compile_s": program.compile_seconds,
        "flops": program.flops,
        "bytes": program.bytes,
        "macs": macs,
    }
    return Contender(program.start, jax.block_until_ready, array, about, lambda: program.memory)


def ceiling(name: str, scale: int) -> dict[str, Any]:
    """A row of what the device reaches: "bytes_s" or "flops_s", in its lower quartile of time.

    Args:
      name: "copy", "triad" or "product" and a dtype.
      scale: bytes of a vector, and the square root of it a side of the matrices.
    """
    kind, _, dtype = name.partition(" ")
    if kind == "product":
        side = 64 * max(1, round(math.sqrt(scale) / 256))
        a = jax.random.normal(jax.random.key(0), (side, side), array_type(dtype))
        with products(dtype):
            program = compile_program(jnp.matmul, a, a)
        work = {"flops_s": 2 * side**3}
    else:
        x = jax.random.normal(jax.random.key(0), (scale // 4,))
        triad = kind == "triad"
        program = compile_program((lambda x, y: x + 0.5 * y) if triad else (lambda x, y: x + 1),
                                  x, x[::-1])  # fmt: skip
        work = {"bytes_s": (3 if triad else 2) * x.nbytes}
    row = times({"ours": _contender(program, None)}, 9, math.inf)["ours"]
    ((what, amount),) = work.items()
    return row | {what: amount / (1e-3 * row["low"])}


def times(
    contenders: Mapping[str, Contender], rounds: int, seconds: float
) -> dict[str, dict[str, Any]]:
    """Rows of all, run in turn: "ms" of a call, the median, its quartiles "low" and "high".

    Args:
      rounds: timed runs of each, of up to `MOST_CALLS` calls.
      seconds: about what a contender may take in all.
    """
    counts, programs = {}, {}
    for name, contender in contenders.items():
        contender.wait(contender.start())  # what only a first call does
        begin = time.perf_counter()
        contender.wait(contender.start())
        each = max(time.perf_counter() - begin, 1e-6)
        counts[name] = max(1, min(MOST_CALLS, int(RUN_SECONDS / each)))
        programs[name] = Program(functools.partial(_calls, contender, counts[name]))
    rows = {}
    for name, found in measure(programs, rounds, seconds).items():
        low, median, high = (value / counts[name] for value in quartiles(found))
        about = {key: value for key, value in contenders[name].about.items() if value is not None}
        rows[name] = {
            "ms": median, "low": low, "high": high, "runs": len(found), "calls": counts[name],
            "memory": contenders[name].peak(), **about,
        }  # fmt: skip
    return rows


def _calls(contender: Contender, count: int) -> None:
    for _ in range(count):
        result = contender.start()
    contender.wait(result)


def difference(one: Contender, other: Contender) -> float | None:
    """max |a - b| over max |a| of the first image; None where results are not compared."""
    if one.array is None or other.array is None:
        return None
    a, b = (each.array(each.start()) for each in (one, other))
    return float(np.abs(a - b).max() / np.abs(a).max())
