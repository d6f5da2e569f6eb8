"""StableHLO files: the network as JAX itself stores programs, for machines without this package.

One file runs on CPU, CUDA and TPU, with any number and size of pictures, and holds the weights;
`jax.export.deserialize` and flatbuffers are all that it takes (`docs/EXPORT.md`).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError
from din_jax.export.checks import Expected
from din_jax.export.reference import HURRIED, Reference

PLATFORMS = ("cpu", "cuda", "tpu")


def stablehlo_files(reference: Reference, expected: Expected, encodes: bool) -> dict[str, bytes]:
    """The halves of a model by name, "content" and, if it `encodes`, "style".

    Content: (content float32 [B, H, W, 3] in [0, 1], {LEVEL.kernel: [B, ...], LEVEL.bias: [B, O]})
    -> painted [B, H, W, 3], clipped to [0, 1]. Style: style [B, H, W, 3] -> such a code. H and W
    are from 32 up.

    Raises:
      UserError: a part of the model asks for sizes that are known, or a file is not equal.
    """
    scope = export.SymbolicScope([f"h >= {SMALLEST_SIDE}", f"w >= {SMALLEST_SIDE}"])
    batch, rows, columns = export.symbolic_shape("b, h, w", scope=scope)
    picture = jax.ShapeDtypeStruct((batch, rows, columns, 3), jnp.float32)
    code = {
        name.removeprefix("code."): jax.ShapeDtypeStruct((batch, *shape), jnp.float32)
        for name, shape in reference.shapes.items()
    }
    files = {"content": _exported(partial(reference.painting, reference.arrays), picture, code)}
    expected.require_equal(_called(files["content"]), "content.stablehlo")
    if encodes:
        files["style"] = _exported(partial(reference.encoding, reference.arrays), picture)
        expected.require_equal_codes(_called(files["style"]), "style.stablehlo")
    return files


def _exported(function: Callable, *arguments) -> bytes:
    try:
        exported = export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    except (TypeError, ValueError, jax.errors.JAXTypeError) as error:
        # An operation that builds its arrays from the sizes themselves, as pooling to a grid does.
        raise UserError(
            "this model is not exported to StableHLO, for a part of it is made for one size of "
            f"picture ({' '.join(str(error).split())[:160]}): take --formats onnx, or a model "
            "whose nets read statistics."
        ) from error
    return bytes(exported.serialize())


def _called(data: bytes) -> Callable:
    options = HURRIED if jax.default_backend() == "cpu" else None
    call = jax.jit(export.deserialize(bytearray(data)).call, compiler_options=options)

    def run(pictures: np.ndarray, code=None):
        if code is None:
            return jax.device_get(call(pictures))
        count = len(pictures)
        many = {k: np.broadcast_to(x, (count, *np.shape(x)[1:])) for k, x in code.items()}
        return np.asarray(call(pictures, many))

    return run
