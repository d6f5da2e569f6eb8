"""Serves the page, and a JSON API for programs, over the engine on this machine.

    din-jax serve                                   then open http://127.0.0.1:8000
    din-jax serve --model runs/din --bank styles.safetensors
    din-jax serve --page page                       a page of din-jax page, which paints itself, too
    curl -F content=@photo.jpg -F style=waves -o painted.png \\
        'http://127.0.0.1:8000/api/v1/stylize?wait=true'

For pictures too large for a browser. One picture is painted at a time, the others wait in a queue.
Only this machine can reach it unless --host says otherwise. It has no passwords and no encryption:
docs/SERVE.md says what it holds clients to, and what stands in front of it where others come in.
"""

import argparse
import contextlib
import functools
import ipaddress
import json
import math
import os
import re
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.errors import UserError, exit_status, loading
from din_jax.memory import available_bytes, keep_freed_memory
from din_jax.tools.page import DRAWN_LIST, FIRST, SOURCES, drawn_file, drawn_names

PageFile = bytes | Path | Callable[[], bytes]
MOST_MEMORY = 4.0  # GB, that painting takes unless told otherwise
TERMINATED = 128 + signal.SIGTERM
DRAWN = 512  # pixels, side of the drawn pictures
WORKER = "sw.js"  # keeps a page for use without a network; of no use to one that needs a server
META = '<meta name="din-server" content="">'


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax serve")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: all")
    add("--port", type=int, default=8000, help="0: any that is free")
    add(
        "--allow-host",
        nargs="+",
        default=[],
        metavar="NAME",
        help="further names that the server is asked by, as behind a proxy",
    )
    add("--page", metavar="FOLDER", help="a page of din-jax page, which paints by itself, too")
    group = parser.add_argument_group("what with")
    add = group.add_argument
    add("--model", default="din_portable", help="included model, model file or run directory")
    add("--vgg", default="", help="VGG-19 weights, for a model that contains it")
    add("--bank", help="file of styles with names (din-jax bank)")
    add(
        "--memory",
        type=float,
        metavar="GB",
        help="that painting may take, larger pictures in "
        f"pieces; default: half of what is there, at most {MOST_MEMORY:g}",
    )
    group = parser.add_argument_group("what clients are held to")
    add = group.add_argument
    add("--queue", type=int, default=16, help="requests that wait; more are answered 429")
    add("--max-bytes", type=int, default=64 << 20, help="of one request")
    add("--max-pixels", type=int, default=24_000_000, help="of one picture")
    add("--keep", type=float, default=600, metavar="SECONDS", help="results that nobody fetches")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> int:
    """Serves until it is told to stop; the exit status.

    Raises:
      UserError: a flag that cannot be, or an address, a model, a bank or a page that is none.
    """
    check_least(flags, port=0, queue=1, max_bytes=1, max_pixels=1)
    page = page_files(flags.page)
    with loading():
        # Of the extra: what is missing is told before the model is loaded.
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    listening = listen(flags.host, flags.port)
    with listening, terminable():
        load()
        # No sooner: Ctrl-C while libraries are loaded ends the process as it stands.
        with temporary_folder():
            status, painting = serve(flags, page, listening)
    if painting:  # a thread that is inside XLA when the interpreter ends would abort the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def load() -> None:
    """Imports what `serve` takes."""
    keep_freed_memory()
    with loading():
        import din_jax.serve.app
        import din_jax.serve.protocol  # noqa: F401


def serve(
    flags: argparse.Namespace, page: dict[str, PageFile], listening: socket.socket
) -> tuple[int, bool]:
    """Serves what `load` has imported, at a socket that listens.

    Returns:
      The exit status, and whether a picture is being painted yet, which cannot be stopped.
    """
    import jax

    from din_jax.inference.cache import keep_programs
    from din_jax.inference.stylizer import Stylizer
    from din_jax.serve.app import make_app
    from din_jax.serve.jobs import Queue
    from din_jax.serve.limits import Limits
    from din_jax.serve.painting import Painter, Steps
    from din_jax.serve.protocol import make_server

    keep_programs()
    # What other commands have compiled is taken, and nothing added: clients choose the sizes.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", math.inf)
    limits = Limits(
        upload_bytes=flags.max_bytes, uploads_bytes=max(4 * flags.max_bytes, 256 << 20),
        pixels=flags.max_pixels, queue=flags.queue, kept_seconds=flags.keep,
    )  # fmt: skip
    steps = Steps()
    stylizer = Stylizer.load(
        flags.model, vgg=flags.vgg, bank=flags.bank, batch=1, bucket=64, progress=steps,
        memory=memory_of(flags.memory),
    )  # fmt: skip
    with contextlib.closing(Queue(Painter(stylizer, steps).paint, limits)) as queue:
        hosts = names_of(flags.host, flags.allow_host)
        app = make_app(stylizer, queue, limits, page=page, hosts=hosts)
        server = make_server(app, limits)
        print(
            f"{address(listening)}: {flags.model}, {len(stylizer.styles)} styles; Ctrl-C ends it",
            flush=True,
        )
        if hosts is None:
            print("note: all of the network may use it (docs/SERVE.md)", file=sys.stderr)
        status = 0
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # how it is meant to end
            print("stopped", file=sys.stderr)
        except SystemExit as end:  # of `terminable`
            status = int(end.code)
    return status, queue.at_work


