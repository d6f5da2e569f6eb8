"""Ulyanov et al. 2016, figure 2: does the result depend on the contrast of the content?

Contents are painted at full, half and quarter contrast about gray by a network of one style with
instance norm and by one with batch norm, trained equally (those of `in_vs_bn`).
"""

import numpy as np

from din_jax.data.decoding import load_image
from din_jax.evaluation.intervals import CrossedBootstrap
from din_jax.evaluation.paper.bench import Bench
from din_jax.evaluation.paper.findings import Claim, Result, judge
from din_jax.evaluation.paper.in_vs_bn import NORMS, ORIGINAL, TARGET, network
from din_jax.evaluation.paper.sheets import titled

CLAIM = Claim(
    "What a stylization looks like should not depend on its content's contrast: with instance norm "
    "it does not, with batch norm it does.",
    "Ulyanov et al. 2016, section 2 and figure 2",
)
CONTRASTS = (1.0, 0.5, 0.25)
SHOWN = 3


def with_contrast(image: np.ndarray, share: float) -> np.ndarray:
    """gray + share x (image - gray), uint8 [H, W, 3]; gray is 127.5."""
    return np.round(127.5 + share * (image - 127.5)).astype(np.uint8)


def make(bench: Bench) -> Result:
    """Paints each contrast by both, and compares how far the pictures are from full contrast's."""
    contents = [load_image(path) for path in bench.contents]
    painted: dict[str, list[list[np.ndarray]]] = {}
    for name, norm in NORMS.items():
        engine = bench.engine(bench.train(network(bench, norm, ORIGINAL)))
        code = engine.encode_style([TARGET])
        painted[name] = [
            engine.stylize([with_contrast(x, share) for x in contents], code) for share in CONTRASTS
        ]
    numbers, changes = [], {}
    for name, by_contrast in painted.items():
        for share, images in zip(CONTRASTS, by_contrast, strict=True):
            change = [
                np.abs(a.astype(float) - b).mean()
                for a, b in zip(images, by_contrast[0], strict=True)
            ]
            spread = [a.std() / b.std() for a, b in zip(images, by_contrast[0], strict=True)]
            changes[name, share] = np.array(change)[:, None]
            numbers.append(
                {
                    "norm": name,
                    "content's contrast": share,
                    "change (levels of 255)": float(np.mean(change)),
                    "result's contrast over full's": float(np.mean(spread)),
                }
            )
    least = CONTRASTS[-1]
    bootstrap = CrossedBootstrap(len(contents), 1)
    difference = bootstrap.interval(
        changes["batch norm", least] - changes["instance norm", least]
    )
    own = changes["instance norm", least].mean()
    # Not a question of looks: any features will do.
    verdict = judge(
        CLAIM, difference,
        "What a quarter of the contrast changes, batch norm less instance norm, in levels of 255,",
        bench.budget,
        reason=f"With instance norm it is {own:.3g} levels, of a content that has a quarter of the "
        "levels: the first norm divides by what the contrast multiplies.",
    )  # fmt: skip
    columns = {
        f"content at {share:g}": [with_contrast(x, share) for x in contents[:SHOWN]]
        for share in CONTRASTS
    }
    for name, by_contrast in painted.items():
        for share, images in zip(CONTRASTS, by_contrast, strict=True):
            columns[f"{name}\nof {share:g}"] = images[:SHOWN]
    return Result(
        "The content's contrast", [verdict], numbers, titled(columns),
        ["One style, one seed; the interval is over contents."],
    )  # fmt: skip
