"""Finds VGG-19 weights on this machine, or downloads torchvision's published file once."""

import hashlib
import http.client
import os
import urllib.error
from pathlib import Path

from din_jax.download import TIMEOUT_SECONDS, alone, cache_folder, fetch
from din_jax.files import replacing
from din_jax.weights.errors import WeightsError, WeightsNotFound
from din_jax.weights.opening import sha256_of

PATH_VARIABLE = "DIN_JAX_VGG19"
URL_VARIABLE = "DIN_JAX_VGG19_URL"
URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
FILE_NAME = "vgg19-dcbb9e9d.pth"
# torchvision puts the first eight digits into the name; a mirror must serve the same bytes.
SHA256 = "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"
PUBLISHED = {SHA256: "torchvision's " + FILE_NAME}  # the PyTorch files that `load_vgg19` reads


def find_vgg19(path: str | Path = "", *, download: bool = True) -> Path:
    """The file of VGG-19 weights to use: the first that is there of

    1. `path`, if given, 2. `$DIN_JAX_VGG19`, if set, 3. the file in the user's cache,
    4. torchvision's file (575 MB), downloaded into the cache, from `$DIN_JAX_VGG19_URL` if set.

    A cached or downloaded file is compared with the published SHA-256 before it is used; a given
    one may be of any kind that `load_vgg19` reads.

    Args:
      path: a file, or "" to look further.
      download: whether step 4 may be taken.

    Returns:
      The path of an existing file.

    Raises:
      WeightsNotFound: a named file is missing, or nothing was found and nothing downloaded.
      WeightsError: the cached or downloaded file is not the published one.
    """
    if path:
        return _named(Path(path), "the given path")
    if os.environ.get(PATH_VARIABLE):
        return _named(Path(os.environ[PATH_VARIABLE]), f"${PATH_VARIABLE}")
    target = cache_folder() / FILE_NAME
    if not target.is_file():
        url = os.environ.get(URL_VARIABLE) or URL
        if not download:
            raise _none_found(target, url, "downloading was not allowed")
        return _download(url, target)
    found = sha256_of(target)
    if found != SHA256:
        raise WeightsError(
            f"{target} has SHA-256 {found[:8]}... where torchvision published {SHA256[:8]}...; "
            f"delete it and run again, or set {PATH_VARIABLE} to use another file"
        )
    return target


def _named(path: Path, where: str) -> Path:
    path = path.expanduser()
    if not path.is_file():
        raise WeightsNotFound(
            f"{where} names {path} for the VGG-19 weights, where there is no file; "
            "correct it, or leave it out to use or download torchvision's file"
        )
    return path


def _none_found(target: Path, url: str, reason: object) -> WeightsNotFound:
    return WeightsNotFound(
        f"found no VGG-19 weights and could not download {url} to {target} ({reason}); put the "
        f"file there, or set {PATH_VARIABLE} to a copy of it, or, to train, do without it by "
        "--config.loss.network=random or --config configs/din.py:demo"
    )


def _download(url: str, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target):
            if target.is_file():  # another process was faster
                return target
            with replacing(target) as partial:
                _fetch(url, partial)
    # ValueError is what urllib says of a malformed address; ours must not be caught as such.
    except WeightsError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection open
        raise _none_found(target, url, error) from error
    return target


def _fetch(url: str, partial: Path) -> None:
    """Streams `url` into `partial`; returns only if the bytes are the published ones."""
    found = fetch(url, partial, hashlib.sha256(), TIMEOUT_SECONDS)
    if found != SHA256:
        raise WeightsError(
            f"{url} sent a file with SHA-256 {found[:8]}... where torchvision "
            f"published {SHA256[:8]}..., so it was thrown away; try again, or set {URL_VARIABLE} "
            "to a mirror of the same file"
        )
