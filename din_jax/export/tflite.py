"""LiteRT (TensorFlow Lite) files, for one size of picture each.

The converter's Python interface is undocumented: it held with litert-converter 0.5.0 and
ai-edge-litert 2.3.0, which are nobody's requirement here. It takes StableHLO as text.
"""

import importlib.util
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.errors import UserError
from din_jax.export.checks import EQUAL, largest, pictures
from din_jax.export.reference import Reference
from din_jax.ops.forms import default_form

PACKAGES = {"litert_converter": "litert-converter==0.5.0", "ai_edge_litert": "ai-edge-litert"}


def require_converter() -> None:
    """Raises UserError unless what makes and runs these files is installed."""
    for library, package in PACKAGES.items():
        if importlib.util.find_spec(library) is None:
            raise UserError(
                f"LiteRT files take {package}, which is not installed: pip install "
                f"{' '.join(PACKAGES.values())}, or leave tflite out of --formats."
            )


def tflite_files(reference: Reference, side: int, encodes: bool) -> dict[str, bytes]:
    """The halves of a model by name, "content" and, if it `encodes`, "style".

    Content: inputs `content` float32 [1, side, side, 3] in [0, 1] and `LEVEL_kernel` and
    `LEVEL_bias` of one style, output `painted`; style: input `style`, outputs such a code.

    Raises:
      UserError: the converter is not installed or refuses a part, or a file is not equal.
    """
    picture = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = {name.removeprefix("code."): (1, *x) for name, x in reference.shapes.items()}
    names = sorted(shapes)
    code = [jax.ShapeDtypeStruct(shapes[name], jnp.float32) for name in names]
    parts = [name.replace(".", "_") for name in names]

    def paint(content, *code):
        return (reference.painting(reference.arrays, content, dict(zip(names, code, strict=True))),)

    def encode(style):
        found = reference.encoding(reference.arrays, style)
        return tuple(found[name] for name in names)

    files = {"content": _converted(paint, [picture, *code], ["content", *parts], ["painted"])}
    rng = np.random.default_rng(0)
    numbers = [np.float32(0.1 * rng.standard_normal(shapes[name])) for name in names]
    content, style = pictures(1, side, side)
    given = {"content": content, **dict(zip(parts, numbers, strict=True))}
    found = _run(files["content"], given)["painted"]
    expected = reference.paint(content, dict(zip(names, numbers, strict=True)))
    _require_equal(found, expected, "content.tflite")
    if encodes:
        files["style"] = _converted(encode, [picture], ["style"], parts)
        found, expected = _run(files["style"], {"style": style}), reference.encode(style)
        for name, part in zip(names, parts, strict=True):
            _require_equal(found[part], expected[name], f"style.tflite, {name}")
    return files


def _converted(
    function: Callable, arguments: Sequence, inputs: list[str], outputs: list[str]
) -> bytes:
    from litert_converter import converter_api_ext as converter
    from litert_converter.mlir import ir, passmanager

    # The forms of the CPU are loops over borders, which phones have no fast operations for.
    with default_form("conv"):
        text = jax.jit(function).lower(*arguments).as_text()
    with ir.Context() as context:
        converter.prepare_mlir_context(context)
        module = ir.Module.parse(text)
        converter.set_signature(module.operation, "serving_default", inputs, outputs)
        try:
            converter.run_convert_to_tfl_passes(
                module, passmanager.PassManager(), converter.ConvertToTFLConfig()
            )
            return bytes(converter.export_flatbuffer_to_bytes(module.operation))
        except ValueError as error:
            raise UserError(
                f"the converter to LiteRT refuses a part of this model "
                f"({' '.join(str(error).split())[:200]}): leave tflite out of --formats."
            ) from error


def _run(data: bytes, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=data).get_signature_runner()(**given)


def _require_equal(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    error = largest(found - expected) / max(1.0, largest(expected))
    if not error <= EQUAL:
        raise UserError(
            f"{what} differs from the engine by {error:.2g} (more than {EQUAL:g}), so that no file "
            "was left: leave tflite out of --formats."
        )
