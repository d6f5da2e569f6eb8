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
    """Pictures of one archive in natural order, but for those named in `skip`."""
    try:
        with zipfile.ZipFile(archive) as file:
            for entry in sorted(file.namelist(), key=natural_key):
                name = PurePosixPath(entry).name
                hidden = name.startswith(".") or entry.startswith("__MACOSX")
                if hidden or not name.lower().endswith(IMAGE_SUFFIXES) or name in (skip or ()):
                    continue
                try:
                    data = file.read(entry)
                except (zipfile.BadZipFile, EOFError, OSError):  # one damaged entry
                    data = b""
                yield name, data
    except zipfile.BadZipFile as error:
        raise SourceError(
            f"'{archive}' must be a complete zip archive, but is not: download it again."
        ) from error
