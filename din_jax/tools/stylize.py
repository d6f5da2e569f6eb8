"""Paints pictures and videos in styles of your choice.

din-jax photo.jpg painting.jpg                              writes photo--painting.png
din-jax stylize photo.jpg --style waves -o painted.jpg      a style that comes with the program
din-jax stylize photos --style painting.jpg -o out          a folder, and the folders in it
din-jax stylize 'photos/**/*.jpg' --style paintings --each  every content in every style
din-jax stylize photo.jpg --style a.jpg b.jpg --weights 2 1 a mixture
din-jax stylize photo.jpg --style a.jpg b.jpg --mask m.png  a where the mask is white, else b
din-jax stylize photo.jpg --style a.jpg --strength 0.6 --color luminance
din-jax stylize photo.jpg --style a.jpg --tune 80           closer to a.jpg, in a minute
din-jax stylize clip.mp4 --style a.jpg --steady 0.5         a video, its sound copied
cat photo.jpg | din-jax stylize - --style a.jpg -o - > painted.png

CONTENT and STYLE are files, folders (searched recursively for pictures), patterns, or "-" for
standard input; CONTENT may be a video, STYLE a name (din-jax info lists them). Without --output
one picture goes to CONTENT--STYLE.png in the current folder, and several to the folder "stylized".

In a folder of outputs the same command goes on where it was stopped: what is there is not painted
again unless its picture, its style or a setting changed. Files of others are never replaced.
Exit status: 0, or 1 if some could not be painted (each is named), or 2 for a mistake.
"""

import argparse
import contextlib
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser
from din_jax.data.given import InputSource
from din_jax.data.inputs import STDIN, Input, find_inputs, find_styles, read_bytes
from din_jax.data.saving import FORMATS
from din_jax.data.video import is_video
from din_jax.errors import UserError, exit_status, loading
from din_jax.inference.mixing import read_levels
from din_jax.memory import keep_freed_memory
from din_jax.tools.painted import Report, Target


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        __doc__,
        prog="din-jax stylize",
        usage="din-jax stylize CONTENT ... --style STYLE ... [-o OUTPUT] [options]",
    )
    add = parser.add_argument
    add("contents", nargs="+", metavar="CONTENT")
    add("--style", "-s", nargs="+", action="extend", required=True, metavar="STYLE",
        help="one, or several that are mixed")
    add("--output", "-o", default="", help='file, folder, or "-" for standard output')
    add("--each", action="store_true", help="paint each content in each style; do not mix them")
    group = parser.add_argument_group("how to paint")
    add = group.add_argument
    add("--strength", type=float, default=1.0, help="0 (the content) to 1 (the style)")
    add("--weights", type=float, nargs="+", metavar="W", help="of the styles; default: equal")
    add("--mask", nargs="+", default=[], metavar="MASK", help="pictures, white where each style "
        "goes; one less than styles leaves the rest to the last")
    add("--feather", type=float, default=0.0, metavar="PX", help="softens the edges of masks")
    add("--levels", nargs="+", default=[], metavar="LEVEL=STRENGTH", help="as level1=0.5")
    add("--color", choices=("style", "luminance", "match"), default="style", help="whose colors: "
        "the style's, the content's, or the style in the content's mean and variance")
    add("--scale", type=int, metavar="PX", help="short side of styles while they are read: strokes "
        "grow with it; default: as in training; 0: their own")
    add("--seamless", action="store_true", help="results tile the plane without a seam")
    add("--tune", type=int, default=0, metavar="STEPS", help="of gradient descent, by which the "
        "code of each style is fitted to it on crops of CONTENT (of a video its first frame); 80 "
        "are good, 200 better; needs VGG-19. For styles to use again: din-jax bank add --tune")
    add("--steady", type=float, default=0.0, metavar="SECONDS", help="of videos, against "
        "flicker: average what stands still, and what frames are normalized by, over so long")
    group = parser.add_argument_group("what with")
    add = group.add_argument
    add("--model", default="din_portable", help="included model, model file or run directory")
    add("--step", help='of a run directory: a number or "best"; default: the newest')
    add("--vgg", default="", help="VGG-19 weights, for a model that contains it and --tune")
    add("--bank", help="file of styles with names (din-jax bank)")
    add("--runtime", choices=("jax", "onnx"), default="jax", help="onnx: ONNX Runtime in the place "
        "of JAX; --model may be a folder of din-jax export")
    add("--batch", type=int, default=8, help="pictures at once")
    add("--bucket", type=int, default=64, metavar="PX", help="compile for multiples of so many "
        "pixels alone, which changes nothing else; 0: for every size")
    add("--tile", type=int, metavar="PX", help="side of the tiles of large pictures; 0: none; "
        "default: by the memory at hand")
    add("--dtype", choices=("float32", "bfloat16"), default="float32", help="of computation")
    group = parser.add_argument_group("what to write")
    add = group.add_argument
    add("--format", choices=("png", "jpg", "webp"), help="default: of OUTPUT, or png")
    add("--quality", type=int, default=95, help="of jpg and webp, 1 to 100")
    add("--sheet", default="", metavar="FILE", help="a picture of all contents, styles and results")
    add("--overwrite", action="store_true", help="paint again what is there, whoever made it")
    add("--json", action="store_true", help="print one JSON document and nothing else")
    return parser.parse_args(arguments)


