"""Perceptual losses of (content, stylized, style) triples on a VGG-19, one number per pair.

    content loss = MSE between features of the stylized and the content image at relu4_1
    style loss   = mean over relu1_1, 2_1, 3_1, 4_1 of MSE(means) + MSE(standard deviations)

(Huang & Belongie 2017, eqs. 12 and 13, there summed over layers), and on demand

    gram = mean over the style layers of MSE(Gram matrices) (Gatys et al. 2016, eq. 4)
    CFSD = content feature structural distance at relu3_1 (`evaluation.structure`)

Numbers of different VGG-19 files, image sizes or resampling filters are not comparable. The share
of values outside [0, 1] before clipping and the spread of the output over styles show failures that
losses hide: a network that ignores the style can still have a falling style loss.
"""

import csv
import dataclasses
import hashlib
import io
import math
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.config import STYLE_LAYERS
from din_jax.evaluation.structure import LAYER, structural_distance
from din_jax.inference.batching import CompiledCache, batches_by, check_images, fill_up
from din_jax.losses import content_loss, gram_loss, gram_matrices, style_loss, style_statistics
from din_jax.models.vgg import VGGParams, vgg_features
from din_jax.ops.preprocessing import Preprocessing
from din_jax.weights.vgg19 import VGGWeights, require_layers

CONTENT_LAYERS = ("relu4_1",)
COLUMNS = (
    "content", "style", "content_loss", "style_loss", "outside", "patches", "ssim", "checkerboard",
)  # fmt: skip


class PerceptualMetrics:
    """Content and style loss per image, compiled for each size, features computed once each.

    Args:
      weights: the VGG-19 to measure with; it must reach every layer.
      content_layers: compared position by position; the loss is the mean over them.
      style_layers: whose channel statistics are compared; likewise.
      batch: images that run together.
      cache: compiled sizes kept.
      more: measure Gram matrices and CFSD too.

    Attributes:
      names: of the numbers that `losses` gives of each picture.
      fingerprint: SHA-256 of the weights and the layers: equal for losses that can be compared.

    Raises:
      WeightsError: the weights lack a layer.
    """

    def __init__(
        self,
        weights: VGGWeights,
        *,
        content_layers: Sequence[str] = CONTENT_LAYERS,
        style_layers: Sequence[str] = STYLE_LAYERS,
        batch: int = 8,
        cache: int = 32,
        more: bool = False,
    ):
        self.names = ("content_loss", "style_loss", *(("gram", "cfsd") if more else ()))
        structure = (LAYER,) if more else ()
        layers = sorted({*content_layers, *style_layers, *structure})
        require_layers(weights, layers)
        self.batch = batch
        self.fingerprint = _fingerprint(weights, (*content_layers, "style", *style_layers))
        self._params = jax.tree.map(jnp.asarray, dict(weights.params))
        of_content, of_style = tuple(content_layers), tuple(style_layers)

        def features(params: VGGParams, images: Array, wanted: Sequence[str]) -> dict[str, Array]:
            return _features(params, weights.preprocessing, images, wanted)

        def content_targets(params, images):
            return features(params, images, sorted({*of_content, *structure}))

        def style_targets(params, images):
            found = features(params, images, of_style)
            return style_statistics(found, of_style), gram_matrices(found, of_style if more else ())

        def losses(params, images, content, style):
            found = features(params, images, layers)
            statistics = style_statistics(found, of_style)
            by_layer = jax.vmap(lambda a, b: content_loss(_one(a), _one(b), of_content))(
                {name: found[name] for name in of_content}, {x: content[x] for x in of_content}
            )
            numbers = [_mean(by_layer), _mean(jax.vmap(style_loss)(statistics, style[0]))]
            if more:
                grams = gram_matrices(found, of_style)
                numbers.append(_mean(jax.vmap(gram_loss)(grams, style[1])))
                numbers.append(jax.vmap(structural_distance)(content[LAYER], found[LAYER]))
            return numbers

        self._content = CompiledCache(content_targets, cache)
        self._style = CompiledCache(style_targets, cache)
        self._losses = CompiledCache(losses, cache)

    def content_targets(self, images: Sequence[np.ndarray]) -> list[Mapping[str, Array]]:
        """Per content image: its features, layer -> [h, w, C]. uint8 [H, W, 3] of any sizes."""
        return self._each(self._content, check_images(images, "content"))

    def style_targets(self, images: Sequence[np.ndarray]) -> list[tuple[Mapping, Mapping]]:
        """Per style image: its statistics, layer -> (mean [C], std [C]), and Gram matrices."""
        return self._each(self._style, check_images(images, "style"))

    def losses(
        self, stylized: Sequence[np.ndarray], contents: Sequence, styles: Sequence
    ) -> list[tuple[float, ...]]:
        """(content loss, style loss) of each stylized image, and what else `names` says.

        Args:
          stylized: uint8 [H, W, 3] images, each of the size of its content.
          contents: one of `content_targets` for each.
          styles: one of `style_targets` for each.
        """
        images = check_images(stylized, "stylized")
        if not len(images) == len(contents) == len(styles):
            raise ValueError(
                "Each stylized image needs one content and one style target, not "
                f"{len(images)}, {len(contents)} and {len(styles)}."
            )
        found = self._each(self._losses, images, contents, styles)
        return [tuple(map(float, numbers)) for numbers in found]

    def _each(self, program: CompiledCache, images: Sequence[np.ndarray], *targets) -> list:
        """Runs a program over batches of equal sizes; results per image, in order."""
        results = [None] * len(images)
        for indices in batches_by([x.shape for x in images], self.batch):
            filled = fill_up(indices, self.batch)
            stacked = [_stack([t[i] for i in filled]) for t in targets]
            out = program(self._params, np.stack([images[i] for i in filled]), *stacked)
            out = jax.tree.map(np.asarray, out)
            for row, i in enumerate(indices):
                results[i] = jax.tree.map(lambda x, row=row: x[row], out)
        return results


