"""Everything that is exported of one model, compared, measured and timed."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from din_jax.evaluation.metrics import PerceptualMetrics
from din_jax.export.checks import Difference, Expected
from din_jax.export.onnx_files import OnnxFile, onnx_files
from din_jax.export.reference import Reference
from din_jax.export.stablehlo import stablehlo_files
from din_jax.export.style import why_not
from din_jax.export.tflite import tflite_files
from din_jax.export.times import in_turns
from din_jax.lite.sessions import ContentNetwork, StyleEncoder
from din_jax.weights.find import find_vgg19
from din_jax.weights.models import LoadedModel
from din_jax.weights.vgg19 import load_vgg19

ENGINE = "JAX"


@dataclasses.dataclass(frozen=True)
class Row:
    """What is said of a file, or of JAX beside it.

    Attributes:
      name: of the file.
      part: "content" or "style".
      size: bytes.
      difference: from the engine's pictures.
      style_loss: of the pictures painted with it; None where it was not measured.
      milliseconds: by the side of square pictures.
    """

    name: str
    part: str
    size: int | None
    difference: Difference | None
    style_loss: float | None
    milliseconds: Mapping[int, float]


class Exported:
    """The files of a model, in memory, each equal to the engine.

    Args:
      loaded: the model.
      formats: some of "onnx", "stablehlo" and "tflite".
      storages: of weights in ONNX files.
      side: px, of the square pictures that LiteRT's files take.

    Attributes:
      onnx: files.
      stablehlo, tflite: data by part.
      notes: sentences on what is not exported.

    Raises:
      UserError: a network that is not exported, or a file that is not equal.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        formats: Sequence[str],
        storages: Sequence[str],
        side: int = 256,
    ):
        self._loaded, self._reference = loaded, Reference(loaded)
        self._encodes = loaded.has_encoder and not loaded.config.model.styles
        self._expected = Expected(self._reference, self._encodes)
        self.notes: list[str] = []
        self.onnx: list[OnnxFile] = []
        self.stablehlo: dict[str, bytes] = {}
        self.tflite: dict[str, bytes] = {}
        if "onnx" in formats:
            about = {"model": loaded.source.stem, "fingerprint": loaded.fingerprint}
            self.onnx = onnx_files(self._reference, self._expected, storages, about)
            if reason := why_not(self._reference.network):
                self.notes.append(f"there is no style.onnx, for {reason}.")
        if "stablehlo" in formats:
            self.stablehlo = stablehlo_files(self._reference, self._expected, self._encodes)
        if "tflite" in formats:
            self.tflite = tflite_files(self._reference, side, self._encodes)

    def rows(self, sides: Sequence[int] = (), vgg: str = "") -> list[Row]:
        """What each file takes and differs by, below JAX, a part after the other.

        Args:
          sides: px, of square pictures that are timed.
          vgg: VGG-19 weights by which the style loss is measured; "" does not.
        """
        losses = self._style_losses(vgg) if vgg else {}
        times = {side: self._times(side) for side in sides}
        files = {file.name: (file.part, len(file.data), file.difference) for file in self.onnx}
        for kind, found in (("stablehlo", self.stablehlo), ("tflite", self.tflite)):
            files |= {f"{part}.{kind}": (part, len(x), None) for part, x in found.items()}
        rows = []
        for part in ("content", "style"):
            own = {name: facts for name, facts in files.items() if facts[0] == part}
            if own:
                own = {f"{ENGINE}, {part}": (part, None, None)} | own
            for name, (_, size, difference) in own.items():
                taken = {side: found[name] for side, found in times.items() if name in found}
                loss = losses.get(name, losses.get(ENGINE) if size is None else None)
                rows.append(Row(name, part, size, difference, loss, taken))
        return rows

    def _style_losses(self, vgg: str) -> dict[str, float]:
        """Mean style loss of the largest pictures, painted with each ONNX file and by JAX."""
        metrics = PerceptualMetrics(load_vgg19(find_vgg19(vgg)))
        contents = metrics.content_targets(_bytes(self._expected.contents[-1]))
        styles = metrics.style_targets(_bytes(self._expected.styles[-1]))
        painted = {ENGINE: self._expected.painted[-1]}
        painted |= {file.name: file.painted for file in self.onnx}
        return {
            name: float(
                np.mean([style for _, style in metrics.losses(_bytes(x), contents, styles)])
            )
            for name, x in painted.items()
        }

    def _times(self, side: int) -> dict[str, float]:
        """Milliseconds of one picture by every ONNX file and by JAX, in turns."""
        reference = Reference(self._loaded, hurried=False)
        rng = np.random.default_rng(0)
        picture = rng.random((1, side, side, 3), np.float32)
        code = {name: value[:1] for name, value in self._expected.codes[0].items()}
        calls: dict[str, Callable[[], object]] = {}
        if any(file.part == "content" for file in self.onnx):
            calls[f"{ENGINE}, content"] = lambda: reference.paint(picture, code)
        if any(file.part == "style" for file in self.onnx):
            calls[f"{ENGINE}, style"] = lambda: reference.encode(picture)
        for file in self.onnx:
            if file.part == "content":
                paint = ContentNetwork(file.data)
                calls[file.name] = lambda paint=paint: paint(picture, code)
            else:
                encode = StyleEncoder(file.data)
                calls[file.name] = lambda encode=encode: encode(picture)
        return in_turns(calls)


def _bytes(pictures: np.ndarray) -> list[np.ndarray]:
    return list(np.rint(255 * pictures).astype(np.uint8))
