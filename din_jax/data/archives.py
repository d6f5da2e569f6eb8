"""Pictures inside zip archives, as the public data sets are published."""

import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from din_jax.data.files import IMAGE_SUFFIXES, natural_key
from din_jax.data.inspection import why_bad
from din_jax.data.sources import SourceError

logger = logging.getLogger(__name__)

_NAMED = 5  # bad pictures that a warning names
_MOST_BYTES = 1 << 28  # of one encoded picture
_LONGEST_PATH = 1024  # characters


def read_archives(
    archives: Sequence[Path], replacements: Path | None = None
) -> Iterator[tuple[str, bytes]]:
    """(file name, encoded bytes) of every usable picture in some zip archives.

    Names are without folders; of two pictures of one name the first counts. Unusable ones are left
    out, with one warning that counts them and names the first few.

    Args:
        archives: zip files, read in this order.
        replacements: a zip file whose pictures stand in for those of the same name.

    Raises:
        SourceError: a file is no zip archive, or none holds a usable picture.
    """
    better = dict(_entries(replacements)) if replacements else {}
    seen: set[str] = set()
    bad: list[str] = []
    for archive in archives:
        for name, data in _entries(archive, skip=seen):
            seen.add(name)
            data = better.get(name, data)
            why = why_bad(data, f"{archive.name}:{name}")
            if why:
                bad.append(why)
            else:
                yield name, data
    if len(bad) == len(seen):
        raise SourceError(
            f"{', '.join(str(path) for path in archives)} must hold usable pictures, but none of "
            f"{len(seen)} is: download the archive again."
        )
    if bad:
        logger.warning(
            "%d of %d pictures are left out because they cannot be used: %s%s",
            len(bad),
            len(seen),
            " ".join(bad[:_NAMED]),
            f" And {len(bad) - _NAMED} more." if len(bad) > _NAMED else "",
        )


def _entries(archive: Path, skip: set[str] | None = None) -> Iterator[tuple[str, bytes]]:
    """Pictures of one archive in natural order, but for those named in `skip`.

    An entry that is damaged, encrypted, too long or packed in an unusual way is b"".
    """
    try:
        file = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SourceError(
            f"'{archive}' must be a complete zip archive, but is not: download it again."
        ) from error
    with file:
        pictures = [entry for entry in file.infolist() if _is_picture(entry.filename)]
        for entry in sorted(pictures, key=lambda entry: natural_key(entry.filename)):
            name = PurePosixPath(entry.filename).name
            if name not in (skip or ()):
                yield name, _read(file, entry)


def _is_picture(path: str) -> bool:
    name = PurePosixPath(path).name
    hidden = name.startswith(".") or path.startswith("__MACOSX") or len(path) > _LONGEST_PATH
    return not hidden and name.lower().endswith(IMAGE_SUFFIXES)


def _read(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # Other packers than these two take memory as the archive says.
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return b""
    if entry.file_size > _MOST_BYTES:
        return b""
    try:
        with file.open(entry) as opened:
            return opened.read(_MOST_BYTES)
    # zipfile has a kind of error for each kind of damage: zlib.error, RuntimeError if encrypted...
    except Exception:
        return b""
