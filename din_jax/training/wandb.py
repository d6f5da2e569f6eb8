"""Scalars and pictures of a run for Weights & Biases, where a user has it (extra `wandb`).

A board like `board.Board`. RUN/wandb.json holds the number that Weights & Biases knows the run by,
so that the same command goes on in the same curves.
"""

import errno
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from din_jax.errors import UserError
from din_jax.files import write_atomically
from din_jax.training.board import Entry, Picture


class WandbBoard:
    """What a run reports, sent to Weights & Biases, or kept in RUN/wandb with WANDB_MODE=offline.

    Args:
      project: what Weights & Biases groups runs by.
      run: the run's directory.
      config: its settings, as JSON holds them.

    Raises:
      UserError: it could not be started.
    """

    NAME = "Weights & Biases"

    def __init__(self, project: str, run: Path, config: Mapping[str, Any]):
        import wandb

        self._wandb = wandb
        try:
            self._run = wandb.init(
                project=project, id=_number(run / "wandb.json"), resume="allow", dir=str(run),
                name=run.name, config=dict(config),
            )  # fmt: skip
        except Exception as error:  # each kind of failure has its kind of exception
            raise UserError(
                f"--wandb: Weights & Biases could not be started ({_line(error)}): log in by "
                "`wandb login`, or set WANDB_MODE=offline."
            ) from error

    def add(self, step: int, *entries: Entry):
        """Sends scalars and pictures of a step.

        Weights & Biases goes no step back: steps that a resumed run does again, the same bit for
        bit, are there already, and those after a rollback begin where they are new.

        Raises:
          OSError: they are lost.
        """
        if step < self._run.step:
            return
        try:
            self._run.log({entry.name: self._value(entry) for entry in entries}, step=step)
        except Exception as error:
            raise OSError(errno.EIO, _line(error), self.NAME) from error

    def _value(self, entry: Entry):
        return self._wandb.Image(entry.image) if isinstance(entry, Picture) else entry.value

    def close(self):
        self._run.finish()


def _number(path: Path) -> str:
    """Of the run, drawn when it is first asked for."""
    try:
        return str(json.loads(path.read_text())["id"])
    except (OSError, ValueError, KeyError, TypeError):
        number = secrets.token_hex(8)
        write_atomically(path, json.dumps({"id": number}) + "\n")
        return number


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
