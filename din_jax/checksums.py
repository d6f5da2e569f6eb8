"""SHA-256 sums of the files of a folder, in a file beside them, as `sha256sum -c SHA256SUMS` reads.

A file system can lose the end of a file that was written whole, or a bit of it, and nothing that
reads arrays has to notice.
"""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from din_jax.files import write_atomically

NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_sums(folder: Path, without: Collection[str] = ()) -> None:
    """Writes FOLDER/SHA256SUMS: a line for every file below, but those that `without` names."""
    lines = [f"{_digest(folder / name)}  {name}\n" for name in _files(folder, without)]
    write_atomically(folder / NAME, "".join(lines))


def damage_of(folder: Path, without: Collection[str] = ()) -> str:
    """What is wrong with the files of a folder, each named; "" if nothing, or if it has no sums.

    A file that the sums do not list is damage too, for their own end may be missing, unless
    `without` names it or its name begins with a dot.
    """
    path = folder / NAME
    if not path.exists():
        return ""
    try:
        matches = [_LINE.fullmatch(line) for line in path.read_text().splitlines()]
        wanted = {match[2]: match[1] for match in matches}
    except (OSError, ValueError, TypeError):
        return f"{NAME} is damaged"
    unlisted = [name for name in _files(folder, without) if name not in wanted]
    if not wanted or unlisted:
        return f"{NAME} is damaged, for it does not list {_listed(unlisted) or 'any file'}"
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        return f"{_listed(missing)} {_are(missing)} missing"
    broken = [name for name, digest in wanted.items() if _digest(folder / name) != digest]
    if empty := [name for name in broken if not (folder / name).stat().st_size]:
        return f"{_listed(empty)} {_are(empty)} empty"
    return f"{_listed(broken)} {_are(broken)} not as written" if broken else ""


def _files(folder: Path, without: Collection[str]) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return sorted({str(path.relative_to(folder)) for path in found} - {NAME, *without})


def _digest(path: Path) -> str:
    """Of a file of any size; a file that cannot be read has none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
