"""Every content in every style by several programs, measured by one ruler, in one table.

    din-jax table --checkpoint DIN=runs/din --checkpoint AdaIN=runs/adain --outputs WCT=wct \\
        --content photos --style paintings --output comparison

Models paint first, into comparison/NAME; pictures of other programs are found in their folders by
the names of content and style (ours are CONTENT--STYLE; `--pattern "{content}_stylized_{style}"`
for others). Then all of them are read from their files, resized to `--size` and measured alike.
Written are table.md, table.csv, pairs.csv and table.html, which holds its pictures. The command
goes on where it was stopped: what is painted and measured is neither painted nor measured again.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.errors import UserError, exit_status, loading
from din_jax.evaluation.folders import find_pairs, named
from din_jax.memory import keep_freed_memory

FILES = ("table.md", "table.csv", "pairs.csv", "table.html")
KEPT = "measured.json"
TIMED = 5  # pictures, of which the median is told


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--checkpoint", action="append", default=[], metavar="NAME=MODEL", help="included model, "
        "model file or run directory; may be given several times")
    add("--outputs", action="append", default=[], metavar="NAME=FOLDER", help="pictures that "
        "another program painted; likewise")
    add("--pattern", default="", help='what their files are called, without suffix, as '
        '"{content}_stylized_{style}"; default: as ours, CONTENT--STYLE')
    add("--content", required=True, help="picture or folder")
    add("--style", required=True, help="picture or folder")
    add("--output", required=True, help="folder to write to")
    add("--size", type=int, default=256, help="all pictures are painted and measured as N x N")
    add("--limit", type=int, default=12, help="most pairs that the page shows")
    add("--draws", type=int, default=2000, help="of the bootstrap")
    add("--vgg", default="", help="VGG-19 weights; default: searched for, or downloaded")
    add("--lpips", default="", help="folder of LPIPS's published weights, alexnet-owt-7be5be79.pth "
        "and alex.pth; default: lpips in the user's cache, left out where they are not there")
    add("--inception", default="", help="file of FID's published weights, "
        "pt_inception-2015-12-05-6726825d.pth; default: that in the user's cache, left out where "
        "it is not there")
    add("--art-inception", default="", help="file of ArtFID's published weights as safetensors; "
        "default: art_inception.safetensors in the user's cache, left out where it is not there")
    add("--random", action="store_true", help="seeded random features in the place of VGG-19's: "
        "for a first look without the file, to be compared with themselves alone")
    add("--overwrite", action="store_true", help="replace whatever file has the name of one")
    flags = parser.parse_args(arguments)
    check_least(flags, size=32, limit=1, draws=100)
    return flags


def run(flags: argparse.Namespace) -> None:
    keep_freed_memory()
    models, folders = named(flags.checkpoint, "--checkpoint"), named(flags.outputs, "--outputs")
    if not models and not folders:
        raise UserError("there is nothing to compare: give --checkpoint or --outputs, or both.")
    named([f"{name}=x" for name in (*models, *folders)], "--checkpoint or --outputs")
    # Imported here, so that --help and wrong flags answer at once.
    with loading():
        from din_jax.config import STYLE_LAYERS, Config, LossConfig
        from din_jax.data.outputs import Outputs
        from din_jax.evaluation.folders import check_pattern, find_pairs
        from din_jax.evaluation.pictures import find_images
        from din_jax.inference.cache import keep_programs
        from din_jax.weights import vgg19_of
        from din_jax.weights.inception import find_art_inception, find_inception
        from din_jax.weights.lpips import find_lpips

    lpips, inception = find_lpips(flags.lpips), find_inception(flags.inception)
    if flags.art_inception and lpips is None:
        raise UserError(
            f"--art-inception {flags.art_inception} is of no use without LPIPS's weights, the "
            "other factor of ArtFID: give them by --lpips, or leave it out."
        )
    art = None if lpips is None else find_art_inception(flags.art_inception)
    pattern = flags.pattern and check_pattern(flags.pattern)
    keep_programs()
    contents = find_images(flags.content, "content")
    styles = find_images(flags.style, "style")
    grids = {name: find_pairs(path, contents, styles, pattern) for name, path in folders.items()}
    # What is no picture is left out of all, before anything is painted.
    rows, columns = (usable(paths, flags.size) for paths in (contents, styles))
    contents, styles = [contents[i] for i in rows], [styles[j] for j in columns]
    grids = {name: [[grid[i][j] for j in columns] for i in rows] for name, grid in grids.items()}
    loss = LossConfig(network="random" if flags.random else "vgg19")
    vgg = vgg19_of(Config(loss=loss), STYLE_LAYERS, flags.vgg)
    with Outputs(flags.output) as outputs:
        _refuse_foreign(outputs, flags.overwrite)
        costs = {}
        for name, path in models.items():
            grids[name], costs[name] = paint(path, contents, styles, outputs.folder / name, flags)
        # In the order of the command line: models, then folders.
        grids = {name: grids[name] for name in (*models, *folders)}
        kept = outputs.folder / KEPT
        tables = compare(
            grids, contents, styles, vgg, size=flags.size, costs=costs, kept=kept,
            draws=flags.draws, limit=flags.limit, random=flags.random, lpips=lpips,
            inception=inception, art=art,
        )  # fmt: skip
        for name, text in tables.items():
            outputs.write(name, "", text.encode())
    print(tables["table.md"])
    print(", ".join(str(outputs.folder / name) for name in FILES))


def usable(paths: Sequence[Path], size: int) -> list[int]:
    """Places of the files that are pictures; the others are told once."""
    from din_jax.evaluation.pictures import names_of, read_images

    def warn(line: str):
        print(line, file=sys.stderr)

    used = {picture.name for picture in read_images(paths, size, warn)}
    return [i for i, name in enumerate(names_of(paths)) if name in used]


def paint(
    model: str, contents: Sequence[Path], styles: Sequence[Path], folder: Path, flags
) -> tuple[list, dict[str, float]]:
    """A model's pictures of all pairs, in `folder`, and what one of them costs."""
    from din_jax.evaluation.pairs import evaluate_pairs
    from din_jax.inference.engine import Engine
    from din_jax.weights.models import load_model

    loaded = load_model(model, vgg=flags.vgg)
    engine = Engine(loaded, batch=1, style_size=flags.size)
    made_by = {"model": loaded.fingerprint}
    evaluate_pairs(
        engine, contents, styles, folder, size=flags.size, made_by=made_by,
        overwrite=flags.overwrite,
    )  # fmt: skip
    return find_pairs(folder, contents, styles), cost(engine, contents, styles, flags.size)


