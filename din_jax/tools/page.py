"""Writes a web page that paints in the browser alone: a folder for any static server.

    din-jax page --output page                      the included model and its styles
    python -m http.server --bind 127.0.0.1 --directory page     then open http://localhost:8000
    din-jax page --output page --exported FOLDER    of a model that din-jax export wrote

ONNX Runtime Web is taken from its npm package, downloaded once (33 MB) and verified, or unpacked
somewhere (--ort). The page asks no other server for anything, and no picture leaves the browser.
"""

import argparse
import hashlib
import io
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from din_jax.command_line import Parser, check_least
from din_jax.data.drawn.synthetic import SCENES, SyntheticContent
from din_jax.errors import UserError, exit_status
from din_jax.files import write_atomically
from din_jax.inference.bank import StyleBank
from din_jax.tools import web_runtime

SOURCES = Path(__file__).parents[1] / "page"
FORMAT = "din_jax export 1"
SETTINGS = (
    "model", "fingerprint", "levels",
    "smallest_side", "style_size", "longest_style", "largest_style",
)  # fmt: skip
LARGEST_DESCRIPTION = 1 << 20  # bytes
LARGEST_MODEL = 1 << 28
DRAWN_LIST = "contents/contents.json"
FIRST = "index.html"  # what is there exactly if a page is


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax page")
    add = parser.add_argument
    add("--output", "-o", required=True, metavar="FOLDER", help="folder to write")
    add("--model", default="din_portable", help="included model or model file")
    add("--exported", metavar="FOLDER", help="a model exported by din-jax export, instead")
    add("--ort", metavar="FOLDER", help="an unpacked npm package onnxruntime-web")
    add("--size", type=int, default=512, help="pixels, side of the drawn pictures")
    add("--overwrite", action="store_true", help="replace a page that is there")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> None:
    """Writes the page as the flags say."""
    check_least(flags, " pixels", size=32)
    output = Path(flags.output).expanduser()
    require_free(output, flags.overwrite)
    exported = Path(flags.exported).expanduser() if flags.exported else export(flags.model)
    files = model_files(exported)
    ort = web_runtime.read_package(Path(flags.ort)) if flags.ort else web_runtime.find_package()
    files |= {f"ort/{name}": content for name, content in ort.items()}
    files |= drawn_files(flags.size)
    files |= {path.name: path.read_bytes() for path in sorted(SOURCES.iterdir())}
    write_page(output, files)
    size = sum(map(len, files.values())) / 1e6
    print(f"{output}: {len(files) + 1} files, {size:.0f} MB")
    print(f"python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(output))}")


def export(model: str) -> Path:
    """The folder of an exported model, which is made once."""
    from din_jax.tools.exported import exported_folder

    return exported_folder(model, "float16")


def require_free(output: Path, overwrite: bool) -> None:
    """Raises UserError if anything is there that is not to be replaced."""
    if output.exists() and not output.is_dir():
        raise UserError(f"'{output}' is a file; give a folder as --output.")
    if overwrite or not output.is_dir():
        return
    if (output / FIRST).exists():
        raise UserError(f"'{output}' holds a page already; replace it with --overwrite.")
    if any(output.iterdir()):
        raise UserError(f"'{output}' is not empty; give a new folder, or --overwrite.")


def model_files(folder: Path) -> dict[str, bytes]:
    """The networks (weights stored in float16 where there are such), the bank, the settings.

    Raises:
      UserError: a file is missing, damaged or not what `model.json` says, or the bank is of
        another model.
    """
    about = description(folder)
    files = {}
    for name in ("content", "style"):
        stored = about["onnx"].get(name) or {}
        if entry := stored.get("float16") or stored.get("float32"):
            content = part(folder, entry.get("file"))
            if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
                raise UserError(f"'{folder / entry['file']}' is damaged: export the model again.")
            files[f"model/{name}.onnx"] = content
    if "model/content.onnx" not in files:
        raise UserError(f"'{folder}' has no content network: export it with --formats onnx.")
    if about.get("bank"):
        files["model/styles.safetensors"] = part(folder, about["bank"])
        bank = StyleBank.load(folder / about["bank"])
        bank.require_model(str(about.get("fingerprint")), str(about.get("model")))
    elif "model/style.onnx" not in files:
        raise UserError(f"'{folder}' has neither a style bank nor a style encoder: no style.")
    settings = {key: about.get(key) for key in SETTINGS}
    settings |= {"bank": bool(about.get("bank")), "style": "model/style.onnx" in files}
    files["model/model.json"] = json.dumps(settings).encode()
    return files


def description(folder: Path) -> dict[str, Any]:
    """What `model.json` of an exported folder says."""
    path = folder / "model.json"
    if not path.is_file():
        raise UserError(f"'{folder}' has no model.json: give a folder that din-jax export wrote.")
    try:
        about = json.loads(read(path, LARGEST_DESCRIPTION))
        known = about["format"] == FORMAT and isinstance(about["onnx"], dict)
        known = known and all(isinstance(x, dict) for x in about["onnx"].values())
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise UserError(f"'{path}' is no {FORMAT} with ONNX files: export the model again.")
    return about


def part(folder: Path, name: Any) -> bytes:
    """A file that `model.json` names, in that very folder."""
    if not isinstance(name, str) or Path(name).name != name or not (folder / name).is_file():
        raise UserError(f"'{folder}' lacks the file {str(name)[:80]!r} that its model.json names.")
    return read(folder / name, LARGEST_MODEL)


def read(path: Path, most: int) -> bytes:
    """The file, unless it has more bytes than any such file."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UserError(f"'{path}' has more than {most} bytes: it is not what it should be.")
    return content


def drawn_files(size: int) -> dict[str, bytes]:
    """One scene of each kind, as PNG, and the list of them."""
    files = {name: drawn_file(i, size) for i, name in enumerate(drawn_names())}
    return files | {DRAWN_LIST: json.dumps([scene.__name__ for scene in SCENES]).encode()}


def drawn_names() -> list[str]:
    """Paths of the scenes, in the order of their numbers."""
    return [f"contents/{scene.__name__}.png" for scene in SCENES]


def drawn_file(number: int, size: int) -> bytes:
    """A scene of that many pixels a side, as PNG."""
    buffer = io.BytesIO()
    scene = SyntheticContent(len(SCENES), 0, size)[number]
    Image.fromarray(scene).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def write_page(output: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files, the list of all of them for the service worker, and `FIRST` last."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    listed = {"version": digest.hexdigest()[:16], "files": sorted(files)}
    text = f"self.page = {json.dumps(listed)};\n"
    (output / FIRST).unlink(missing_ok=True)  # a page that is half replaced is none
    for name, content in sorted(files.items(), key=lambda item: item[0] == FIRST):
        if name == FIRST:
            write_atomically(output / "files.js", text)
        write_atomically(output / name, content)


def main() -> int:
    """Writes a page as `sys.argv` says; the exit status."""
    return exit_status(lambda: run(parse()))


if __name__ == "__main__":
    sys.exit(main())
