"""A folder of outputs that a command can go on with: whose each file is, and what it was made of.

FOLDER/.din-jax.jsonl holds a line for each file that a command wrote there, appended before the
file takes its place:

    {"name": "sea/a--b.png", "made_of": DIGEST, "size": 1234, "sha256": DIGEST, "facts": {...}}

A file is a command's own as long as its bytes are those of one of its lines: a process that is
killed at any moment leaves files that are whole, and known. All others are somebody's, and are not
written over unasked.
"""

import contextlib
import errno
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from din_jax.errors import UserError
from din_jax.files import leftovers, replacing, try_folder

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and nothing is cleared away
    fcntl = None

JOURNAL = ".din-jax.jsonl"
LONGEST_LINE = 1 << 16  # bytes
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UNWRITABLE = (*FULL, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO, errno.ENAMETOOLONG)
_UNWRITABLE += (errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)

Standing = Literal["absent", "done", "outdated", "foreign"]


class OutputError(UserError):
    """An output that cannot be written. `full`: nor can any other, for the disk takes no more."""

    full = False


class Outputs:
    """The outputs of one folder.

    Several processes may write to one folder at a time, each its own files.

    Args:
      folder: made when the first file is written, or by `claim`.
      journal: False for single files that the user names: no journal is kept, and every file that
        is there is foreign.
    """

    def __init__(self, folder: str | Path, *, journal: bool = True):
        self.folder = Path(folder)
        self._lines: dict[str, list[dict]] = {}
        self._journal = self.folder / JOURNAL if journal else None
        self._lock = None
        self._mutex = threading.Lock()
        if journal and self._journal.is_file():
            self._read()

    @property
    def has_journal(self) -> bool:
        return self._journal is not None

    def __contains__(self, path: Path) -> bool:
        """Whether a path names a file that a command once wrote here."""
        with contextlib.suppress(ValueError):
            below = real_path(path).relative_to(real_path(self.folder))
            return below.as_posix() in self._lines
        return False

    def standing(self, name: str, made_of: str) -> Standing:
        """What there is under a name: nothing, the very output, one of something else, or foreign.

        Args:
          name: path below the folder.
          made_of: `digest` of all that decides what the output looks like.
        """
        path = self.folder / name
        if not os.path.lexists(path):
            return "absent"
        line = self._line_of(name)
        if line is None:
            return "foreign"
        return "done" if line["made_of"] == made_of else "outdated"

    def facts(self, name: str) -> Mapping[str, Any]:
        """What was noted with the file that is there; {} for a foreign one."""
        return (self._line_of(name) or {}).get("facts") or {}

    def require_writable(self) -> None:
        """Raises OutputError unless the folder can be written to, or made; changes nothing."""
        with self._told():
            try_folder(self.folder)

    def claim(self, names: Collection[str] = ()) -> None:
        """Makes the folder, and clears away what killed processes left of these files.

        Raises:
          OutputError: the folder cannot be written to.
        """
        self.require_writable()
        with self._told():
            self.folder.mkdir(parents=True, exist_ok=True)
            if self._journal is not None and self._lock is None:
                self._lock = self._journal.open("ab")
        if self._alone():
            for path in leftovers(*(self.folder / name for name in names)):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def writing(
        self, name: str, made_of: str, facts: Mapping[str, Any] | None = None
    ) -> Iterator[Path]:
        """A path to write to; it becomes the output, and is noted, when the block ends well.

        Raises:
          OutputError: it cannot be written; the sentence names it.
        """
        path = self.folder / name
        try:
            with replacing(path) as partial:
                yield partial
                if self._journal is not None:
                    self._note(name, made_of, partial, facts)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            failure = OutputError(f"'{path}' cannot be written ({error.strerror}).")
            failure.full = error.errno in FULL
            raise failure from error

    def write(
        self, name: str, made_of: str, data: bytes, facts: Mapping[str, Any] | None = None
    ) -> Path:
        """`writing` of bytes; the path of the file."""
        with self.writing(name, made_of, facts) as partial:
            partial.write_bytes(data)
        return self.folder / name

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"the folder '{self.folder}' must be one to write to, but is not "
                f"({error.strerror}); give another as --output."
            ) from error

    def _line_of(self, name: str) -> dict | None:
        """The line that the file's bytes have; None if they have none."""
        path, lines = self.folder / name, self._lines.get(name, [])
        if not lines or not path.is_file():
            return None
        size = path.stat().st_size
        lines = [line for line in lines if line["size"] == size]
        found = file_digest(path) if lines else None
        return next((line for line in reversed(lines) if line["sha256"] == found), None)

    def _note(self, name: str, made_of: str, file: Path, facts: Mapping[str, Any] | None):
        line = {"name": name, "made_of": made_of, "size": file.stat().st_size}
        line |= {"sha256": file_digest(file), "facts": facts or {}}
        # A line begins with its end: what a full disk cut short spoils no other.
        data = b"\n" + json.dumps(line).encode()
        with self._mutex, self._journal.open("ab", buffering=0) as journal:
            if journal.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._lines.setdefault(name, []).append(line)

    def _alone(self) -> bool:
        """Whether no other process writes here; others know of this one until it closes."""
        if fcntl is None or self._lock is None:
            return False
        alone = True
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            alone = False
        with contextlib.suppress(OSError):  # some network file systems lock nothing
            fcntl.flock(self._lock, fcntl.LOCK_SH)
        return alone

    def _read(self):
        with self._journal.open("rb") as file:
            while data := file.readline(LONGEST_LINE):
                line = _parsed(data)
                if line is not None:
                    self._lines.setdefault(line["name"], []).append(line)


def digest(**made_of: Any) -> str:
    """SHA-256 of values that JSON can hold, whatever their order."""
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: Path) -> list:
    """What tells an input from another without reading it: its name, size and time of change.

    Of what is not there the name alone: whoever reads it says so.
    """
    try:
        status = path.stat()
    except OSError:
        return [path.name]
    return [path.name, status.st_size, status.st_mtime_ns]


def real_path(path: Path) -> Path:
    """The path without links, which a loop of links does not keep from being named."""
    return Path(os.path.realpath(path))


def _parsed(data: bytes) -> dict | None:
    try:
        line = json.loads(data)
        kinds = {"name": str, "made_of": str, "size": int, "sha256": str, "facts": dict}
        if all(type(line[key]) is kind for key, kind in kinds.items()):
            return line
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None
