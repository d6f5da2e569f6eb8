"""The one exception that means "the user can mend this", and how a command ends."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

INTERRUPTED = 128 + signal.SIGINT  # what shells give a program that Ctrl-C has ended
UNREAD = 128 + 13  # ... and one that SIGPIPE has ended
# Libraries that not everybody needs, to the extra (pyproject.toml) that installs them.
EXTRAS = {
    "fastapi": "serve",
    "flatbuffers": "export",
    "multipart": "serve",
    "onnx": "export",
    "onnxruntime": "lite",
    "python_multipart": "serve",
    "uvicorn": "serve",
    "wandb": "wandb",
}


class UserError(ValueError):
    """Bad input: one sentence that names what was wrong, what was received and the remedy.

    Entry points print it as `error: ...` and exit with status 2; everything else is a defect and
    keeps its stack trace.
    """


class _Interruption:
    struck = False


def interrupt(number: int | None = None, frame=None):
    """Raises `KeyboardInterrupt`, and remembers it; a handler of signals.

    What is being loaded or called just then may turn it into an error of its own (extension modules
    do: "ImportError: Encountered an error while initializing the extension") or swallow it.
    """
    _Interruption.struck = True
    raise KeyboardInterrupt


def stop_if_interrupted():
    """Raises `KeyboardInterrupt` again if one has been swallowed since the command began."""
    if _Interruption.struck:
        raise KeyboardInterrupt


def _interrupted() -> int:
    print("\nerror: stopped by Ctrl-C; what was unfinished is not written.", file=sys.stderr)
    return INTERRUPTED


def _leave(number: int, frame):
    status = _interrupted()
    sys.stderr.flush()
    os._exit(status)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """While a command imports libraries, Ctrl-C ends the process at once, told as ever.

    Nothing is being written then, and extension modules print a `KeyboardInterrupt` with its trace.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is interrupt:  # in a command; else nothing is known of who calls
        signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        if before is interrupt:
            signal.signal(signal.SIGINT, before)


def _unread(probe: str = "") -> bool:
    """Whether nobody reads any more what this process prints, as in `... --help | head -1`."""
    try:
        sys.stdout.write(probe)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _missing_library(error: BaseException) -> str:
    """What to do about a library that is not installed; "" for any other error."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    library = error.name.partition(".")[0]
    if library == __name__.partition(".")[0]:
        return ""
    if library in EXTRAS:
        return (
            f"the Python module '{library}' is not installed, which this takes: install it, or all "
            f"that goes with it by pip install 'din_jax[{EXTRAS[library]}]'"
        )
    return (
        f"the Python module '{library}' is not installed; it is one of those that requirements.txt "
        "names: install it, or all of them with pip install -e ."
    )


def exit_status(command: Callable[[], int | None]) -> int:
    """Runs a command: what it gives, or 0 for None.

    2 after a `UserError`, an `OSError` or a library that is not installed, told on standard error,
    `UNREAD`, silently, where the reader of its output has gone, and `INTERRUPTED` after Ctrl-C,
    whatever became of it. Once more Ctrl-C while the libraries' threads come to their ends then
    kills the process, silently.
    """
    # An outer `exit_status` has its handler, and who ignores Ctrl-C wants no other.
    outermost = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if outermost:
        _Interruption.struck = False
        signal.signal(signal.SIGINT, interrupt)
    # A file's name that is not in the system's encoding is printed as the bytes that it is.
    if getattr(sys.stdout, "errors", "") == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        status = command() or 0
        return UNREAD if _unread() else status
    except SystemExit:  # of --help
        if _unread():
            return UNREAD
        raise
    except (Exception, KeyboardInterrupt) as error:
        if _Interruption.struck or isinstance(error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            return _interrupted()
        if isinstance(error, BrokenPipeError) and _unread("\n"):  # not another pipe's
            return UNREAD
        missing = _missing_library(error)
        if not (missing or isinstance(error, UserError | OSError)):
            raise
        print(f"error: {missing or error}", file=sys.stderr)
        return 2
    finally:
        if outermost and signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
