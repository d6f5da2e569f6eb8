"""Pictures below a folder, the unusable ones left out and told once."""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from din_jax.data.decoding import BadImageError
from din_jax.data.files import MissingImageError, UnreachableError, list_images
from din_jax.data.inspection import name_bad, why_bad
from din_jax.data.retries import FINAL, UNREACHABLE, patiently
from din_jax.data.sources import SourceError

logger = logging.getLogger(__name__)

_verdicts: dict[tuple[str, int, int], str] = {}  # (path, bytes, mtime) -> "" or why it is bad


class FolderSource:
    """The pictures below a folder, found recursively, as encoded bytes.

    Unreadable files are left out, with one warning that counts them and names the first few.

    Raises:
        MissingImageError: no such folder.
        SourceError: the folder holds no pictures, or only unreadable ones.
    """

    def __init__(self, folder: str | os.PathLike, *, threads: int = 8):
        self.folder = Path(folder)
        try:
            files = list_images(self.folder)
        except MissingImageError as error:
            raise MissingImageError(
                f"{str(error).rstrip('.')}: give an existing folder, 'synthetic' or 'tfds:NAME'."
            ) from error
        if not files:
            raise SourceError(
                f"a folder of pictures must hold at least one, but '{self.folder}' has none "
                "(JPEG, PNG, WebP, ...; searched recursively): add some or name another folder."
            )
        self.files = _readable(files, self.folder, threads)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> bytes:
        path = self.files[index]
        try:
            return patiently(path.read_bytes, str(path))
        except OSError as error:
            kind = BadImageError if isinstance(error, FINAL) else UnreachableError
            raise kind(f"'{path}' must stay readable, but is not ({error.strerror}).") from error

    def name(self, index: int) -> str:
        return str(self.files[index])


def _readable(files: list[Path], folder: Path, threads: int) -> list[Path]:
    """The files that are pictures; logs the others once."""
    stats = [_fingerprint(path) for path in files]
    fresh = [(path, key) for path, key in zip(files, stats, strict=True) if key not in _verdicts]
    unreachable = 0
    pool = ThreadPoolExecutor(max_workers=max(1, threads))
    try:
        for (_, key), verdict in zip(fresh, pool.map(lambda f: _verdict(f[0]), fresh), strict=True):
            _verdicts[key] = verdict.why
            unreachable = unreachable + 1 if verdict.unreachable else 0
            if unreachable > UNREACHABLE:  # that is the store, not a picture
                raise SourceError(
                    f"{verdict.why} Nor are the {UNREACHABLE} before it, tried again and again: "
                    "give the same command when they can be read."
                )
    finally:
        pool.shutdown(cancel_futures=True)
    bad = [(path, _verdicts[key]) for path, key in zip(files, stats, strict=True) if _verdicts[key]]
    if len(bad) == len(files):
        raise SourceError(
            f"a folder of pictures must hold a readable one, but all {len(bad)} files in "
            f"'{folder}' are bad: {name_bad(_below(bad, folder))}."
        )
    if any(_verdicts[key] for _, key in fresh):
        logger.warning(
            "%d of %d files in '%s' are left out because they cannot be used: %s.",
            len(bad),
            len(files),
            folder,
            name_bad(_below(bad, folder)),
        )
    return [path for path, key in zip(files, stats, strict=True) if not _verdicts[key]]


class _Verdict(NamedTuple):
    """Why a file is no usable picture, or ""; whether that is its store, which does not answer."""

    why: str
    unreachable: bool = False


def _verdict(path: Path) -> _Verdict:
    why = why_bad(path)
    if not why or not path.is_file():
        return _Verdict(why)
    try:  # it may have been the store, for a moment: a file left out is another set of pictures
        patiently(lambda: _read_through(path), str(path))
    except FINAL:
        return _Verdict(why)
    except OSError as error:
        why = f"'{path}' must be readable, but is not ({error.strerror})."
        return _Verdict(why, unreachable=True)
    return _Verdict(why_bad(path))


def _read_through(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def _below(bad: list[tuple[Path, str]], folder: Path) -> list[tuple[Path, str]]:
    return [(path.relative_to(folder), why) for path, why in bad]


def _fingerprint(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
        return str(path.absolute()), stat.st_size, stat.st_mtime_ns
    except OSError:  # a dangling link: `why_bad` says so
        return str(path.absolute()), -1, 0
