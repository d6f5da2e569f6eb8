"""Turns the published archives of MS-COCO and WikiArt into files that training can read.

    python -m din_jax.data.prepare coco                        # downloads 13 GB
    python -m din_jax.data.prepare wikiart --manual_dir DIR    # DIR holds Kaggle's train.zip

Afterwards `tfds:coco` and `tfds:wikiart` name the data sets in a configuration.
"""

import sys
from pathlib import Path

from din_jax.command_line import Parser
from din_jax.data.sources import SourceError
from din_jax.errors import exit_status

NAMES = ("coco", "coco/2014", "coco/2017", "wikiart")


def prepare(name: str, *, data_dir: str = "", manual_dir: str = "") -> Path:
    """Prepares one data set and gives its folder; one that is prepared already is left alone.

    Args:
        name: one of NAMES.
        data_dir: where TFDS keeps data sets; "" takes TFDS_DATA_DIR or ~/tensorflow_datasets.
        manual_dir: folder of archives downloaded by hand; "" takes downloads/manual in data_dir.

    Raises:
        SourceError: unknown name, missing or damaged archives, or a failed download.
    """
    if name not in NAMES:
        raise SourceError(f"the data set must be one of {', '.join(NAMES)}, but is '{name}'.")
    import tensorflow_datasets as tfds

    from din_jax.data import tfds_builders

    options = {"data_dir": data_dir or None, "file_format": "array_record"}
    if name == "wikiart":
        builder = tfds_builders.WikiArt(**options)
        default = Path(builder.data_dir).parents[1] / "downloads" / "manual"
        tfds_builders.wikiart_archives(Path(manual_dir or default))
    else:
        year = name.partition("/")[2] or "2014"
        builder = tfds_builders.CocoImages(config=year, **options)
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir or None, force_checksums_validation=True
    )
    try:
        builder.download_and_prepare(download_config=config)
    except tfds.download.download_manager.NonMatchingChecksumError as error:
        raise SourceError(
            f"the download of '{name}' must have the published size and checksum, but has not: "
            "try again, or download the archive by hand and name its folder as --manual_dir."
        ) from error
    except (OSError, tfds.download.DownloadError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"preparing '{name}' needs its archive and room on the disk, but failed: {reason}. "
            "Look at the connection, or download the archive by hand and name its folder as "
            "--manual_dir."
        ) from error
    return Path(builder.data_dir)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""

    def command() -> None:
        parser = Parser(__doc__)
        add = parser.add_argument
        add("name", choices=NAMES)
        add("--data_dir", default="", help="where TFDS keeps data sets")
        add("--manual_dir", default="", help="folder of archives downloaded by hand")
        flags = parser.parse_args(arguments)
        folder = prepare(flags.name, data_dir=flags.data_dir, manual_dir=flags.manual_dir)
        print(f"ready: {folder}")

    return exit_status(command)


if __name__ == "__main__":
    sys.exit(main())
