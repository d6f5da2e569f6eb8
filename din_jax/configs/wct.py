"""WCT, one level: whitened content, colored by the style's covariance (Li et al. 2017c).

    python train.py --config configs/wct.py --workdir runs/wct

variant  data and weights         what to expect
""       COCO, WikiArt, VGG-19    VGG-19 to relu4_1 and its mirrored decoder, which alone learns;
                                  the paper's rates and steps, which nobody here has run
light    the same                 the lightweight network, all three levels whitened and colored

The paper trains its decoder to give back what its encoder was shown; here it learns to paint, by
the losses of the other methods, so that they compare.
"""

import dataclasses

from din_jax.configs.din import FAST, PAPER
from din_jax.errors import UserError

WCT = {
    "code": "wct",
    "style_encoder": "content",
    "normalizer": "whitening",
    "encoder_norm": "none",
    "decoder_norm": "none",
}
MODELS = {"": WCT | {"network": "vgg19", "levels": 1}, "light": WCT}
VARIANTS = {
    name: dataclasses.replace(
        PAPER,
        name=f"wct-{name}" if name else "wct",
        model=dataclasses.replace(PAPER.model, **model),
        optim=FAST if name else PAPER.optim,
    )
    for name, model in MODELS.items()
}


def get_config(variant: str = ""):
    if variant not in VARIANTS:
        raise UserError(f"configs/wct.py has variants {sorted(VARIANTS)}, not {variant!r}.")
    return VARIANTS[variant].to_config_dict()