def cost(engine, contents: Sequence[Path], styles: Sequence[Path], size: int) -> dict[str, float]:
    """Seconds and megabytes of a picture whose style is known, compiled."""
    from din_jax.evaluation.pairs import read_by
    from din_jax.evaluation.pictures import read_images

    content, style = (next(read_images(paths, size)) for paths in (contents, styles))
    code = engine.encode_style([read_by(engine, style)])
    engine.stylize([content.image], code)
    seconds = []
    for _ in range(TIMED):
        began = time.perf_counter()
        engine.stylize([content.image], code)
        seconds.append(time.perf_counter() - began)
    return {"seconds": statistics.median(seconds), "megabytes": engine.temporary / 1e6}


def compare(
    grids: Mapping[str, Sequence[Sequence[Path | None]]],
    contents: Sequence[Path],
    styles: Sequence[Path],
    vgg,
    *,
    size: int,
    costs: Mapping[str, Mapping[str, float]],
    kept: Path | None = None,
    draws: int = 2000,
    limit: int = 12,
    random: bool = False,
    lpips=None,
    inception=None,
    art=None,
) -> dict[str, str]:
    """File name to text of the tables and the page; arguments as of `Ruler` and the flags."""
    from tqdm import tqdm

    from din_jax.evaluation.frechet import Frechet, artfids, fids
    from din_jax.evaluation.page import page
    from din_jax.evaluation.pictures import Named, names_of, read_picture
    from din_jax.evaluation.ruler import Ruler
    from din_jax.evaluation.summary import (
        Program,
        comma_separated,
        markdown,
        pairs_of,
        summarize,
    )
    from din_jax.models.inception import art_features

    sides = [
        [Named(name, read_picture(path, size)) for name, path in zip(names_of(x), x, strict=True)]
        for x in (contents, styles)
    ]
    ruler = Ruler(vgg, *sides, size=size, kept=kept, lpips=lpips)
    count = sum(path is not None for grid in grids.values() for row in grid for path in row)
    with tqdm(total=count, desc="measured", unit="picture", disable=None, leave=False) as bar:
        numbers = ruler.measure(grids, bar.update)
    far = {} if inception is None else fids(grids, sides[1], Frechet(inception, size))
    art = art and Frechet(art, size, art_features)
    arts = artfids(grids, sides[1], art, numbers) if art else {}
    programs = [
        Program(
            name, numbers[name], **costs.get(name, {}), fid=far.get(name, math.nan),
            artfid=arts.get(name, math.nan),
        )
        for name in grids
    ]  # fmt: skip
    try:
        rows = summarize(programs, draws=draws)
    except ValueError as error:
        raise UserError(
            f"no pair of content and style was painted by all of {', '.join(grids)}; give each "
            "program's pictures of the same pairs."
        ) from error
    notes = list(_notes(rows, grids, vgg, size, random))
    names = [[x.name for x in side] for side in sides]
    return {
        "table.md": markdown(rows, notes),
        "table.csv": comma_separated(rows),
        "pairs.csv": pairs_of(programs, *names),
        "table.html": page(
            f"{', '.join(grids)}: {len(contents)} contents in {len(styles)} styles",
            rows, shown_pairs(grids, *sides, limit), notes,
        ),
    }  # fmt: skip


