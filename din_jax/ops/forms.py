"""Which form of an operation is computed where there are several: "conv" or "shift".

`form` is one of
  "conv"   `lax.conv_general_dilated`, borders by concatenation: GPU, TPU and export;
  "shift"  what the CPU runs fast, operation by operation (see `ops.convolution`, `ops.padding`);
  "auto"   "shift" on CPU, "conv" elsewhere; `default_form` overrides it.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_default = contextvars.ContextVar("default_form", default="auto")


@contextlib.contextmanager
def default_form(form: str) -> Iterator[None]:
    """What "auto" means inside the block, for code that traces: export, operation counts.

    It acts while tracing only, and jit does not see it: a function that was compiled outside keeps
    its form. Trace a fresh function inside.
    """
    token = _default.set(form)
    try:
        yield
    finally:
        _default.reset(token)


def resolve_form(form: str = "auto") -> str:
    """ "auto" to the form that the default backend runs fast; other names pass or are refused."""
    form = _default.get() if form == "auto" else form
    if form == "auto":
        return "shift" if jax.default_backend() == "cpu" else "conv"
    if form not in ("conv", "shift"):
        raise ValueError(f"The form of a convolution is auto, conv or shift, not {form!r}.")
    return form
