"""The two graphs of an exported model in ONNX Runtime, on pictures and codes as arrays."""

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

PROVIDERS = ("CPUExecutionProvider",)


class _Half:
    """One graph.

    Args:
      data: an ONNX file.
      threads: that work on one picture; 0: one for each core.
    """

    def __init__(self, data: bytes, threads: int = 0):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors; what it warns of, nobody here can change
        # From memory: a graph in a file could name others that weights are to be read from.
        self._session = ort.InferenceSession(data, options, providers=list(PROVIDERS))
        self._outputs = [output.name for output in self._session.get_outputs()]

    def _run(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(None, dict(feed)), strict=True))


class StyleEncoder(_Half):
    """style.onnx."""

    def __call__(self, style: np.ndarray) -> dict[str, np.ndarray]:
        """Style pictures float32 [B, H, W, 3] in [0, 1] to codes, `LEVEL.kernel` and so on."""
        return self._run({"style": planar(style)})


class ContentNetwork(_Half):
    """content.onnx."""

    def __call__(self, content: np.ndarray, code: Mapping[str, np.ndarray]) -> np.ndarray:
        """Contents float32 [B, H, W, 3] in [0, 1] painted in codes [B or 1, ...]; clipped."""
        (painted,) = self._run({"content": planar(content), **code}).values()
        return painted.transpose(0, 2, 3, 1)


def planar(images: np.ndarray) -> np.ndarray:
    """[B, H, W, 3] to [B, 3, H, W], in that order in memory."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
