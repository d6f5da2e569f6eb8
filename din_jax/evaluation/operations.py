"""Counts the operations of a JAX function from its trace; nothing is computed.

The convention is that of the profilers of 2017 to 2019, which the paper's table 1 follows:

    convolution, matrix product   1 per multiply-add
    bias                          1 per output element
    norm                          2 per element
    ReLU                          1 per element
    maximum over 2 x 2            1 per input element

Products are read from the equations themselves, the rest from the `jax.named_scope` that layers and
ops set around it. Average pooling, upsampling, padding and sums of maps count nothing, nor does the
instance norm of a styled layer, which its 1 x 1 product takes in.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

from din_jax.ops.forms import default_form

# Scope name to operations per element.
WEIGHTS = {"bias": 1, "norm": 2, "relu": 1, "max_pool": 1}
# Scopes whose matrix products are bookkeeping: averages written as products.
FREE = ("pool", "upsample")
LOOPS = ("scan", "while", "cond")


@dataclasses.dataclass(frozen=True)
class Operations:
    """Operations of one call, by kind; `norm` is already twice the number of elements."""

    macs: int = 0
    bias: int = 0
    norm: int = 0
    relu: int = 0
    max_pool: int = 0

    def __add__(self, other: "Operations") -> "Operations":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Operations(*(a + b for a, b in pairs))

    @property
    def total(self) -> int:
        """Multiply-adds, biases, norms, ReLUs and maxima together."""
        return sum(dataclasses.astuple(self))


def count_operations(function: Callable[..., Any], *inputs: Any) -> Operations:
    """Operations of one call of `function`.

    Args:
      function: traced once, its "auto" convolutions in the form "conv".
      *inputs: pytrees of arrays or `jax.ShapeDtypeStruct`.

    Raises:
      ValueError: the trace holds a loop or a branch, whose trips it does not tell.
    """
    with default_form("conv"):
        jaxpr = jax.make_jaxpr(function)(*inputs).jaxpr
    counts = dict.fromkeys(("macs", *WEIGHTS), 0)
    # A layer call is one unbroken run of equations in its scope: between two norms, say, there is
    # always a convolution. Its map is the largest array that the run reads or writes.
    for label, run in itertools.groupby(_equations(jaxpr, ()), key=lambda item: _label(item[1])):
        largest = 0
        for equation, scopes in run:
            variables = (*equation.invars, *equation.outvars)
            largest = max(largest, *(variable.aval.size for variable in variables))
            if not set(FREE) & set(scopes):
                counts["macs"] += _multiply_adds(equation)
        if label:
            counts[label] += WEIGHTS[label] * largest
    return Operations(**counts)


def _equations(jaxpr: Any, outer: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """The equations of a jaxpr and of those inside it, in program order, with their scopes."""
    for equation in jaxpr.eqns:
        scopes = outer + tuple(str(equation.source_info.name_stack).split("/"))
        if equation.primitive.name in LOOPS:
            raise ValueError(
                f"Operations are counted in straight code, not in a {equation.primitive.name}."
            )
        inner = [value for value in equation.params.values() if _is_jaxpr(value)]
        if not inner:
            yield equation, scopes
        for value in inner:
            yield from _equations(getattr(value, "jaxpr", value), scopes)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")


def _label(scopes: tuple[str, ...]) -> str | None:
    """The innermost counted scope."""
    return next((name for name in reversed(scopes) if name in WEIGHTS), None)


def _multiply_adds(equation: Any) -> int:
    """Multiply-adds of one equation: those behind each output element times their number."""
    if equation.primitive.name == "conv_general_dilated":
        kernel = equation.invars[1].aval
        out_axis = equation.params["dimension_numbers"].rhs_spec[0]
        return equation.outvars[0].aval.size * kernel.size // kernel.shape[out_axis]
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return equation.outvars[0].aval.size * math.prod(shape[axis] for axis in contracted)
    return 0
