"""Huang & Belongie 2017, figure 1: instance against batch norm on three kinds of training pictures.

A network of one style (Ulyanov et al. 2016: `code="cin"` with one row) is trained with either norm
throughout, on pictures as they are, with equal contrast (the histogram of their brightness
equalized), and painted in one other style beforehand, by the included model. If instance norm is a
normalization of style, as they say, it gains where styles differ and little where they do not.
"""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from din_jax.config import Config
from din_jax.data.decoding import load_image
from din_jax.data.outputs import digest
from din_jax.data.saving import encode_picture
from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.paper.fig8 import series
from din_jax.evaluation.paper.findings import Claim, Result, judge, over_seeds
from din_jax.evaluation.paper.sheets import curves
from din_jax.files import write_atomically
from din_jax.inference.engine import Engine
from din_jax.weights.included import INCLUDED
from din_jax.weights.models import load_model

SOURCE = "Huang & Belongie 2017, section 3.1 and figure 1"
ORIGINAL, CONTRAST, STYLE = "original", "equal contrast", "one style"
NORMS = {"instance norm": "instance", "batch norm": "batch"}
PICTURES = {"short": 64, "full": 8192}  # of each kind
TARGET = "target"  # name of the style


def make(bench: Bench) -> Result:
    """Trains both norms on the three kinds with each seed, and compares the style losses."""
    seeds = bench.setting.seeds
    panels, gaps = {}, {}
    for kind in (ORIGINAL, CONTRAST, STYLE):
        panels[f"Training pictures: {kind}"] = lines = {
            name: series(
                [bench.train(network(bench, norm, kind, seed)) for seed in seeds], "train/style"
            )
            for name, norm in NORMS.items()
        }
        (_, instance), (_, batch) = lines["instance norm"], lines["batch norm"]
        # By seed; that many decades the style loss of batch norm lies above, over all steps.
        gaps[kind] = np.log10(batch / instance).mean(1)
    claims = (
        ("With instance norm the style loss falls faster than with batch norm.", gaps[ORIGINAL]),
        ("It does so too where all training pictures have the same contrast.", gaps[CONTRAST]),
        (
            "Where all training pictures have the same style, it gains much less.",
            gaps[ORIGINAL] - gaps[STYLE],
        ),
    )
    whats = (
        "log10 of batch norm's style loss over instance norm's, a mean over all steps,",
        "The same with equal contrast",
        "That gain on the original pictures less that on pictures of one style",
    )
    verdicts = [
        judge(Claim(text, SOURCE), over_seeds(gap), f"{what} ({len(seeds)} seeds)", bench.budget,
              decisive=bench.decisive)
        for (text, gap), what in zip(claims, whats, strict=True)
    ]  # fmt: skip
    numbers = [
        {"training pictures": kind, "seed": seed, "log10 of batch over instance": float(gap)}
        for kind, found in gaps.items()
        for seed, gap in zip(seeds, found, strict=True)
    ]
    notes = [
        f"Bands: least and greatest of {len(seeds)} seeds. The style is one held-out picture.",
        f"Pictures of one style were painted by the included model ({INCLUDED}).",
    ]
    return Result(
        "Instance against batch norm", verdicts, numbers, curves(panels, "style loss"), notes
    )


def network(bench: Bench, norm: str, kind: str, seed: int = 0) -> Config:
    """The run of a network of one style with one norm everywhere, on one kind of pictures."""
    model = {
        "code": "cin", "style_encoder": "none", "styles": (TARGET,), "normalizer": norm,
        "encoder_norm": norm, "decoder_norm": norm,
    }  # fmt: skip
    data = dataclasses.replace(
        bench.base.data, content=str(pictures(bench, kind)), style=str(target(bench)),
        content_validation="", style_validation="",
    )  # fmt: skip
    return bench.config(model, seed=seed, data=data)


def target(bench: Bench) -> Path:
    """A folder of the one style."""
    image = bench.styles[0].read_bytes()
    folder = bench.cache / "data" / f"target-{digest(image=image.hex())[:12]}"
    if not (folder / f"{TARGET}.png").is_file():
        write_atomically(folder / f"{TARGET}.png", image)
    return folder


def pictures(bench: Bench, kind: str) -> Path:
    """A folder of training pictures of a kind, made once."""
    data, count = bench.base.data, PICTURES.get(bench.base.name, PICTURES["short"])
    what = [kind, data.content, count, data.resize, data.validation]
    folder = bench.cache / "data" / f"{kind.replace(' ', '-')}-{digest(what=what)[:12]}"
    done = folder / "complete"
    if done.is_file():
        return folder
    images = bench.training_pictures("content", count, data.resize)
    if kind == CONTRAST:
        images = [equalized(image) for image in images]
    if kind == STYLE:
        engine = Engine(load_model(INCLUDED), style_size=data.resize)
        style = engine.encode_style([load_image(bench.styles[-1])])
        images = engine.stylize(images, style)
    for i, image in enumerate(images):
        write_atomically(folder / f"{i:05}.png", encode_picture(image, ".png"))
    write_atomically(done, "")
    return folder


def equalized(image: np.ndarray) -> np.ndarray:
    """The histogram of the brightness made flat, colors kept; uint8 [H, W, 3]."""
    brightness, *colors = Image.fromarray(image).convert("YCbCr").split()
    merged = Image.merge("YCbCr", [ImageOps.equalize(brightness), *colors])
    return np.asarray(merged.convert("RGB"))