def check(flags: argparse.Namespace):
    """Raises UserError for flags that cannot be."""
    if flags.batch < 1 or not 1 <= flags.quality <= 100:
        raise UserError("--batch must be at least 1, and --quality 1 to 100.")
    if flags.each and (flags.weights or flags.mask):
        raise UserError("--each does not mix styles, as --weights and --mask do: give one of them.")
    if flags.mask and flags.weights:
        raise UserError("--weights mixes styles everywhere, --mask by place: give one of the two.")
    if flags.tune < 0:
        raise UserError(f"--tune takes a number of steps, not {flags.tune}.")
    if not 0 <= flags.steady < math.inf:
        raise UserError(f"--steady must be 0 seconds or more, not {flags.steady}.")
    if flags.sheet and Path(flags.sheet).suffix.lower() not in FORMATS:
        raise UserError(f"--sheet must end in {', '.join(FORMATS)}, not be '{flags.sheet}'.")
    if [*flags.contents, *flags.style, *flags.mask].count(STDIN) > 1:
        raise UserError("standard input ('-') can be read once only.")
    stdout = flags.output == STDIN or not flags.output and flags.contents == [STDIN]
    if stdout and flags.json:
        raise UserError("standard output takes the picture or --json, not both; give --output.")
    if stdout and sys.stdout.isatty():
        raise UserError("a picture is not written to a terminal; give --output, or a pipe.")


def run(flags: argparse.Namespace) -> int:
    """Paints as the flags say; the exit status."""
    began = time.perf_counter()
    check(flags)
    levels = read_levels(flags.levels)
    target = Target(flags)
    inputs = find_inputs(flags.contents, "content", known=target.outputs.__contains__)
    masks = [read_bytes(x) for x in find_inputs(flags.mask, "mask")]
    notes = videos_left_out(flags.contents)
    styles = find_styles(flags.style)
    groups = target.settle(inputs, styles, flags)
    stdin = read_bytes(Input(None)) if Input(None) in inputs else b""
    # Imported here, so that --help and wrong flags answer at once.
    with loading():
        from din_jax.tools.jobs import plan
        from din_jax.tools.painting import Controls, Painter, thumbnail_of

    stylizer, computed = _with_jax(flags) if flags.runtime == "jax" else _with_onnx(flags, inputs)
    if any(name in stylizer.styles and Path(name).exists() for name in flags.style):
        styles = find_styles(flags.style, stylizer.styles)
        groups = target.settle(inputs, styles, flags)
    controls = Controls(
        each=flags.each, weights=flags.weights, masks=masks or None, feather=flags.feather,
        strength=flags.strength, levels=levels, color=flags.color, scale=flags.scale,
        seamless=flags.seamless, tile=flags.tile,
    )  # fmt: skip
    painter = Painter(stylizer, styles, controls, quality=flags.quality, stdin=stdin)
    made_by = {"dtype": computed, "quality": flags.quality}
    if flags.tune:
        contents = InputSource(inputs, stdin)
        painter.tune_by(lambda: _tuner(flags, stylizer, contents, painter.notes.append))
        made_by["tuned"] = [flags.tune, flags.vgg, contents.key()]
    jobs = plan(inputs, target.names, groups, painter, steady=flags.steady, **made_by)
    report = Report(jobs, [style.name for style in styles], target)
    with target.outputs as outputs:
        todo = report.sort_out(flags.overwrite)
        if todo:
            painter.prepare({style for job in todo for style in job.styles})
        outputs.claim([job.name for job in jobs])
        clips = [job for job in todo if is_video(job.content.path)]
        pictures = [job for job in todo if not is_video(job.content.path)]
        with progress(len(pictures), "pictures", "picture") as bar:
            outcome = painter.run(
                pictures, outputs, batch=flags.batch, advance=bar.update, done=report.done
            )
        report.add(outcome)
        if report.left:
            report.left += clips
        elif clips:
            report.add(
                painter.run_clips(
                    clips, outputs, batch=flags.batch, steady=flags.steady, bar=progress,
                    done=report.done,
                )
            )  # fmt: skip
        report.seconds = time.perf_counter() - began
        if flags.sheet:
            try:
                report.write_sheet([thumbnail_of(style, stylizer) for style in styles])
            except (UserError, OSError) as error:
                report.no_sheet = str(error)
    report.tell([*painter.notes, *notes], as_json=flags.json)
    return 1 if report.failed or report.left or report.no_sheet else 0


