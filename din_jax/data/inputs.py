"""Which pictures a command line means, and what their results are called."""

import difflib
import glob
import hashlib
import re
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from din_jax.data.decoding import MAX_FILE_BYTES
from din_jax.data.files import IMAGE_SUFFIXES, list_images, natural_key
from din_jax.data.outputs import file_digest
from din_jax.errors import UserError

MAX_STEM_BYTES = 100  # two stems and a suffix stay below the 255 bytes that file systems take
STDIN = "-"


@dataclass(frozen=True)
class Input:
    """A file to read, or standard input (`path` is None).

    Attributes:
      path: where it is.
      folder: where it lay below the folder that was named; "." for a file that was.
    """

    path: Path | None
    folder: str = "."

    @property
    def name(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    @property
    def stem(self) -> str:
        return "stdin" if self.path is None else self.path.stem


@dataclass(frozen=True)
class Style:
    """A style that was asked for.

    Attributes:
      name: for names of files.
      given: a name, a picture's file, or what standard input held.
      key: tells it from others: its name, or the SHA-256 of the picture.
      source: what it is called in messages.
    """

    name: str
    given: str | Path | bytes
    key: str
    source: str


def find_inputs(
    arguments: Iterable[str | Path],
    what: str,
    *,
    known: Callable[[Path], bool] = lambda path: False,
    list_files: Callable[[Path], list[Path]] = list_images,
) -> list[Input]:
    """What the arguments name, in their order: files, folders' pictures, globs, "-".

    Folders are searched recursively; what is in them stands in natural order (2 before 10). A
    pattern with `*`, `?`, `[..]` or `**` is one where no file has that name.

    Args:
      arguments: as a user gives them.
      what: "content" or "style", for errors.
      known: says of a file in a folder or of a pattern that it is none of the pictures meant, such
        as a result that lies among them.
      list_files: what a folder holds.

    Raises:
      UserError: a name is empty, nothing is there, or a folder or pattern has no picture; "-" is
        given twice.
    """
    found: list[Input] = []
    for argument in map(str, arguments):
        path = named_path(argument, what)
        if argument == STDIN:
            if Input(None) in found:
                raise UserError("standard input ('-') can be read once only.")
            found.append(Input(None))
        elif path.is_dir():
            found += _in_folder(path, what, known, list_files)
        elif path.exists():
            found.append(Input(path))
        elif glob.has_magic(argument):
            found += _matching(path, what, known, list_files)
        else:
            raise UserError(
                f"there is no {what} '{path}'{_similar(path)}; give a picture or a folder of "
                "pictures."
            )
    return found


def named_path(argument: str, what: str) -> Path:
    """The path that a user gives; raises UserError for an empty one, which would be any folder."""
    if not argument:
        raise UserError(f"the name of a {what} is empty; give a picture, or '.' for all here.")
    return Path(argument).expanduser()


def read_bytes(source: Input) -> bytes:
    """A file, or standard input.

    Raises:
      UserError: it is larger than pictures are.
    """
    if source.path is None:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    else:
        with source.path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise UserError(
            f"{source.name} must have at most {MAX_FILE_BYTES >> 20} MiB, but has more: save it "
            "compressed or smaller."
        )
    return data


def find_styles(arguments: Sequence[str], names: Collection[str] = ()) -> list[Style]:
    """Styles by files, folders, patterns, "-", or names.

    Args:
      arguments: as a user gives them.
      names: that are known to be names, though there may be files of that name ("./NAME" is one).
        What is not there and does not look like a file is taken for a name, too: whoever knows the
        names refuses it.
    """
    styles = []
    for argument in arguments:
        path = Path(argument).expanduser()
        looks_like_file = path.suffix.lower() in IMAGE_SUFFIXES or len(path.parts) > 1
        named = argument != STDIN and not (path.exists() or looks_like_file)
        if argument in names or (named and not glob.has_magic(argument)):
            styles.append(Style(argument, argument, f"name {argument}", argument))
        else:
            for source in find_inputs([argument], "style"):
                given = read_bytes(source) if source.path is None else source.path
                key = file_digest(given) if source.path else hashlib.sha256(given).hexdigest()
                styles.append(Style(source.stem, given, key, source.name))
    return styles


def _in_folder(folder: Path, what: str, known, list_files) -> list[Input]:
    files = [path for path in list_files(folder) if not known(path)]
    if not files:
        raise UserError(f"the {what} folder '{folder}' holds no pictures; give one that does.")
    return [Input(path, path.relative_to(folder).parent.as_posix()) for path in files]


def _matching(pattern: Path, what: str, known, list_files) -> list[Input]:
    paths = map(Path, sorted(glob.glob(str(pattern), recursive=True), key=natural_key))
    found = [path for path in paths if path.is_file() and not known(path)]
    if not found:
        raise UserError(f"no {what} matches '{pattern}'; check the pattern.")
    return [Input(path) for path in found]


def _similar(path: Path) -> str:
    """Names beside the missing one that are spelled alike, as a part of a sentence."""
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def did_you_mean(name: str, names: Collection[str]) -> str:
    """ " (did you mean 'x' or 'y'?)", of at most three names spelled alike; "" if none is."""
    folded = {other.casefold(): other for other in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(folded[x]) for x in near)}?)" if near else ""


def safe_stem(name: str) -> str:
    """A name as a part of a file's name on every system: no folders, of a bearable length, UTF-8.

    Bytes of a name that are not UTF-8 are surrogates in Python's.
    """
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*\ud800-\udfff]+', "_", name).strip(" .") or "_"
    return name.encode()[:MAX_STEM_BYTES].decode(errors="ignore")


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, those numbered that another is before whatever the file system's case."""
    taken: set[str] = set()
    unique = []
    for name in names:
        numbered, number = name, 1
        while numbered.casefold() in taken:
            number += 1
            numbered = f"{name}-{number}"
        taken.add(numbered.casefold())
        unique.append(numbered)
    return unique


def pair_names(contents: Sequence[str], styles: Sequence[str]) -> list[list[str]]:
    """Per content a name for each style, CONTENT--STYLE; no two are alike.

    Numbered where names that hold "--" themselves make two pairs alike.
    """
    pairs = unique_names(f"{content}--{style}" for content in contents for style in styles)
    return [pairs[start : start + len(styles)] for start in range(0, len(pairs), len(styles))]


def output_names(inputs: Sequence[Input], styles: Sequence[str]) -> list[list[str]]:
    """`pair_names` of inputs, whose folders are mirrored, and of styles' names."""
    contents = [str(PurePosixPath(x.folder, safe_stem(x.stem))) for x in inputs]
    return pair_names(unique_names(contents), unique_names(map(safe_stem, styles)))