def listen(host: str, port: int) -> socket.socket:
    """A socket that waits for connections.

    Raises:
      UserError: the address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"'{host}', port {port}, cannot be listened at ({error}): choose another --port or "
            "--host."
        ) from error


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def names_of(host: str, further: Sequence[str]) -> frozenset[str] | None:
    """Names that the server answers to; None: any, where it listens to the network."""
    names = {name.lower() for name in further}
    if host == "localhost":
        loopback = True
    else:
        with contextlib.suppress(ValueError):
            host = str(ipaddress.ip_address(host))
        loopback = host == "::1" or host.startswith("127.")
    if not loopback:
        return frozenset(names | {host}) if names else None
    return frozenset(names | {host, "127.0.0.1", "localhost", "::1"})


def memory_of(gigabytes: float | None) -> int | None:
    """Bytes for the engine; None leaves an accelerator's to it."""
    if gigabytes is not None:
        if not 0 < gigabytes < 1e6:
            raise UserError(f"--memory must be above 0 GB, not {gigabytes}.")
        return int(gigabytes * 1e9)
    import jax

    if jax.default_backend() != "cpu":
        return None
    return int(min(available_bytes() / 2, MOST_MEMORY * 1e9))


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """All temporary files of this process go to one folder, which is removed in the end."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="din_jax-serve-") as folder:
        tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the block as an exception does, so that everything is put away."""

    def leave(number: int, frame) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def page_files(folder: str | None) -> dict[str, PageFile]:
    """The files of the page by their paths, which say where the API is.

    Args:
      folder: a page of din-jax page; None is one that has no networks.

    Raises:
      UserError: it is none.
    """
    if folder is None:
        files: dict[str, PageFile] = {
            # Drawn when first asked for, so that the server is there at once.
            name: functools.cache(functools.partial(drawn_file, number, DRAWN))
            for number, name in enumerate(drawn_names())
        }
        scenes = [Path(name).stem for name in files]
        files[DRAWN_LIST] = json.dumps(scenes).encode()
        files |= {path.name: path for path in SOURCES.iterdir() if path.name != WORKER}
        files[FIRST] = told(SOURCES / FIRST, " data-only")
        return files
    root = Path(folder).expanduser().resolve()
    listed = root / "files.js"
    try:
        found = re.fullmatch(r"self\.page = (\{.*\});\n", listed.read_text("utf-8"), re.DOTALL)
        about = json.loads(found[1])
        names = [str(name) for name in about["files"]]
        version = str(about["version"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserError(f"'{folder}' is no page: give a folder that din-jax page wrote.") from error
    files = {}
    for name in names:
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise UserError(f"'{folder}' lacks the file {name[:80]!r}: write the page anew.")
        files[name] = path
    if FIRST not in files:
        raise UserError(f"'{folder}' lacks {FIRST}: write the page anew.")
    files[FIRST] = told(files[FIRST], "")
    # Another version than the same page on a server of files, which browsers may have kept.
    about |= {"version": f"{version}-served"}
    files["files.js"] = f"self.page = {json.dumps(about)};\n".encode()
    return files


def told(path: Path, more: str) -> bytes:
    """The page's first file, which says where the API is.

    Raises:
      UserError: it is of another version.
    """
    text = path.read_text("utf-8")
    if META not in text:
        raise UserError(f"'{path}' is of an older version: write the page anew with --overwrite.")
    return text.replace(META, META.replace('""', '"api/v1/"').replace(">", f"{more}>")).encode()


def main() -> int:
    """Serves as `sys.argv` says; the exit status."""
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
