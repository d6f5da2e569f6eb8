"""Paints every content in every style by other people's methods, each into a folder of its own.

python -m din_jax.evaluation.rivals gatys=out/gatys adain=out/adain wct=out/wct swap=out/swap \\
    --content photos --style paintings --size 256 --vgg vgg19.npz --decoder decoder.npz

writes out/NAME/CONTENT--STYLE.png for each pair and out/NAME/contact_sheet.png, and goes on where
it was stopped. The methods:

{methods}

AdaIN and WCT take AdaIN's published decoder (`--decoder`), WCT and swap decoders of VGG-19's other
layers, which are trained once: `--train-decoders PICTURES` trains those that are missing in the
folder `--decoders`, on pictures alone, and paints nothing when no method is given.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.errors import UserError, exit_status, loading
from din_jax.memory import keep_freed_memory


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    with loading():
        from din_jax.evaluation.rivals.decoders import Training
        from din_jax.evaluation.rivals.methods import METHODS, Options

    names = "\n".join(f"    {name:15} {method.about}" for name, method in METHODS.items())
    parser = Parser(__doc__.format(methods=names), prog="din-jax rivals")
    usual, training = Options(), Training()
    add = parser.add_argument
    add("methods", nargs="*", metavar="METHOD=FOLDER", help="what paints, and where to")
    add("--content", default="", help="picture or folder")
    add("--style", default="", help="picture or folder")
    add("--size", type=int, default=0, help="resize everything to N x N pixels; 0 = own size")
    add("--vgg", default="", help="VGG-19 weights; default: torchvision's, downloaded")
    add("--decoder", default="", help="of relu4_1: AdaIN's published one")
    add("--decoders", default="", help="folder of decoders; default: in the user's cache")
    add("--metrics", action="store_true", help="measure content and style loss")
    add("--overwrite", action="store_true", help="paint all pairs anew")
    add("--steps", type=int, default=usual.steps, help="of L-BFGS (gatys, swap-optimized)")
    add("--style-weight", type=float, default=usual.style_weight, help="of gatys; content has 1")
    add("--noise", action="store_true", help="gatys starts from noise, not from the content")
    add(
        "--strength",
        type=float,
        default=usual.strength,
        help="of the style, 0 to 1 (adain, wct, avatar)",
    )
    add("--train-decoders", default="", metavar="PICTURES", help="folder of photographs")
    add(
        "--layers",
        nargs="+",
        default=[],
        help="whose decoders to train; default: those that the methods need, or all",
    )
    add(
        "--training-steps",
        type=int,
        default=training.steps,
        help="of a decoder; 0: by least squares alone",
    )
    add(
        "--training-minutes",
        type=float,
        default=training.minutes,
        help="most, of a decoder; 0: no end but the steps'",
    )
    add("--training-batch", type=int, default=training.batch, help="pictures")
    add("--training-crop", type=int, default=128, help="pixels")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace):
    from din_jax.evaluation.pictures import check_square

    chosen = _chosen(flags.methods)
    check_least(flags, steps=1, size=0, training_steps=0, training_minutes=0)
    check_least(flags, training_batch=1, training_crop=32)
    check_square(flags.size)
    if not 0 <= flags.strength <= 1 or not 0 <= flags.style_weight < 1e6:
        raise UserError(
            "--strength must be 0 to 1 and --style-weight 0 to 1e6, not "
            f"{flags.strength} and {flags.style_weight}."
        )
    if flags.training_crop % 16:
        raise UserError(f"--training-crop must be a multiple of 16, not {flags.training_crop}.")
    if chosen and not (flags.content and flags.style):
        raise UserError("painting needs --content and --style.")
    if not chosen and not flags.train_decoders:
        raise UserError("name a method and a folder, such as adain=out/adain (see --help).")
    _work(flags, chosen)


def _chosen(pairs: Sequence[str]) -> dict[str, Path]:
    """Method to folder."""
    from din_jax.evaluation.rivals.methods import METHODS

    chosen: dict[str, Path] = {}
    for pair in pairs:
        name, equals, folder = pair.partition("=")
        if not equals or not folder or name not in METHODS:
            raise UserError(
                f"methods are given as METHOD=FOLDER with METHOD one of {', '.join(METHODS)}, not "
                f"'{pair[:80]}'."
            )
        if name in chosen or Path(folder) in chosen.values():
            raise UserError(f"each method has one folder of its own; '{pair[:80]}' is one more.")
        chosen[name] = Path(folder)
    return chosen


def _work(flags: argparse.Namespace, chosen: dict[str, Path]):
    with loading():
        from din_jax.evaluation.metrics import PerceptualMetrics, table
        from din_jax.evaluation.pairs import evaluate_pairs
        from din_jax.evaluation.pictures import find_images
        from din_jax.evaluation.rivals.engine import RivalEngine
        from din_jax.evaluation.rivals.library import DecoderLibrary
        from din_jax.evaluation.rivals.methods import METHODS, Options
        from din_jax.evaluation.rivals.networks import Networks
        from din_jax.inference.cache import keep_programs
        from din_jax.weights import find_vgg19, load_vgg19, require_layers

    keep_freed_memory()
    keep_programs()
    vgg = load_vgg19(find_vgg19(flags.vgg))
    wanted = {layer for name in chosen for layer in METHODS[name].decoders}
    require_layers(vgg, sorted({"relu4_1", *wanted}))
    library = DecoderLibrary(vgg, flags.decoders, flags.decoder)
    needed = flags.layers or sorted(wanted)
    if flags.train_decoders:
        library.train(needed, flags)
    decoders = {name: library.load(METHODS[name].decoders) for name in chosen}
    if not chosen:
        return
    contents, styles = find_images(flags.content, "content"), find_images(flags.style, "style")
    options = Options(flags.steps, flags.style_weight, flags.noise, flags.strength)
    metrics = PerceptualMetrics(vgg, batch=1) if flags.metrics else None
    for name, folder in chosen.items():
        method = METHODS[name]
        made_by = {"rival": name, **method.settings(options), "vgg": library.vgg_digest}
        made_by["decoders"] = library.digests(decoders[name])
        networks = Networks.of(vgg, decoders[name])
        engine = RivalEngine(networks, method.make(options), method.multiple)
        report = evaluate_pairs(
            engine, contents, styles, folder, metrics=metrics, size=flags.size, made_by=made_by,
            overwrite=flags.overwrite,
        )  # fmt: skip
        if metrics is not None:
            print(f"{name}:\n{table(report.scores, report.spread)}")
        kept = f" ({report.kept} were there already)" if report.kept else ""
        print(f"{name}: {len(report.files)} pictures in {folder}{kept}, all on {report.sheet}")
    if vgg.note:
        print(f"VGG-19: {vgg.note}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
