"""Exports a model to ONNX and StableHLO files, which other programs run without this one.

    din-jax export -o exported                      the included model, its styles, all formats
    din-jax export --model run.safetensors -o there --formats onnx --storages float16
    din-jax export -o exported --vgg vgg19.npz      and what rounded weights do to the style loss

Each file is compared with the engine before it is written, at several sizes of picture, odd ones
too: one that is not equal to 1e-4 is not left. docs/EXPORT.md tells how to use each.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import exit_status, loading
from din_jax.memory import keep_freed_memory

FORMATS = ("onnx", "stablehlo", "tflite")
STORAGES = ("float32", "float16", "int8")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax export")
    add = parser.add_argument
    add("--output", "-o", required=True, metavar="FOLDER", help="where the files go")
    add("--model", default="din_portable", help="included model, model file or run directory")
    add("--step", help='of a run directory: a number or "best"; default: the newest')
    add(
        "--bank",
        default="",
        help="styles that go with it; default: the program's own, or those of the model's table",
    )
    add(
        "--formats",
        nargs="+",
        choices=FORMATS,
        default=list(FORMATS[:2]),
        help="default: onnx stablehlo; tflite takes litert-converter and ai-edge-litert",
    )
    add("--side", type=int, default=256, metavar="PX", help="of square pictures, for tflite alone")
    add(
        "--storages",
        nargs="+",
        choices=STORAGES,
        default=list(STORAGES),
        help="of the weights in ONNX files; default: all",
    )
    add("--vgg", default="", metavar="FILE", help="VGG-19 weights: measure the style loss, too")
    add(
        "--times",
        nargs="*",
        type=int,
        default=[256, 512],
        metavar="PX",
        help="sides of pictures that are timed, beside JAX; none: no times; default: 256 512",
    )
    add("--overwrite", action="store_true", help="replace an exported model that is there")
    add("--json", action="store_true", help="print one JSON document and nothing else")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> None:
    """Exports as the flags say."""
    folder = Path(flags.output).expanduser()
    if flags.times:
        check_least(flags, " px", times=SMALLEST_SIDE)
    check_least(flags, " px", side=SMALLEST_SIDE)
    with loading():
        from din_jax.export.folder import bank_of, require_free, write_folder
        from din_jax.export.model import Exported
        from din_jax.export.report import document, table
        from din_jax.export.tflite import require_converter
        from din_jax.inference.cache import keep_programs
        from din_jax.weights.models import load_model

    keep_freed_memory()  # else JAX's times are those of pages that it is given anew
    keep_programs()
    require_free(folder, flags.overwrite)
    if "tflite" in flags.formats:
        require_converter()
    loaded = load_model(flags.model, step=flags.step, vgg=flags.vgg)
    bank = bank_of(loaded, flags.bank)
    exported = Exported(loaded, flags.formats, flags.storages, flags.side)
    rows = exported.rows(flags.times, flags.vgg)
    others = {"stablehlo": exported.stablehlo, "tflite": exported.tflite}
    about = write_folder(folder, loaded, exported.onnx, others, bank)
    if flags.json:
        print(json.dumps(document(folder, about, rows), indent=2))
    else:
        print(table(rows, flags.times))
        for note in exported.notes:
            print(f"note: {note}", file=sys.stderr)
        print(folder)


def main() -> int:
    """Exports as `sys.argv` says; the exit status."""
    return exit_status(lambda: run(parse()))


if __name__ == "__main__":
    sys.exit(main())
