"""Random access to pictures: `len(source)` and `source[i]`, encoded bytes or uint8 RGB [H, W, 3].

`open_source` turns one word of the configuration into a source: a folder, a TFDS data set, or the
built-in synthetic pictures. `split_source` holds validation pictures out.
"""

import io
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image

from din_jax.data.decoding import (
    BadImageError,
    MissingImageError,
    decode_image,
    decode_pil,
    list_images,
    open_header,
)
from din_jax.errors import UserError

logger = logging.getLogger(__name__)

_HOLD_OUT_SEED = 20200207  # fixed: every run, whatever its seed, holds the same pictures out
_NAMED = 5  # bad files that a warning names
_verdicts: dict[tuple[str, int, int], str] = {}  # (path, bytes, mtime) -> "" or why it is bad


class SourceError(UserError):
    """A source of pictures that cannot be used; the message is one sentence."""


class Source(Protocol):
    """What the pipeline reads: pictures by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes | np.ndarray:
        """Encoded bytes, or uint8 RGB [H, W, 3]; the same for the same index, always."""
        ...

    def name(self, index: int) -> str:
        """What to call the picture in a message."""
        ...


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
        try:
            return self.files[index].read_bytes()
        except OSError as error:
            raise BadImageError(
                f"'{self.files[index]}' must stay readable, but is not ({error.strerror})."
            ) from error

    def name(self, index: int) -> str:
        return str(self.files[index])


class SubsetSource:
    """Some pictures of another source, in the given order."""

    def __init__(self, source: Source, indices: Sequence[int]):
        self.source, self.indices = source, np.asarray(indices, np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> bytes | np.ndarray:
        return self.source[int(self.indices[index])]

    def name(self, index: int) -> str:
        return self.source.name(int(self.indices[index]))


class ImageReader:
    """Decodes pictures of a source; a bad one is replaced by the next good one.

    The replacement depends on the source alone, so that random access stays deterministic.
    Each doubling of the number of bad pictures found is logged once.

    Raises:
        SourceError: the source holds no good picture at all.
    """

    def __init__(self, source: Source):
        self.source = source
        self.bad: dict[int, str] = {}
        self.read(0)

    def read(self, index: int, *, min_side: int = 0) -> Image.Image:
        """Picture `index` as a Pillow RGB image; `min_side` as in `decode_image`."""
        count = len(self.source)
        for offset in range(count):
            here = (index + offset) % count
            if here in self.bad:
                continue
            try:
                item = self.source[here]
                if isinstance(item, np.ndarray):
                    return Image.fromarray(item)
                return decode_pil(item, min_side=min_side, name=self.source.name(here))
            except BadImageError as error:
                self._note(here, error)
        raise SourceError(
            f"a source of pictures must hold a readable one, but all {count} are bad "
            f"({next(iter(self.bad.values()), 'none given')})."
        )

    def _note(self, index: int, error: BadImageError) -> None:
        self.bad[index] = str(error)
        count = len(self.bad)
        if count & (count - 1) == 0:  # 1, 2, 4, 8, ...: told, but never a flood
            logger.warning(
                "%d of %d pictures could not be decoded and are replaced by the next good one: %s",
                count,
                len(self.source),
                " ".join(list(self.bad.values())[:_NAMED]),
            )


def open_source(spec: str, kind: str, *, size: int = 256) -> Source:
    """The source that one configuration word names.

    Args:
        spec: "synthetic", "tfds:NAME[:SPLIT]" or the path of a folder.
        kind: "content" or "style": which synthetic pictures are meant.
        size: side of synthetic pictures, px.

    Raises:
        UserError: nothing usable is there; the sentence says what to do.
    """
    if kind not in ("content", "style"):
        raise SourceError(f"kind must be 'content' or 'style', but is '{kind}'.")
    if spec == "synthetic":
        from din_jax.data.synthetic import SyntheticContent, SyntheticStyle

        return SyntheticContent(size=size) if kind == "content" else SyntheticStyle(size=size)
    if spec.startswith("tfds:"):
        from din_jax.data.tfds_source import open_tfds

        return open_tfds(spec)
    if not spec:
        raise SourceError(
            f"a {kind} source is needed, but none is given: set it to a folder, 'synthetic' or "
            "'tfds:NAME'."
        )
    return FolderSource(Path(spec).expanduser())


def split_source(source: Source, held_out: int) -> tuple[Source, Source]:
    """(training, validation) parts of a source: disjoint, and the same in every run.

    At most `held_out` pictures and at most a fifth of the source are held out, at least one if it
    has two pictures or more. A source of a single picture serves as both parts.
    """
    count = len(source)
    if held_out <= 0:
        return source, SubsetSource(source, [])
    if count == 1:
        return source, source
    order = np.random.default_rng(_HOLD_OUT_SEED).permutation(count)
    held = min(held_out, max(1, count // 5))
    return SubsetSource(source, np.sort(order[held:])), SubsetSource(source, np.sort(order[:held]))


def _readable(files: list[Path], folder: Path, threads: int) -> list[Path]:
    """The files that are pictures; logs the others once."""
    stats = [_fingerprint(path) for path in files]
    fresh = [(path, key) for path, key in zip(files, stats, strict=True) if key not in _verdicts]
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        for (_, key), why in zip(fresh, pool.map(lambda f: why_bad(f[0]), fresh), strict=True):
            _verdicts[key] = why
    bad = [(path, _verdicts[key]) for path, key in zip(files, stats, strict=True) if _verdicts[key]]
    if len(bad) == len(files):
        raise SourceError(
            f"a folder of pictures must hold a readable one, but all {len(bad)} files in "
            f"'{folder}' are bad (the first: {bad[0][1]})"
        )
    if any(_verdicts[key] for _, key in fresh):
        logger.warning(
            "%d of %d files in '%s' are left out because they cannot be used: %s%s",
            len(bad),
            len(files),
            folder,
            " ".join(why for _, why in bad[:_NAMED]),
            f" And {len(bad) - _NAMED} more." if len(bad) > _NAMED else "",
        )
    return [path for path, key in zip(files, stats, strict=True) if not _verdicts[key]]


def _fingerprint(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
        return str(path.absolute()), stat.st_size, stat.st_mtime_ns
    except OSError:  # a dangling link: `why_bad` says so
        return str(path.absolute()), -1, 0


def why_bad(data: bytes | Path, name: str = "") -> str:
    """'' or the sentence that says why data are no usable picture; reads header and end only.

    A picture whose end does not look right is decoded whole, because some good files carry extra
    bytes there.
    """
    try:
        kind = open_header(data, name)
        with io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb") as file:
            complete = _looks_complete(file, kind)
        if not complete:
            decode_image(data, name=name)
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"'{name or data}' must be readable, but is not ({error.strerror})."
    return ""


def _looks_complete(file: BinaryIO, kind: str | None) -> bool:
    head = file.read(12)
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 16))
    tail = file.read()
    if kind in ("JPEG", "MPO"):
        return b"\xff\xd9" in tail
    if kind == "PNG":
        return b"IEND" in tail
    if kind == "WEBP":
        return int.from_bytes(head[4:8], "little") + 8 <= length
    return False
