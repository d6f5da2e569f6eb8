"""TFDS builders for MS-COCO and WikiArt that keep the encoded pictures and need no TensorFlow.

TFDS's own "coco" imports TensorFlow, and TFDS has no WikiArt; these two store what training needs:
the pictures' bytes, in array_record files that allow random access. Import this module only where
a data set is prepared (`din_jax.data.prepare`): reading needs `din_jax.data.tfds_source` alone.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import tensorflow_datasets as tfds

from din_jax.data.archives import read_archives
from din_jax.data.sources import SourceError

# images.cocodataset.org is a bucket of S3 whose certificate fits this name of it alone.
_COCO_URL = "https://s3.amazonaws.com/images.cocodataset.org/zips/{}"
# Bytes and SHA-256, as TFDS registers them for "coco" (url_checksums/coco_captions.txt).
_COCO_ARCHIVES = {
    "train2014.zip": (
        13_510_573_713,
        "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
    ),
    "train2017.zip": (
        19_336_861_798,
        "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
}


class _Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What both data sets share: one feature "image" of encoded bytes, and its file's name."""

    VERSION = tfds.core.Version("1.0.0")
    # TFDS would look for checksums beside this file, by a package (importlib_resources) that it
    # does not install.
    code_path = None

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                "name": tfds.features.Text(),
            }
        )
        return tfds.core.DatasetInfo(
            builder=self,
            features=features,
            description=" ".join((type(self).__doc__ or "").split()),
            homepage=self.HOMEPAGE,
        )

    def _generate_examples(
        self, archives: list[Path], replacements: Path | None = None
    ) -> Iterator[tuple[str, dict]]:
        for name, data in read_archives(archives, replacements):
            yield name, {"image": io.BytesIO(data), "name": name}


class CocoImages(_Pictures):
    """The training pictures of MS-COCO 2014 (82,783) or 2017 (118,287), without annotations."""

    name = "coco_images"
    HOMEPAGE = "https://cocodataset.org"
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=year) for year in ("2014", "2017")]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Optional: put train2014.zip or train2017.zip here instead of downloading it."
    )

    url_infos = {  # what TFDS compares a download with
        _COCO_URL.format(archive): tfds.download.checksums.UrlInfo(size, checksum, archive)
        for archive, (size, checksum) in _COCO_ARCHIVES.items()
    }

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        archive = f"train{self.builder_config.name}.zip"
        try:
            manual = Path(dl_manager.manual_dir) / archive
        except AssertionError:  # TFDS: no such folder, or it is empty
            manual = None
        if manual is None or not manual.is_file():
            manual = Path(dl_manager.download(_COCO_URL.format(archive)))
        else:
            self._compare(manual)
        return {"train": self._generate_examples([manual])}


    def _compare(self, archive: Path):
        """Raises:
        SourceError: an archive that was put there by hand is not the published one.
        """
        known = next(info for info in self.url_infos.values() if info.filename == archive.name)
        size = archive.stat().st_size
        if size == known.size:
            with open(archive, "rb") as file:  # a minute for 13 GB
                if hashlib.file_digest(file, "sha256").hexdigest() == known.checksum:
                    return
        raise SourceError(
            f"'{archive}' must have the published {int(known.size)} bytes and checksum, but "
            f"{f'has {size} bytes' if size != known.size else 'has another checksum'}: download it "
            "again, or give your own pictures as a folder."
        )


class WikiArt(_Pictures):
    """WikiArt paintings of Kaggle's Painter by Numbers (79,433 in train), downloaded by hand."""

    name = "wikiart"
    HOMEPAGE = "https://www.kaggle.com/competitions/painter-by-numbers"
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put train.zip, or some of train_1.zip to train_9.zip, here; test.zip and "
        "replacements_for_corrupted_files.zip are used if they are there."
    )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        folder = Path(dl_manager.manual_dir)
        train = wikiart_archives(folder)
        replacements = folder / "replacements_for_corrupted_files.zip"
        if not replacements.is_file():
            replacements = None
        splits = {"train": self._generate_examples(train, replacements)}
        if (folder / "test.zip").is_file():
            splits["test"] = self._generate_examples([folder / "test.zip"], replacements)
        return splits


def wikiart_archives(folder: Path) -> list[Path]:
    """The archives of training paintings in a folder: train.zip, else train_1.zip to train_9.zip.

    Raises:
        SourceError: there is none; the sentence says what to download.
    """
    whole = folder / "train.zip"
    found = [whole] if whole.is_file() else sorted(folder.glob("train_[1-9].zip"))
    if not found:
        raise SourceError(
            f"WikiArt needs train.zip or train_1.zip to train_9.zip in '{folder}', but none is "
            f"there: download them from {WikiArt.HOMEPAGE}/data (a Kaggle account is needed)."
        )
    return found