def shown_pairs(grids, contents, styles, limit: int) -> str:
    """The pictures of the page: pairs spread evenly over contents and styles."""
    from din_jax.data.decoding import load_image
    from din_jax.evaluation.page import pictures_table

    count = min(limit, len(contents) * len(styles))
    # Down the diagonal, moved by a style each time that it comes around: no pair comes twice.
    around = math.lcm(len(contents), len(styles))
    places = [(k % len(contents), (k + k // around) % len(styles)) for k in range(count)]
    columns = {
        "content": [contents[i].image for i, _ in places],
        "style": [styles[j].image for _, j in places],
    }
    for name, grid in grids.items():
        columns[name] = [None if grid[i][j] is None else load_image(grid[i][j]) for i, j in places]
    return pictures_table([(contents[i].name, styles[j].name) for i, j in places], columns)


def _notes(rows, grids, vgg, size: int, random: bool):
    yield f"All pictures were measured as {size} x {size} squares."
    total = rows[0].program.numbers["content_loss"].size
    for name, grid in grids.items():
        lacking = sum(path is None for row in grid for path in row)
        if lacking:
            yield f"{name} lacks {lacking} of {total} pairs, which were left out for all."
    if random:
        yield (
            "The features are seeded and random, not VGG-19's: the numbers compare with themselves "
            "alone, and no conclusion about the pictures' looks follows from them."
        )
    elif vgg.note:
        yield f"VGG-19: {vgg.note}."


def _refuse_foreign(outputs, overwrite: bool):
    from din_jax.data.inspection import name_listed

    foreign = [x for x in FILES if outputs.standing(x, "") == "foreign"]
    if foreign and not overwrite:
        raise UserError(
            f"{name_listed([outputs.folder / x for x in foreign])} would be written over, but no "
            "table of this command is there; choose another --output, or replace it with "
            "--overwrite."
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
