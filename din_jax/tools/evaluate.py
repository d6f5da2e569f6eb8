"""Stylizes every content in every style with a trained model, and measures the results.

python evaluate.py --checkpoint runs/din --content photos --style paintings --output out --metrics

writes out/CONTENT--STYLE.png for each pair, out/contact_sheet.png, and with --metrics
out/metrics.csv. `--size 256` makes all pictures 256 x 256, the size of published comparisons.
The same command goes on where it was stopped: pairs that are there are not painted again unless
their pictures, the model or its settings changed. A file that is not its own is never replaced.
"""

import sys

from din_jax.command_line import Parser, check_least
from din_jax.errors import exit_status, loading
from din_jax.memory import keep_freed_memory


def parse(arguments):
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--checkpoint", required=True, help="included model, model file or run directory")
    add("--content", required=True, help="picture or folder")
    add("--style", required=True, help="picture or folder")
    add("--output", required=True, help="folder to write to")
    add("--metrics", action="store_true", help="measure content and style loss (needs VGG-19)")
    add("--size", type=int, default=0, help="resize everything to N x N pixels; 0 = own size")
    add("--measure-size", type=int, default=0, help="resize to N x N pixels before measuring; "
        "0 = as painted")
    add("--style-size", type=int, help="short side of styles in pixels before encoding; 0 = own "
        "size; default: the scale of training, or --size if given")
    add("--step", help='checkpoint of a run directory: a number or "best"; default: the newest')
    add("--vgg", default="", help="VGG-19 weights; default: those of the config, or downloaded")
    add("--batch", type=int, default=8, help="images at once")
    add("--bucket", type=int, default=0, help="pad sizes to multiples of N; 0 = exact sizes")
    add("--limit", type=int, default=16, help="most rows and columns of the contact sheet")
    add("--format", choices=("png", "jpg"), default="png", help="of the stylized pictures")
    add("--overwrite", action="store_true", help="paint all pairs anew, and replace whatever file "
        "has the name of one")
    return parser.parse_args(arguments)


def run(flags):
    keep_freed_memory()
    # Imported here, so that --help and wrong flags answer at once.
    with loading():
        from din_jax.config import STYLE_LAYERS
        from din_jax.evaluation.metrics import PerceptualMetrics, table
        from din_jax.evaluation.pairs import evaluate_pairs
        from din_jax.evaluation.pictures import check_square, find_images
        from din_jax.inference.cache import keep_programs
        from din_jax.inference.engine import Engine
        from din_jax.weights import vgg19_of
        from din_jax.weights.models import load_model

    check_least(flags, limit=1, batch=1, size=0)
    for side in (flags.size, flags.measure_size):
        check_square(side)
    keep_programs()
    contents, styles = find_images(flags.content, "content"), find_images(flags.style, "style")
    loaded = load_model(flags.checkpoint, step=flags.step, vgg=flags.vgg)
    metrics = None
    if flags.metrics:
        vgg = loaded.vgg or vgg19_of(loaded.config, STYLE_LAYERS, flags.vgg)
        metrics = PerceptualMetrics(vgg, batch=flags.batch)
    style_size = flags.size or None if flags.style_size is None else flags.style_size
    engine = Engine(loaded, batch=flags.batch, bucket=flags.bucket, style_size=style_size)
    made_by = {"model": loaded.fingerprint}
    report = evaluate_pairs(
        engine, contents, styles, flags.output, metrics=metrics, size=flags.size,
        measure_size=flags.measure_size,
        suffix=f".{flags.format}", limit=flags.limit, made_by=made_by, overwrite=flags.overwrite,
    )
    if metrics is not None:
        print(table(report.scores, report.spread))
        if vgg.note:
            print(f"VGG-19: {vgg.note}")
    kept = f" ({report.kept} were there already)" if report.kept else ""
    print(f"{len(report.files)} pictures in {flags.output}{kept}, all on {report.sheet}")


def main() -> int:
    """Paints as `sys.argv` says; the exit status."""
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
