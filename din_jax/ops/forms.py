"""Which form of an operation is computed where there are several: "conv" or "shift".

`form` is one of
  "conv"   `lax.conv_general_dilated`, borders by concatenation: GPU, TPU and converters;
  "shift"  what the CPU runs fast, operation by operation (`ops.cpu`);
  "auto"   "shift" on CPU, "conv" elsewhere, as the program is lowered; `default_form` overrides it.

The choice is `jax.lax.platform_dependent`: a trace holds both forms and fits every platform, also
one that is not here (`jax.export`), and lowering for one platform keeps that platform's alone: the
compiled program is that of the form by itself, instruction by instruction. What it costs is
tracing: the gradient of the network at 64 pixels takes 1.7 CPU seconds instead of 1.2, lowering it
0.9 instead of 0.7, and 2.9 and 1.4 if equal choices are not kept (`_chosen`). Both forms are traced
for a gradient, so forward mode is refused wherever one of them has a gradient of its own.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import jax
from jax import lax

from din_jax.ops import extent

FORMS = ("auto", "conv", "shift")
# Part of the key of jit's caches, as a context variable of Python's is not.
_default = jax.make_user_context("auto")


def default_form(form: str) -> contextlib.AbstractContextManager[None]:
    """What "auto" means inside the block, in this thread, on every platform.

    For what reads a trace and lowers it nowhere (converters, operation counts), for forward mode,
    and for comparing forms on one platform. jit sees it: a function that was compiled outside is
    traced anew inside, and the other way around. A form that is given to an operation is not
    changed.

    Raises:
      ValueError: no such form.
    """
    return _default(_checked(form))


def by_platform(
    cpu: Callable, elsewhere: Callable, *args: Any, form: str = "auto", **settings: Any
) -> Any:
    """cpu(*args, **settings) in the form "shift", elsewhere(...) in the form "conv".

    Both are functions of a module, and settings can be hashed: a choice between the same two for
    the same shapes is traced, and its gradient derived, once.
    """
    form = _default.value if _checked(form) == "auto" else form
    if form == "auto":
        # The sizes of pictures in larger maps are numbers of the trace around, no arguments: what
        # is kept for one trace would carry them into another.
        choose = _chosen if extent.current() is None else _choose
        return choose(cpu, elsewhere, tuple(settings.items()), *args)
    return (cpu if form == "shift" else elsewhere)(*args, **settings)


def _choose(cpu: Callable, elsewhere: Callable, settings: tuple, *args: Any) -> Any:
    cpu, elsewhere = (functools.partial(f, **dict(settings)) for f in (cpu, elsewhere))
    return lax.platform_dependent(*args, cpu=cpu, default=elsewhere)


_chosen = jax.jit(_choose, static_argnums=(0, 1, 2), inline=True)


def _checked(form: str) -> str:
    if form not in FORMS:
        raise ValueError(f"The form of a convolution is auto, conv or shift, not {form!r}.")
    return form
