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
from din_jax.export.checks import Expected
from din_jax.export.reference import FlatCode, Reference
from din_jax.ops.forms import default_form

LEVEL = 1.0
"""Levels of 255 by which a picture may be off where XNNPACK computes it: nobody sees one."""
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
      UserError: the converter refuses a part, or a file is not equal.
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
    expected = Expected(reference, encodes, [(1, side, side)])

    def run_content(content: np.ndarray, code: FlatCode, delegates: bool = False) -> np.ndarray:
        given = {part: code[name] for name, part in zip(names, parts, strict=True)}
        return _run(files["content"], {"content": content, **given}, delegates)["painted"]

    def run_style(style: np.ndarray) -> FlatCode:
        found = _run(files["style"], {"style": style})
        return {name: found[part] for name, part in zip(names, parts, strict=True)}

    expected.require_equal(run_content, "content.tflite")
    fast = run_content(expected.contents[0], expected.codes[0], delegates=True)
    away = expected.difference(fast).largest
    if not away <= LEVEL:
        raise UserError(
            f"content.tflite differs by {away:.3g} levels of 255 where XNNPACK computes it, more "
            f"than {LEVEL:g}, so that no file was left: leave tflite out of --formats."
        )
    if encodes:
        files["style"] = _converted(encode, [picture], ["style"], parts)
        expected.require_equal_codes(run_style, "style.tflite")
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


def _run(
    data: bytes, given: dict[str, np.ndarray], delegates: bool = False
) -> dict[str, np.ndarray]:
    """The file's outputs by name, by the kernels that say what its operations mean.

    With `delegates` by XNNPACK, as programs on a CPU have it: it rounds otherwise, and the painted
    pictures of 256 px came out six to nine times as far from float64, 0.07 levels of 255 at most.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.AUTO if delegates else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=kind)
    return interpreter.get_signature_runner()(**given)
