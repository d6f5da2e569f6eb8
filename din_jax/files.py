"""Files that are complete or not there: written beside their place, then renamed onto it."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".partial"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path in `path`'s folder to write to; it becomes `path` when the block ends well.

    Whoever reads `path` sees the old file or the whole new one, also while two processes or threads
    write it. The folder is made; what was written is removed when the block raises. A process that
    is killed leaves a file that `leftovers` names.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Short, since the name of `path` may be as long as a name can be.
    partial = path.with_name(f"{_prefix(path)}{secrets.token_hex(4)}{SUFFIX}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: bytes | str) -> Path:
    """Writes a file whole or not at all; text in UTF-8. Returns its path."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as partial:
        partial.write_bytes(data)
    return Path(path)


def leftovers(path: str | Path) -> list[Path]:
    """What processes that were killed while they wrote `path` left behind."""
    path = Path(path)
    return [
        other
        for other in path.parent.iterdir()
        if other.name.startswith(_prefix(path)) and other.suffix == SUFFIX
    ]


def _prefix(path: Path) -> str:
    return f".{path.name[:50]}."
