"""The inputs of a command as a source of pictures."""

import hashlib
from collections.abc import Sequence

import numpy as np

from din_jax.data.decoding import BadImageError
from din_jax.data.inputs import Input, read_bytes
from din_jax.data.outputs import stamp
from din_jax.data.video import Frame, VideoReader, is_video
from din_jax.errors import UserError


class InputSource:
    """Pictures that were named one by one, as encoded bytes; of a video its first frame.

    Args:
      inputs: which.
      stdin: what standard input held, for the input that is it.
    """

    def __init__(self, inputs: Sequence[Input], stdin: bytes = b""):
        self.inputs, self._stdin = inputs, stdin

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> bytes | np.ndarray:
        path = self.inputs[index].path
        if path is None:
            return self._stdin
        try:
            if not is_video(path):
                return read_bytes(self.inputs[index])
            with VideoReader(path) as video:
                return next(part.picture for part in video if isinstance(part, Frame))
        except OSError as error:
            raise BadImageError(
                f"'{path}' must stay readable, but is not ({error.strerror})."
            ) from error
        except UserError as error:  # of a file that is too large, or no video: others serve
            raise BadImageError(str(error)) from error

    def key(self) -> list:
        """Tells these inputs from others."""
        return [
            hashlib.sha256(self._stdin).hexdigest() if each.path is None else stamp(each.path)
            for each in self.inputs
        ]

    def name(self, index: int) -> str:
        return self.inputs[index].name
