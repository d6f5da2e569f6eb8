"""Pictures of prepared TFDS data sets, read at random without TensorFlow and without decoding."""

import copy
import errno
import os
import re
from pathlib import Path

from din_jax.data.files import BadImageError, UnreachableError
from din_jax.data.retries import FINAL, patiently
from din_jax.data.sources import SourceError

# How array_record tells that the store has failed; all else that it tells is damage.
_STORE = re.compile(r"\b\w+\(\) failed: ([^;]*)")
_ALIASES = {  # short names: the folders to look for, first found first taken
    "coco": ("coco_images/2014", "coco/2014"),
    "coco/2014": ("coco_images/2014", "coco/2014"),
    "coco/2017": ("coco_images/2017", "coco/2017"),
    "wikiart": ("wikiart",),
}


class TfdsSource:
    """One split of a prepared TFDS data set, as encoded bytes.

    Args:
        folder: the prepared version's folder, the one that holds dataset_info.json.
        split: a split's name, or a slice such as "train[:1000]".

    Raises:
        SourceError: TFDS is missing, or the folder, split or file format cannot be read.
    """

    def __init__(self, folder: str | os.PathLike, split: str = "train"):
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise SourceError(
                "a 'tfds:' source needs the package tensorflow-datasets, but it is not installed: "
                "pip install tensorflow-datasets array_record."
            ) from error
        try:
            builder = tfds.builder_from_directory(os.fspath(folder))
            self._key = _image_key(builder.info.features, tfds)
            self._data = builder.as_data_source(
                split=split, decoders={self._key: tfds.decode.SkipDecoding()}
            )
            self._count = len(self._data)
        except SourceError:
            raise
        except (NotImplementedError, ImportError) as error:
            raise SourceError(
                f"the data set in '{folder}' must be stored as array_record, but is not: prepare "
                "it again with download_and_prepare and file_format='array_record'."
            ) from error
        except (ValueError, KeyError, AssertionError, OSError) as error:
            raise SourceError(
                f"split '{split}' of the data set in '{folder}' must be readable, but is not: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        if not self._count:
            raise SourceError(f"split '{split}' of '{folder}' must hold pictures, but is empty.")
        self.folder, self.split = Path(folder), split

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> bytes:
        try:
            return patiently(lambda: self._read(index), self.name(index))
        except OSError as error:
            kind = BadImageError if isinstance(error, FINAL) else UnreachableError
            raise kind(
                f"'{self.name(index)}' must stay readable, but is not ({error.strerror})."
            ) from error

    def _read(self, index: int) -> bytes:
        try:
            return self._data[index][self._key]
        except (OSError, MemoryError):
            raise
        except Exception as error:  # array_record's are plain RuntimeErrors, protobuf's its own
            said = " ".join(str(error).split())[:200]
            if failed := _STORE.search(said):
                self._reopen()
                missing = failed[1].strip() == os.strerror(errno.ENOENT)
                number = errno.ENOENT if missing else errno.EIO
                raise OSError(number, failed[1].strip()) from error
            raise BadImageError(f"'{self.name(index)}' is damaged ({said}).") from error

    def _reopen(self):
        """A reader of array_record that has failed once goes on failing; a copy opens new ones."""
        fresh = copy.copy(self._data)
        fresh.data_source = copy.copy(fresh.data_source)
        self._data = fresh

    def name(self, index: int) -> str:
        return f"{self.folder}:{self.split} {index}"


def open_tfds(spec: str, *, data_dir: str = "") -> TfdsSource:
    """The source that "tfds:NAME[:SPLIT]" names; SPLIT is "train" if missing.

    NAME is "coco", "coco/2017", "wikiart", any other data set already prepared as array_record
    below `data_dir` (NAME or NAME/CONFIG or with /VERSION), or a prepared data set's folder.

    Args:
        spec: the words above.
        data_dir: "" takes the variable TFDS_DATA_DIR, or ~/tensorflow_datasets.

    Raises:
        SourceError: not prepared; the sentence says how to.
    """
    name, split = _parse(spec)
    if (Path(name) / "dataset_info.json").is_file():
        return TfdsSource(name, split)
    root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    root = Path(root).expanduser()
    for candidate in _ALIASES.get(name, (name,)):
        versions = sorted(_versions(root / candidate), key=_version_key)
        if versions:
            return TfdsSource(versions[-1], split)
    if name in _ALIASES:
        remedy = f"run python -m din_jax.data.prepare {name} --data_dir '{root}'"
    else:
        remedy = (
            "prepare it with tfds.builder(NAME, file_format='array_record')"
            ".download_and_prepare(), or set TFDS_DATA_DIR to where it is"
        )
    raise SourceError(
        f"the data set '{name}' must have been prepared in '{root}', but is not there: {remedy}."
    )


def _parse(spec: str) -> tuple[str, str]:
    words = spec.removeprefix("tfds:")
    name, colon, split = words.rpartition(":")
    if not colon or "/" in split or "\\" in split:  # "C:\data" and "gs://..." have no split
        # A slice has its own colon: "coco:train[:100]".
        name, split = words, "train"
    sliced = re.fullmatch(r"(.+?):(\w+\[[^\]]*\])", words)
    if sliced:
        name, split = sliced.groups()
    if not name or not split:
        raise SourceError(f"a TFDS source reads 'tfds:NAME[:SPLIT]', but is '{spec}'.")
    return name, split


def _versions(folder: Path) -> list[Path]:
    """Prepared versions in a data set's folder, or the folder itself if it is one."""
    if (folder / "dataset_info.json").is_file():
        return [folder]
    if not folder.is_dir():
        return []
    children = [child for child in folder.iterdir() if (child / "dataset_info.json").is_file()]
    if children:
        return children
    return [path.parent for path in folder.glob("*/*/dataset_info.json")]


def _version_key(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.name))


def _image_key(features, tfds) -> str:
    """The first feature that is a picture; "image" if there is one."""
    images = [key for key, value in features.items() if isinstance(value, tfds.features.Image)]
    if not images:
        raise SourceError(
            f"a TFDS source must have an image feature, but has {', '.join(features)} only."
        )
    return "image" if "image" in images else images[0]
