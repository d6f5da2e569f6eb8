"""Files that are complete or not there: written beside their place, then renamed onto it."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".partial"
TOKEN = 8  # random characters in the name of a file that is being written


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path in `path`'s folder to write to; it becomes `path` when the block ends well.

    Whoever reads `path` sees the old file or the whole new one, also while two processes or threads
    write it. The folder is made; what was written is removed when the block raises. A process that
    is killed leaves a file that `leftovers` names.

    An `OSError` of the system that names no file, such as that of a full disk, names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short, since the name of `path` may be as long as a name can be.
    partial = path.with_name(f"{_prefix(path)}{secrets.token_hex(TOKEN // 2)}{SUFFIX}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(partial)):
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes | str) -> Path:
    """Writes a file whole or not at all; text in UTF-8. Returns its path."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as partial:
        partial.write_bytes(data)
    return Path(path)


def try_folder(folder: str | Path) -> None:
    """Raises OSError unless files can be written in a folder, which is made when one is.

    One that is not there yet is as writable as the one in which it will be made. Leaves nothing.
    """
    folder = Path(folder)
    there = next((x for x in (folder, *folder.parents) if os.path.lexists(x)), folder)
    with tempfile.TemporaryFile(dir=there):
        pass


def leftovers(*paths: str | Path) -> list[Path]:
    """What processes that were killed while they wrote these files left behind."""
    folders: dict[Path, set[str]] = {}
    for path in map(Path, paths):
        folders.setdefault(path.parent, set()).add(_prefix(path))
    return [
        other
        for folder, prefixes in folders.items()
        if folder.is_dir()
        for other in folder.iterdir()
        if other.suffix == SUFFIX and other.stem[:-TOKEN] in prefixes
    ]


def _prefix(path: Path) -> str:
    return f".{path.name[:50]}."
