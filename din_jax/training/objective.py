"""The perceptual loss of training: what pictures are compared with, and by which layers."""

import dataclasses
from typing import Any

import jax
from jax import Array

from din_jax.config import Config, LossConfig, ModelConfig
from din_jax.losses import (
    checkerboard,
    coherence_loss,
    content_loss,
    gram_loss,
    gram_matrices,
    neighbor_differences,
    style_contrast,
    style_loss,
    style_statistics,
    total_variation,
)
from din_jax.models.footprint import grid
from din_jax.models.readers import make_reader
from din_jax.models.vgg import VGGParams, vgg_features
from din_jax.ops.preprocessing import Preprocessing
from din_jax.ops.resizing import shrink

Metrics = dict[str, Array]
# layers whose changes from point to point are compared
COHERENT = ("relu2_1", "relu3_1", "relu4_1")
Targets = dict[str, Any]  # what losses compare with: nested dicts, the batch in front


def layers_read(model: ModelConfig) -> tuple[str, ...]:
    """VGG-19 layers of the style that training gives the model's nets or style encoder to learn."""
    return make_reader(model).layers


def layers_needed(config: Config) -> set[str]:
    """Layers of the loss network that a run's losses and model need."""
    layers = {*config.loss.content_layers, *config.loss.style_layers, *layers_read(config.model)}
    if config.loss.coherence_weight:
        layers.update(COHERENT)
    if config.model.network == "vgg19":
        layers.add("relu4_1")
    return layers


