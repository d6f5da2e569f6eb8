"""Where the rivals' decoders are: files by layer and by the VGG-19 that they belong to."""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from din_jax.data.opening import open_source
from din_jax.data.pairs import RandomCrop
from din_jax.data.reader import ImageReader
from din_jax.errors import UserError
from din_jax.evaluation.rivals.decoders import (
    Training,
    load_decoder,
    save_decoder,
    train_decoder,
)
from din_jax.evaluation.rivals.networks import DecoderParams, Networks
from din_jax.evaluation.rivals.regression import regressed_decoder
from din_jax.evaluation.rivals.wct import LAYERS
from din_jax.weights.find import cache_folder
from din_jax.weights.vgg19 import VGGWeights, require_layers

DEEPEST = "relu4_1"
BEGUN_WITH = 48  # crops


class DecoderLibrary:
    """Decoders of one VGG-19.

    A file's name has the layer and the first digits of the VGG-19's SHA-256, so that no decoder is
    taken for another network's.

    Args:
      vgg: whose features they decode.
      folder: of trained decoders; "" is the user's cache.
      published: file of AdaIN's decoder, taken for relu4_1; "" takes one from the folder.
    """

    def __init__(self, vgg: VGGWeights, folder: str | Path = "", published: str | Path = ""):
        self.vgg = vgg
        self.folder = Path(folder) if folder else cache_folder() / "decoders"
        self.published = published
        self.vgg_digest = tree_digest({name: vgg.params[name] for name in vgg.params})

    def path(self, layer: str) -> Path:
        """Where a layer's trained decoder is, or would be."""
        return self.folder / f"{layer}-{self.vgg_digest[:12]}.safetensors"

    def load(self, layers: Sequence[str]) -> dict[str, DecoderParams]:
        """Layer to decoder.

        Raises:
          WeightsError: a file is no such decoder.
          UserError: one is not there.
        """
        found = {}
        for layer in layers:
            if layer == DEEPEST and self.published:
                found[layer] = load_decoder(self.published, layer)
            elif self.path(layer).is_file():
                found[layer] = load_decoder(self.path(layer), layer)
            else:
                more = " or give AdaIN's as --decoder" if layer == DEEPEST else ""
                raise UserError(
                    f"there is no decoder of {layer} for this VGG-19 in '{self.folder}': train it "
                    f"with --train-decoders PICTURES{more}."
                )
        return found

    def digests(self, decoders: Mapping[str, DecoderParams]) -> dict[str, str]:
        """What tells decoders from others."""
        return {layer: tree_digest(params) for layer, params in decoders.items()}

    def train(self, layers: Sequence[str], flags: argparse.Namespace):
        """Trains the decoders of these layers ([]: of all) that are not there, and writes them."""
        if not layers:
            layers = [x for x in LAYERS[::-1] if x != DEEPEST or not self.published]
        require_layers(self.vgg, layers)
        networks = Networks.of(self.vgg)
        settings = Training(flags.training_steps, flags.training_minutes, flags.training_batch)
        batches = Crops(flags.train_decoders, flags.training_crop, settings)
        for layer in layers:
            if self.path(layer).is_file() or (layer == DEEPEST and self.published):
                continue
            params = regressed_decoder(networks, batches.first(), layer)
            loss = None
            with tqdm(total=settings.steps, desc=f"decoder of {layer}", disable=None) as bar:

                def report(step: int, loss: float, bar=bar):
                    bar.update()
                    bar.set_postfix(loss=f"{loss:.4f}")

                if settings.steps:
                    params, loss = train_decoder(networks, layer, batches, settings, params, report)
            save_decoder(params, self.path(layer))
            found = "by least squares" if loss is None else f"loss {loss:.4f}"
            print(f"decoder of {layer}: {found}, {self.path(layer)}", flush=True)


class Crops:
    """Step to a batch of random crops of a folder's pictures, uint8 [B, side, side, 3]."""

    def __init__(self, pictures: str, side: int, training: Training):
        source = open_source(pictures, "content", size=2 * side)
        self._crop = RandomCrop(ImageReader(source), side, (side, 2 * side))
        self._count = len(source)
        self._training = training

    def first(self) -> np.ndarray:
        """The first batches together: what a decoder is begun with."""
        count = -(-BEGUN_WITH // self._training.batch)
        return np.concatenate([self(step) for step in range(count)])

    def __call__(self, step: int) -> np.ndarray:
        rng = np.random.default_rng([self._training.seed, step])
        numbers = rng.integers(self._count, size=self._training.batch)
        return np.stack([self._crop(int(number), rng) for number in numbers])


def tree_digest(tree) -> str:
    """SHA-256 of nested dicts of arrays, names and all."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        value = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {value.dtype} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
