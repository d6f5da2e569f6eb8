"""A table or a figure of the papers, by one command:

    python -m din_jax.evaluation.paper fig8                        minutes on a CPU, no data needed
    python -m din_jax.evaluation.paper fig8 --full --content COCO --style WIKIART

trains what the figure compares, equally, and writes paper/FIGURE.png, its numbers (.json, .csv) and
the paper's sentence with what was found of it (.md): confirmed, not confirmed, or undecided at this
budget. Runs are kept in a cache: the command goes on where it was stopped, and figures share them.

    table1      operations of every network
    fig2        AdaIN with one VGG-19 for both, with small encoders, with one for each
    fig5        all methods side by side; other programs' pictures by --outputs NAME=FOLDER
    fig6        deformable against standard: do strokes follow the objects?
    fig7        flat pictures: AdaIN, standard and spatially adaptive
    fig8        training curves of DIN and AdaIN over several seeds
    fig9        separable and standard convolutions, one and three levels, kernel sizes
    nets        what the paper leaves open: weight nets of 14 M parameters against 1 M
    in_vs_bn    Huang & Belongie 2017, figure 1: instance against batch norm on three kinds of data
    contrast    Ulyanov et al. 2016, figure 2: does the result depend on the content's contrast?

Without --content and --style pictures are drawn; without --vgg in the short setting losses are of
seeded random features, and the verdict says that only VGG-19 decides.
"""

import argparse
import dataclasses
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.errors import UserError, exit_status, loading
from din_jax.memory import keep_freed_memory

# XLA's flags for programs that run for seconds alone: compiled in a fraction of the time, slower
# between convolutions, the same numbers but for roundings.
COMPILED_QUICKLY = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false "
    "--xla_cpu_parallel_codegen_split_count=1"
)
FIGURES = "table1 fig2 fig5 fig6 fig7 fig8 fig9 nets in_vs_bn contrast".split()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("figure", choices=FIGURES, metavar="FIGURE")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--short", action="store_true", help="minutes on a CPU (the default)")
    length.add_argument("--full", action="store_true", help="the paper's recipe, for a GPU")
    add("--output", default="paper", help="folder to write to")
    add("--cache", default="", help="folder of runs; default: OUTPUT/cache")
    add("--content", default="", help='pictures to train on: a folder, "synthetic" or "tfds:NAME"')
    add("--style", default="", help="likewise")
    add("--test-content", default="", help="pictures to paint; default: held out of --content")
    add("--test-style", default="", help="likewise")
    add("--vgg", default="", help="VGG-19 weights; losses are then its, also in the short setting")
    add("--outputs", action="append", default=[], metavar="NAME=FOLDER", help="another program's "
        "pictures of --test-content in --test-style (fig2, fig5)")
    add("--pattern", default="", help='what those are called, as "{content}_stylized_{style}"')
    add("--steps", type=int, default=0, help="of every run; 0: the setting's")
    add("--batch", type=int, default=0, help="pairs per step; 0: the setting's")
    add("--seeds", type=int, default=3, help="runs of each kind where a figure is over seeds")
    add("--size", type=int, default=0, help="of painted pictures; 0: the setting's")
    add("--contents", type=int, default=0, help="how many are painted; 0: the setting's")
    add("--styles", type=int, default=0, help="likewise")
    add("--overwrite", action="store_true", help="replace the figure's files if they are there")
    flags = parser.parse_args(arguments)
    check_least(flags, steps=0, batch=0, seeds=1, size=0, contents=0, styles=0)
    if flags.size and flags.size < 128:
        raise UserError(f"--size must be at least 128 pixels, or 0, not {flags.size}.")
    return flags


def setting_of(flags: argparse.Namespace):
    """The setting that the flags ask for."""
    from din_jax.evaluation.paper.bench import SETTINGS

    setting = SETTINGS["full" if flags.full else "short"]
    base = setting.base
    data = {
        "content": flags.content, "style": flags.style,
        "content_validation": flags.test_content, "style_validation": flags.test_style,
    }  # fmt: skip
    train = {"steps": flags.steps, "batch": flags.batch}
    base = dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, **{k: v for k, v in data.items() if v}),
        train=dataclasses.replace(base.train, **{k: v for k, v in train.items() if v}),
    )
    if flags.vgg:
        base = dataclasses.replace(base, loss=dataclasses.replace(base.loss, network="vgg19"))
    numbers = {"size": flags.size, "contents": flags.contents, "styles": flags.styles}
    return dataclasses.replace(
        setting, base=base, seeds=tuple(range(flags.seeds)),
        **{name: value for name, value in numbers.items() if value},
    )  # fmt: skip


def run(flags: argparse.Namespace) -> None:
    keep_freed_memory()
    if not flags.full:
        os.environ.setdefault("XLA_FLAGS", COMPILED_QUICKLY)  # before JAX is imported
    # Imported here, so that --help and wrong flags answer at once.
    with loading():
        from din_jax.evaluation.folders import check_pattern, named
        from din_jax.evaluation.paper.bench import Bench
        from din_jax.evaluation.paper.findings import names_of, write
        from din_jax.inference.cache import keep_programs
        from din_jax.ops.forms import default_form

        figure = importlib.import_module(f"din_jax.evaluation.paper.{flags.figure}")
    output = Path(flags.output)
    there = [output / name for name in names_of(flags.figure) if (output / name).exists()]
    if there and not flags.overwrite:
        raise UserError(
            f"'{there[0]}' is there already; choose another --output, or replace the figure with "
            "--overwrite."
        )
    keep_programs()
    bench = Bench(
        setting_of(flags), Path(flags.cache) if flags.cache else output / "cache", vgg=flags.vgg,
        outputs=named(flags.outputs, "--outputs"),
        pattern=flags.pattern and check_pattern(flags.pattern),
    )  # fmt: skip
    # One convolution of XLA's compiles faster than the forms that run fast on a CPU.
    with default_form("auto" if flags.full else "conv"):
        result = figure.make(bench)
    for path in write(output, flags.figure, result):
        print(path)
    for verdict in result.verdicts:
        print(f"\n{verdict.text()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
