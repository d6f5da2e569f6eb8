"""A stylizer that paints by arithmetic, and what a folder holds."""

import os
import types

import numpy as np
from PIL import Image

from din_jax.data.decoding import save_image
from din_jax.data.outputs import JOURNAL
from din_jax.errors import UserError
from din_jax.inference.mixing import joined
from din_jax.style_code import LayerCode

# A model that codes styles by arithmetic, so that random arrays will do.
TINY = {
    "widths": [4, 6, 8], "kernel": 3, "residuals": 1, "separable": False, "encoder_norm": "none",
    "code": "adain", "style_encoder": "content",
}  # fmt: skip
NAMES = {"waves": 200, "mosaic": 40}


def code_of(level):
    return {"level1": LayerCode(np.ones((1, 1, 1, 1, 1)), np.full((1, 1), level))}


class FakeStylizer:
    """Halves the content, and adds half the mean of the styles: each output tells its pair."""

    levels = ("level1", "level2")
    styles = tuple(NAMES)
    loaded = types.SimpleNamespace(fingerprint="fake model")
    bank = {}
    failing = None  # called with each content

    def __init__(self):
        self.painted = self.encoded = 0
        self.options = []
        self.engine = types.SimpleNamespace(batch=8)

    def load(self, path, **options):
        self.loading = {"path": path, **options}
        return self

    def encode_style(self, picture, *, size=None):
        if isinstance(picture, list):
            return joined([self.encode_style(x, size=size) for x in picture])
        self.encoded += 1
        if isinstance(picture, str):
            if picture not in NAMES:
                raise UserError(f"there is neither a picture nor a style '{picture}'.")
            return code_of(float(NAMES[picture]))
        return code_of(np.asarray(picture.convert("RGB")).mean())

    def stylize(self, pictures, style, **options):
        self.options.append(options)
        if not isinstance(pictures, list):
            return self.stylize([pictures], [style], **options)[0]
        codes = style if isinstance(style, list) else [style]
        if options["color"] == "match":
            codes = [self.encode_style(x) for x in codes]
        mean = sum(np.asarray(code["level1"].bias) for code in codes) / len(codes)
        return [self.one(x, mean[i % len(mean), 0]) for i, x in enumerate(pictures)]

    def one(self, picture, mean):
        array = isinstance(picture, np.ndarray)
        if self.failing:
            self.failing(picture)
        self.painted += 1
        pixels = np.array(picture)
        pixels[..., :3] = pixels[..., :3] // 2 + np.uint8(mean / 2)
        return pixels if array else Image.fromarray(pixels)


def picture(path, level, size=(32, 32)):
    return save_image(path, np.full((*size, 3), level, np.uint8))


def files(where="."):
    """Files below a folder, without journals."""
    found = []
    for here, _, names in os.walk(where):
        found += [os.path.relpath(os.path.join(here, x), where) for x in names if x != JOURNAL]
    return sorted(found)


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


def level(path):
    return np.asarray(opened(path))[..., 0].mean()
