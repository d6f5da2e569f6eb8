"""Which form of an operation is computed where there are several: "conv" or "shift".

`form` is one of
  "conv"   `lax.conv_general_dilated`, borders by concatenation: GPU, TPU and export;
  "shift"  what the CPU runs fast, operation by operation (see `ops.convolution`, `ops.padding`);
  "auto"   "shift" on CPU, "conv" elsewhere; `default_form` overrides it.
"""

import contextlib

import jax

FORMS = ("auto", "conv", "shift")
# Part of the key of jit's caches, as a context variable of Python's is not.
_default = jax.make_user_context("auto")


def default_form(form: str) -> contextlib.AbstractContextManager[None]:
    """What "auto" means inside the block, in this thread: export, operation counts, comparisons.

    jit sees it: a function that was compiled outside is traced anew inside, and the other way
    around. A form that is given to an operation is not changed.

    Raises:
      ValueError: no such form.
    """
    return _default(_checked(form))


def resolve_form(form: str = "auto") -> str:
    """ "auto" to the form that the default backend runs fast; other names pass or are refused."""
    form = _default.value if _checked(form) == "auto" else form
    if form == "auto":
        return "shift" if jax.default_backend() == "cpu" else "conv"
    return form


def _checked(form: str) -> str:
    if form not in FORMS:
        raise ValueError(f"The form of a convolution is auto, conv or shift, not {form!r}.")
    return form
