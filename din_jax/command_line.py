"""The flags of a command: one parser, whose complaints are sentences as all others are."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from din_jax.errors import UserError
from din_jax.files import try_folder


class Parser(argparse.ArgumentParser):
    """Help shows `description` as it stands; a mistake in the flags is a `UserError`.

    To be used within `errors.exit_status`.
    """

    def __init__(self, description: str | None = None, **settings: Any):
        raw = argparse.RawDescriptionHelpFormatter
        super().__init__(description=description, formatter_class=raw, **settings)

    def error(self, message: str) -> NoReturn:
        text = re.sub(r"^argument ", "", message)
        raise UserError(f"{text} (see {self.prog} --help).")


def check_least(flags: argparse.Namespace, unit: str = "", /, **least: int) -> None:
    """Flags that are numbers, or lists of them, are at least so large.

    Raises:
      UserError: names the first that is not.
    """
    for name, bound in least.items():
        value = getattr(flags, name)
        lowest = min(value) if isinstance(value, Sequence) else value
        if lowest < bound:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} must be at least {bound}{unit}, not {lowest}.")


def require_new(path: str | Path, overwrite: bool, suffixes: Sequence[str] = ()) -> None:
    """A file that a command is to write is not there already, or the user wants it replaced.

    Raises:
      UserError: it is there, or as `require_writable`. Asked before the work begins, so that none
        is lost.
    """
    if not overwrite and Path(path).is_file():
        raise UserError(
            f"'{path}' is there already; name another file, or replace it with --overwrite."
        )
    require_writable(path, suffixes)


def require_writable(path: str | Path, suffixes: Sequence[str] = ()) -> None:
    """A file can be written there, or replaced; its folder is made when it is.

    Raises:
      UserError: it has none of the suffixes, is a folder, or its folder takes no files.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise UserError(f"the file to write must end in {', '.join(suffixes)}, not be '{path}'.")
    if path.is_dir():
        raise UserError(f"'{path}' is a folder; name a file to write.")
    try:
        try_folder(path.parent)
    except OSError as error:
        raise UserError(
            f"'{path}' cannot be written ({error.strerror}); name another file."
        ) from error
