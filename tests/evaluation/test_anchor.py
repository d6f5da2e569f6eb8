"""A trained AdaIN, measured as others have measured it: the metrics' code and weights at once.

On 40 contents x 13 styles at 256 x 256 this AdaIN has content loss 1.686 and style loss 0.120.
"""

import jax
import numpy as np
import pytest

from din_jax.evaluation.metrics import PerceptualMetrics
from din_jax.evaluation.pictures import read_picture
from din_jax.ops.convolution import conv2d
from din_jax.ops.normalization import adain
from din_jax.ops.resizing import upsample_nearest
from din_jax.weights import load_vgg19


def decode(stored, x):
    """The published decoder: `order` names its convolutions, U is nearest x2."""
    order = [str(name) for name in stored["order"]]
    for name in order:
        if name == "U":
            x = upsample_nearest(x)
            continue
        x = conv2d(x, stored[f"{name}_kernel"]) + stored[f"{name}_bias"][None, None, None]
        x = x if name == order[-1] else jax.nn.relu(x)
    return x


@pytest.mark.slow
def test_a_trained_adain_scores_as_published(shared_data):
    weights = load_vgg19(shared_data / "weights" / "vgg19_normalised_to_relu4_1.npz")
    with np.load(shared_data / "weights" / "adain_decoder_8bit.npz") as file:
        stored = dict(file)
    contents, styles = (
        [read_picture(p, 256) for p in sorted((shared_data / "test" / side).glob("*.jpg"))[::step]]
        for side, step in (("content", 20), ("style", 5))
    )
    metrics = PerceptualMetrics(weights, batch=1)
    of_content = metrics.content_targets(contents)
    of_style = [x["relu4_1"] for x in metrics.content_targets(styles)]
    targets = metrics.style_targets(styles)
    paint = jax.jit(lambda content, style: decode(stored, adain(content, style)))
    losses = []
    for content in of_content:
        for style, target in zip(of_style, targets, strict=True):
            picture = np.asarray(paint(content["relu4_1"][None], style[None]))[0]
            picture = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
            losses += metrics.losses([picture], [content], [target])
    content_loss, style_loss = np.mean(losses, 0)
    # 6 pairs instead of 520: the means over subsets scatter by about this much.
    assert 1.3 < content_loss < 2.1
    assert 0.06 < style_loss < 0.2
