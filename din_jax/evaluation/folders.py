"""Pictures that some program painted, found in its folder by the names of content and style.

Ours are called CONTENT--STYLE; `--pattern` says what another program calls its own, such as
"{content}_stylized_{style}". Suffixes do not count, nor does the case of letters.
"""

import re
import string
from collections.abc import Sequence
from pathlib import Path

from din_jax.data.files import list_images
from din_jax.data.inputs import pair_names
from din_jax.errors import UserError
from din_jax.evaluation.pictures import names_of

FIELDS = {"content", "style"}


def check_pattern(pattern: str) -> str:
    """The pattern itself.

    Raises:
      UserError: it has not {content} and {style}, or something else in braces.
    """
    try:
        fields = [(name, spec, how) for _, name, spec, how in string.Formatter().parse(pattern)]
    except ValueError:
        fields = [("", "", None)]
    found = {name for name, *_ in fields if name is not None}
    if found != FIELDS or any(spec or how for name, spec, how in fields if name is not None):
        raise UserError(
            "--pattern must have {content} and {style} in braces and nothing else, as "
            f'"{{content}}_stylized_{{style}}", not {pattern[:80]!r}.'
        )
    return pattern


def find_pairs(
    folder: str | Path, contents: Sequence[Path], styles: Sequence[Path], pattern: str = ""
) -> list[list[Path | None]]:
    """Per content the picture of each style, below `folder`; None for those that are not there.

    Args:
      folder: searched recursively.
      contents, styles: files, whose names (without suffix) are looked for.
      pattern: of file names (without suffix), beside ours.

    Raises:
      UserError: there is no such folder, none of its pictures is of these pairs, one pair has two
        pictures, or one picture is of two pairs by its name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder '{folder}' of painted pictures.")
    by_name: dict[str, list[Path]] = {}
    for path in list_images(folder):
        by_name.setdefault(_folded(path.stem), []).append(path)
    ours = pair_names(names_of(contents), names_of(styles))
    pairs: list[list[Path | None]] = []
    taken: dict[Path, str] = {}  # picture to its pair, in words
    for content, row in zip(contents, ours, strict=True):
        pairs.append([])
        for style, name in zip(styles, row, strict=True):
            names = {_folded(name)}
            if pattern:
                names.add(_folded(pattern.format(content=content.stem, style=style.stem)))
            found = [path for x in sorted(names) for path in by_name.get(x, [])]
            pair = f"{content.stem} in the style of {style.stem}"
            if len(found) > 1:
                raise UserError(
                    f"'{found[0]}' and '{found[1]}' are both named as {pair}; leave one of them in "
                    f"'{folder}'."
                )
            for path in found:
                if path in taken:
                    raise UserError(
                        f"'{path}' is named both as {taken[path]} and as {pair}; rename it to "
                        f"CONTENT--STYLE, as {name}{path.suffix}, or give another --pattern."
                    )
                taken[path] = pair
            pairs[-1].append(found[0] if found else None)
    if not any(path for row in pairs for path in row):
        one = {"content": contents[0].stem, "style": styles[0].stem}
        other = f" or {pattern.format(**one)}.png" if pattern else ""
        shown = ours[0][0]
        raise UserError(
            f"none of {len(list_images(folder))} pictures in '{folder}' is named as one of "
            f"{len(contents)} contents in one of {len(styles)} styles, such as {shown}.png"
            + other
            + "; say with --pattern what they are called."
        )
    return pairs


def named(arguments: Sequence[str], flag: str) -> dict[str, str]:
    """NAME=PATH arguments by name.

    Raises:
      UserError: one has no name, or one that is no folder's, or two have the same.
    """
    found: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition("=")
        if not (equals and name.strip() and path.strip()) or set(name) & set('/\\:*?"<>|'):
            raise UserError(f"{flag} takes NAME=PATH, as {flag} DIN=runs/din, not {argument!r}.")
        if name.casefold() in map(str.casefold, found):
            raise UserError(f"{flag} has two programs named {name!r}; give each its own name.")
        found[name] = path
    return found


def _folded(name: str) -> str:
    return re.sub(r"\s+", " ", name).casefold()