@dataclasses.dataclass(frozen=True)
class PairScore:
    """One stylized pair; `outside` is the share of values in 0..1 that clipping changed.

    `patches`, `ssim` and `checkerboard`: see `evaluation.judges`; NaN where nobody asked them.
    """

    content: str
    style: str
    content_loss: float
    style_loss: float
    outside: float
    patches: float = math.nan
    ssim: float = math.nan
    checkerboard: float = math.nan


def output_spread(outputs: Sequence[Sequence[np.ndarray]]) -> float:
    """How much the output depends on the style: 0 for a network that is blind to it.

    Mean over contents, pixels and channels of the standard deviation over styles, in units of
    [0, 1]; NaN with fewer than two styles.

    Args:
      outputs: per content the stylized uint8 [H, W, 3] images of its styles, one size each.
    """
    spreads = [spread_over_styles(images) for images in outputs]
    return float(np.mean(spreads)) if spreads else math.nan


def spread_over_styles(images: Sequence[np.ndarray]) -> float:
    """`output_spread` of one content, with one image at a time in memory as float."""
    if len(images) < 2:
        return math.nan
    total = np.zeros(images[0].shape)
    squares = np.zeros(images[0].shape)
    for image in images:
        x = image / 255.0
        total += x
        squares += x * x
    variance = squares / len(images) - np.square(total / len(images))
    return float(np.sqrt(np.maximum(variance, 0)).mean())


def totals(scores: Sequence[PairScore], spread: float = math.nan) -> dict[str, float]:
    """Means over pairs, and the output spread."""
    if not scores:
        raise ValueError("Totals need at least one pair.")
    means = {
        name: float(np.mean([getattr(score, name) for score in scores])) for name in COLUMNS[2:]
    }
    return {"pairs": len(scores), **means, "output_spread": spread}


def csv_of(scores: Sequence[PairScore], spread: float = math.nan) -> str:
    """One row per pair, and a last row "mean" over all; the spread stands in that row alone."""
    summary = totals(scores, spread)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*COLUMNS, "output_spread"])
    for score in scores:
        values = [_number(getattr(score, name)) for name in COLUMNS[2:]]
        writer.writerow([score.content, score.style, *values, ""])
    numbers = [summary[name] for name in (*COLUMNS[2:], "output_spread")]
    writer.writerow(["mean", f"{summary['pairs']} pairs", *map(_number, numbers)])
    return file.getvalue()


def _number(x: float) -> str:
    return "" if math.isnan(x) else f"{x:.6g}"


def table(scores: Sequence[PairScore], spread: float = math.nan) -> str:
    """Means per style and over all pairs, for the screen."""
    by_style: dict[str, list[PairScore]] = {}
    for score in scores:
        by_style.setdefault(score.style, []).append(score)
    rows = [(name, totals(group)) for name, group in by_style.items()]
    rows.append(("all", totals(scores)))
    width = max(len(name) for name, _ in [*rows, ("style", None)])
    judged = not all(math.isnan(score.patches) for score in scores)
    lines = [f"{'style':{width}}  pairs  content loss  style loss  outside [0,1]"]
    lines[0] += "  patches   SSIM  checkerboard" if judged else ""
    lines += [
        f"{name:{width}}  {t['pairs']:5d}  {t['content_loss']:12.4f}  {t['style_loss']:10.4f}"
        f"  {100 * t['outside']:11.3f} %"
        + (f"  {t['patches']:7.3f}  {t['ssim']:5.3f}  {t['checkerboard']:12.3f}" if judged else "")
        for name, t in rows
    ]
    if not math.isnan(spread):
        lines.append(f"output spread over styles: {spread:.4f} (0: the model ignores the style)")
    return "\n".join(lines)


def _fingerprint(weights: VGGWeights, layers: Sequence[str]) -> str:
    found = hashlib.sha256(repr((weights.preprocessing, tuple(layers))).encode())
    for name in weights.layers:
        for part in ("kernel", "bias"):
            found.update(np.ascontiguousarray(weights.params[name][part]).tobytes())
    return found.hexdigest()


def _features(
    params: VGGParams, preprocessing: Preprocessing, images: Array, layers: Sequence[str]
) -> dict[str, Array]:
    return vgg_features(params, preprocessing, images.astype(jnp.float32) / 255, list(layers))


def _one(features: Mapping[str, Array]) -> dict[str, Array]:
    return {name: x[None] for name, x in features.items()}


def _mean(by_layer: Mapping[str, Array]) -> Array:
    return sum(by_layer.values()) / len(by_layer)


def _stack(targets: Sequence) -> Mapping:
    return jax.tree.map(lambda *parts: np.stack(parts), *targets)