@dataclasses.dataclass(frozen=True)
class Objective:
    """The perceptual loss: which layers, which weights, and the VGG that measures it.

    Attributes:
      config: weights and layers of the losses.
      preprocessing: what this VGG wants done to images.
      read: further layers of the style that the model reads (`layers_read`): one VGG pass serves
        both.
      maps: whether the model reads those maps themselves; else their statistics.
      recompute: whether a gradient computes what it needs of VGG anew (`vgg_features`).
      period: pixels along a side of a cell of the network's deepest map.
    """

    config: LossConfig
    preprocessing: Preprocessing
    read: tuple[str, ...] = ()
    maps: bool = False
    recompute: bool = False
    period: int = 4

    @classmethod
    def of(cls, config: Config, preprocessing: Preprocessing) -> "Objective":
        """That of a run."""
        maps = config.model.style_feature != "statistics"
        read, recompute = layers_read(config.model), config.train.recompute
        return cls(config.loss, preprocessing, read, maps, recompute, grid(config.model))

    @property
    def computes(self) -> str:
        """In words, what targets are computed: changes when their numbers do."""
        c = self.config
        return (
            f"content {c.content_layers} style {c.style_layers} read {self.read} maps {self.maps} "
            f"gram {bool(c.gram_weight)} of {self.preprocessing}"
            + (f" shrunk {c.shrink}" if c.shrink else "")
            + (f" changes {self.coherent}" if self.coherent else "")
        )

    @property
    def coherent(self) -> tuple[str, ...]:
        """Layers whose changes from point to point are compared, at full size."""
        return COHERENT if self.config.coherence_weight else ()

    def features(self, vgg: VGGParams, images: Array, layers) -> dict[str, Array]:
        return vgg_features(vgg, self.preprocessing, images, sorted(set(layers)))

    def sizes(self, images: Array) -> list[tuple[str, Array]]:
        """The images, and shrunk by each of `config.loss.shrink`; with what names each size."""
        smaller = [(f"@{factor}", shrink(images, factor)) for factor in self.config.shrink]
        return [("", images), *smaller]

    def content_targets(self, vgg: VGGParams, content: Array) -> Targets:
        """What the loss compares a content with, [B, ...] each; no gradient runs through it."""
        c = self.config
        targets: Targets = {}
        for suffix, images in self.sizes(content):
            compared = self.coherent if not suffix else ()
            maps = self.features(vgg, images, (*c.content_layers, *compared))
            targets[f"content{suffix}"] = {name: maps[name] for name in c.content_layers}
            if compared:
                targets["changes"] = {name: neighbor_differences(maps[name]) for name in compared}
        return jax.lax.stop_gradient(targets)

    def style_targets(self, vgg: VGGParams, style: Array) -> Targets:
        """What the loss compares a style with and the model reads of it; likewise."""
        c = self.config
        features = self.features(vgg, style, (*c.style_layers, *self.read))
        measured = c.style_layers if self.maps else sorted({*c.style_layers, *self.read})
        targets = {"statistics": style_statistics(features, measured)}
        if self.maps:
            targets["maps"] = {name: features[name] for name in self.read}
        if c.gram_weight:
            targets["gram"] = gram_matrices(features, c.style_layers)
        for suffix, images in self.sizes(style)[1:]:
            features = self.features(vgg, images, c.style_layers)
            targets[f"statistics{suffix}"] = style_statistics(features, c.style_layers)
            if c.gram_weight:
                targets[f"gram{suffix}"] = gram_matrices(features, c.style_layers)
        return jax.lax.stop_gradient(targets)

    def own_targets(self, vgg: VGGParams, content: Array) -> Targets:
        """`content_targets`, and in "own" the `style_targets` of the content as its own style."""
        return self.content_targets(vgg, content) | {"own": self.style_targets(vgg, content)}

    def targets(self, vgg: VGGParams, content: Array, style: Array) -> Targets:
        """Both, computed once per batch."""
        return self.content_targets(vgg, content) | self.style_targets(vgg, style)

    def __call__(self, vgg: VGGParams, stylized: Array, targets: Targets) -> tuple[Array, Metrics]:
        """Total loss and each part: content and style are means over their layers."""
        return self.losses(self.seen(vgg, stylized), stylized, targets)

    def each(self, vgg: VGGParams, stylized: Array, targets: Targets) -> Metrics:
        """The same metrics of every pair for itself, [B] each."""

        def one(*parts) -> Metrics:
            total, metrics = self.losses(*jax.tree.map(lambda x: x[None], parts))
            return metrics | {"total": total}

        return jax.vmap(one)(self.seen(vgg, stylized), stylized, targets)

    def seen(self, vgg: VGGParams, stylized: Array) -> dict[str, dict]:
        """What the losses read of stylized images: size to layer to {"map", "statistics", "gram",
        "changes"}.

        Each of them is there where it is read. No map of a style layer leaves VGG, so that
        none has to be kept where it is computed anew.
        """
        return {
            suffix: self._seen(vgg, images, () if suffix else self.coherent)
            for suffix, images in self.sizes(stylized)
        }

    def _seen(self, vgg: VGGParams, stylized: Array, coherent: tuple[str, ...]) -> dict[str, dict]:
        c = self.config

        def read(layer: str, x: Array) -> dict[str, Any]:
            found: dict[str, Any] = {"map": x} if layer in c.content_layers else {}
            if layer in c.style_layers:
                found["statistics"] = style_statistics({layer: x}, [layer])[layer]
                if c.gram_weight:
                    found["gram"] = gram_matrices({layer: x}, [layer])[layer]
            if layer in coherent:
                found["changes"] = neighbor_differences(x)
            return found

        layers = sorted({*c.content_layers, *c.style_layers, *coherent})
        return vgg_features(
            vgg, self.preprocessing, stylized, layers, read=read, recompute=self.recompute
        )

    def losses(
        self, seen: dict[str, dict], stylized: Array, targets: Targets
    ) -> tuple[Array, Metrics]:
        """Total and parts, from what is `seen` of the stylized images."""
        c = self.config
        metrics: Metrics = {}
        for suffix, layers in seen.items():
            metrics |= self._parts(layers, targets, suffix)

        def mean(part: str) -> Array:  # over the sizes
            return sum(metrics[part + suffix] for suffix in seen) / len(seen)

        total = c.content_weight * mean("content") + c.style_weight * mean("style")
        if c.gram_weight:
            total += c.gram_weight * mean("gram")
        if "contrast" in metrics:
            total += c.contrast_weight * mean("contrast")
        if self.coherent:
            changes = {layer: seen[""][layer]["changes"] for layer in self.coherent}
            found = coherence_loss(changes, targets["changes"])
            metrics["coherence"] = sum(found.values()) / len(found)
            total += c.coherence_weight * metrics["coherence"]
        if c.variation_weight:
            metrics["variation"] = total_variation(stylized)
            total += c.variation_weight * metrics["variation"]
        if c.checkerboard_weight:
            metrics["checkerboard"] = checkerboard(stylized, self.period)
            total += c.checkerboard_weight * metrics["checkerboard"]
        return total, metrics | {"total": total}

    def _parts(self, seen: dict[str, dict], targets: Targets, suffix: str) -> Metrics:
        """The losses at one size: of every layer, and their mean over layers."""
        c = self.config
        maps = {layer: found["map"] for layer, found in seen.items() if "map" in found}
        parts = {"content": content_loss(maps, targets[f"content{suffix}"], c.content_layers)}
        statistics = {layer: seen[layer]["statistics"] for layer in c.style_layers}
        parts["style"] = style_loss(statistics, targets[f"statistics{suffix}"])
        if c.gram_weight:
            grams = {layer: seen[layer]["gram"] for layer in c.style_layers}
            parts["gram"] = gram_loss(grams, targets[f"gram{suffix}"])
        own = targets[f"statistics{suffix}"]
        if c.contrast_weight and len(own[c.style_layers[0]][0]) > 1:  # not of a pair alone
            parts["contrast"] = style_contrast(statistics, own)
        metrics: Metrics = {}
        for part, by_layer in parts.items():
            metrics |= {f"{part}{suffix}/{k}": v for k, v in by_layer.items()}
            metrics[part + suffix] = sum(by_layer.values()) / len(by_layer)
        return metrics