def _with_jax(flags: argparse.Namespace):
    """The stylizer, and what it computes in."""
    keep_freed_memory()
    with loading():
        import jax

        from din_jax.inference.cache import keep_programs
        from din_jax.inference.stylizer import Stylizer

    keep_programs()
    devices = jax.local_devices()
    stylizer = Stylizer.load(
        flags.model, step=flags.step, vgg=flags.vgg, bank=flags.bank, batch=flags.batch,
        bucket=flags.bucket, dtype=flags.dtype, devices=devices if len(devices) > 1 else None,
        progress=PiecesBar(),
    )  # fmt: skip
    return stylizer, flags.dtype


def _with_onnx(flags: argparse.Namespace, inputs: Sequence[Input]):
    """The same without JAX."""
    others = ("mask", "seamless", "tile", "tune", "steady", "step", "vgg", "feather")
    asked = [name for name in others if getattr(flags, name)]
    asked += ["dtype"] if flags.dtype != "float32" else []
    if asked:
        raise UserError(f"--{asked[0]} is not for --runtime onnx: leave one of the two out.")
    if any(is_video(each.path) for each in inputs):
        raise UserError("--runtime onnx paints pictures, no videos: leave it out for those.")
    with loading():
        from din_jax.lite import Stylizer
        from din_jax.tools.exported import exported_folder

    stylizer = Stylizer.load(exported_folder(flags.model), bank=flags.bank)
    return stylizer, f"onnx {stylizer.loaded.storage}"


def _tuner(flags: argparse.Namespace, stylizer, contents: InputSource, tell):
    """What tunes the styles' codes on the contents."""
    with loading():
        from din_jax.tools.tuned import CodeTuner

    return CodeTuner(stylizer, flags.tune, tell=tell, contents=contents, vgg=flags.vgg)


class Silent:
    """In the place of a bar."""

    def update(self, count: int = 1) -> None:
        pass


def progress(total: int, name: str, unit: str = "frame"):
    """A bar with the time left, where somebody looks; gone in the end."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:  # beside ONNX Runtime, which needs little
        return contextlib.nullcontext(Silent())
    return tqdm(total=total or None, desc=name, unit=unit, disable=None, leave=False)


class PiecesBar:
    """A bar below the others while a large picture is painted in pieces; takes (done, all)."""

    def __init__(self):
        self._bar = None

    def __call__(self, done: int, total: int):
        if self._bar is None:
            self._bar = progress(total, "pieces", "piece")
        self._bar.update(1)
        if done == total:
            self._bar.close()
            self._bar = None


def videos_left_out(arguments: Sequence[str]) -> list[str]:
    """A sentence for each folder that holds videos, which are not searched for."""
    notes = []
    for folder in filter(Path.is_dir, map(Path, arguments)):
        count = sum(is_video(path) for path in folder.rglob("*"))
        if count:
            notes.append(f"{count} videos in '{folder}' are left out; name those to be painted.")
    return notes


def main() -> int:
    """Paints as `sys.argv` says; the exit status."""
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
