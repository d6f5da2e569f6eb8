"""Style banks: styles encoded once and painted by name.

    din-jax bank list                                       the styles that come with the program
    din-jax bank add paintings/ waves.jpg --bank mine.safetensors
    din-jax bank add waves.jpg --tune 200 --content photos/ --bank mine.safetensors
    din-jax bank search glass --bank mine.safetensors
    din-jax bank remove waves --bank mine.safetensors
    din-jax bank export mosaic --output some.safetensors    or a folder, for their thumbnails
    din-jax bank draw --bank styles.safetensors             the program's drawn styles, encoded

A bank is one file, for one model; `--bank FILE` is also an option of `din-jax stylize`. With
`--tune` a code is fitted to its picture by steps on the training's loss (needs VGG-19), once: it
then paints as fast as any.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from functools import partial
from pathlib import Path

from din_jax.command_line import Parser, require_new, require_writable
from din_jax.errors import UserError, exit_status, loading, stop_if_interrupted
from din_jax.memory import keep_freed_memory

AT_ONCE = 16  # pictures read before they are encoded


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax bank")
    actions = parser.add_subparsers(dest="action", required=True)

    def action(name: str, about: str, *, writes: bool, encodes: bool = False):
        sub = actions.add_parser(name, help=about, description=about)
        default = "" if writes else "; default: the one that comes with the program"
        sub.add_argument("--bank", required=writes, help=f"file of the bank, .safetensors{default}")
        if encodes:
            sub.add_argument("--model", default="din_portable", help="name, file or run directory")
            sub.add_argument("--vgg", default="", help="VGG-19 weights, where they are needed")
            sub.add_argument(
                "--tune", type=int, default=0, metavar="STEPS", help="of each code; default: none"
            )
            sub.add_argument(
                "--content", default="synthetic", help="photographs to tune on: a folder, "
                "tfds:NAME; default: drawn scenes",
            )  # fmt: skip
            sub.add_argument(
                "--style-weight", type=float, help="in the loss of tuning; default: training's"
            )
            what = "styles of the same name" if name == "add" else "the whole bank, of any model"
            sub.add_argument("--replace", action="store_true", help=what)
        return sub

    listing = action("list", "names of a bank's styles", writes=False)
    listing.add_argument("--json", action="store_true", help="and whose it is, as JSON")
    searching = action("search", "the names nearest to some words", writes=False)
    searching.add_argument("words", nargs="+", metavar="WORD")
    searching.add_argument("--most", type=int, default=10, help="how many names at most")
    adding = action("add", "encodes pictures into a bank", writes=True, encodes=True)
    adding.add_argument("pictures", nargs="+", metavar="PICTURE", help="files or folders")
    adding.add_argument("--size", type=int, help="px, short side when encoded; default: training's")
    removing = action("remove", "takes styles out of a bank", writes=True)
    removing.add_argument("names", nargs="+", metavar="NAME")
    exporting = action("export", "some styles as a bank, or thumbnails as pictures", writes=False)
    exporting.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    exporting.add_argument("--output", required=True, help=".safetensors file, or a folder")
    exporting.add_argument("--overwrite", action="store_true", help="replace what is there")
    drawing = action("draw", "encodes the program's drawn styles", writes=True, encodes=True)
    drawing.add_argument("--count", type=int, default=26, help="how many; kinds take turns")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> int:
    """The exit status: 1 where some pictures could not be added."""
    with loading():
        from din_jax.inference.bank import StyleBank
        from din_jax.weights.included import INCLUDED_BANK

    if flags.action in ("add", "draw"):
        return _encode(flags)
    bank = StyleBank.load(flags.bank or INCLUDED_BANK)
    if flags.action == "list":
        if flags.json:
            facts = {"model": bank.model, "fingerprint": bank.fingerprint, "styles": bank.names}
            print(json.dumps(facts, ensure_ascii=False))
        else:
            print("\n".join(bank.names))
    elif flags.action == "search":
        print("\n".join(bank.search(" ".join(flags.words), max(flags.most, 1))))
    elif flags.action == "remove":
        for name in dict.fromkeys(flags.names):
            bank.remove(name)
        bank.save(flags.bank)
    else:
        output = Path(flags.output).expanduser()
        names = flags.names or bank.names
        single = output.suffix.lower() == ".safetensors"
        for path in [output] if single else [output / f"{name}.png" for name in names]:
            require_new(path, flags.overwrite)
        print(bank.export(names, output))
    return 0


def _encode(flags: argparse.Namespace) -> int:
    """Adds the pictures that are good, and names the others."""
    keep_freed_memory()
    with loading():
        from din_jax.inference.bank import SUFFIX, StyleBank
        from din_jax.inference.bank_file import check_name
        from din_jax.inference.cache import keep_programs
        from din_jax.inference.codes import take_codes
        from din_jax.inference.pictures import check_style_size
        from din_jax.inference.stylizer import Stylizer

    keep_programs()
    named = list(_drawn(flags.count) if flags.action == "draw" else _files(flags.pictures))
    path, size = Path(flags.bank).expanduser(), getattr(flags, "size", None)
    exists = path.exists()
    if exists and flags.action == "draw" and not flags.replace:
        raise UserError(f"'{path}' exists already; give --replace, or another --bank.")
    require_writable(path, [SUFFIX])
    check_style_size(size or 0, "--size")
    bank = StyleBank.load(path) if exists and flags.action == "add" else None
    _require_own_names([name for name, _ in named], () if flags.replace else bank or ())
    stylizer = Stylizer.load(flags.model, vgg=flags.vgg, bank=bank)
    if bank is None:
        bank = StyleBank(stylizer.loaded.fingerprint, stylizer.loaded.source.stem)
    tuned = _tuner(flags, stylizer)
    failed = []
    for start in range(0, len(named), AT_ONCE):
        stop_if_interrupted()
        good = []
        for name, read in named[start : start + AT_ONCE]:
            try:
                check_name(name)
                good.append((name, read()))
            except UserError as error:
                failed.append(str(error))
        if good:
            code = stylizer.encode_style([picture for _, picture in good], size=size)
            for i, (name, picture) in enumerate(good):
                own = take_codes(code, [i])
                bank.add(name, tuned(name, picture, own, size) if tuned else own, picture)
                if tuned:  # minutes: what is done is kept
                    bank.save(path)
    for problem in failed:
        print(f"error: {problem}", file=sys.stderr)
    if len(failed) < len(named):
        bank.save(path)
    print(f"{len(named) - len(failed)} of {len(named)} styles added to {path}")
    return 1 if failed else 0


def _tuner(flags: argparse.Namespace, stylizer) -> Callable | None:
    """What tunes codes and says what they gained; None without `--tune`."""
    if not flags.tune:
        return None
    if flags.tune < 0:
        raise UserError(f"--tune takes a number of steps, not {flags.tune}.")
    with loading():
        from din_jax.tools.tuned import CodeTuner

    return CodeTuner(
        stylizer, flags.tune, tell=partial(print, flush=True), contents=flags.content,
        style_weight=flags.style_weight, vgg=flags.vgg,
    )  # fmt: skip


def _require_own_names(names: Sequence[str], taken: Container[str]) -> None:
    twice = {name for name, count in Counter(names).items() if count > 1}
    there = {name for name in names if name in taken}
    if not twice and not there:
        return
    what = "stand twice among the pictures" if twice else "are in the bank already"
    listed = ", ".join(sorted(twice or there)[:8])
    remedy = "rename them" if twice else "give --replace, or rename them"
    raise UserError(f"styles are called as their files, but {listed} {what}: {remedy}.")


def _files(given: Sequence[str]) -> Iterator[tuple]:
    """(name, how to read it) of picture files, and of those in folders."""
    from din_jax.data import list_images
    from din_jax.data.inputs import named_path
    from din_jax.inference.pictures import flat_picture

    for where in (named_path(name, "style") for name in given):
        files = list_images(where) if where.is_dir() else [where]
        if not files:
            raise UserError(f"the folder '{where}' holds no picture; give another.")
        for file in files:
            yield file.stem, lambda file=file: flat_picture(file, "a style")


def _drawn(count: int) -> Iterator[tuple]:
    """The same of drawn styles, two of a kind told apart by number."""
    from din_jax.data.drawn.synthetic import FAMILIES, SyntheticStyle

    if count < 1:
        raise UserError(f"--count must be at least 1, not {count}.")
    source = SyntheticStyle(count, size=512)
    for i in range(count):
        kind, turn = FAMILIES[i % len(FAMILIES)].__name__.replace("_", "-"), i // len(FAMILIES)
        yield f"{kind}-{turn + 1}" if turn else kind, lambda i=i: source[i]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
