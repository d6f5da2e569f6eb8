"""Linear transformation: the product of two predicted matrices (Li et al. 2019).

    python train.py --config configs/linear.py --workdir runs/linear

variant  data and weights         what to expect
""       COCO, WikiArt, VGG-19    VGG-19 to relu4_1 and its mirrored decoder; the paper's rates and
                                  steps, which nobody here has run
light    the same                 the lightweight network, all three levels transformed

y = T_s(cov_s) T_c(cov_c) (x - mu_c) + mu_s: one net reads the covariance of the style, one that of
the content (`din_jax/layers/linear.py`). Both are weight nets, and learn at their rate. The
encoders have no norm, which would leave little of the statistics that are read.
"""

import dataclasses

from din_jax.configs.din import FAST, PAPER
from din_jax.errors import UserError

LINEAR = {
    "code": "linear",
    "style_encoder": "content",
    "normalizer": "linear",
    "encoder_norm": "none",
    "decoder_norm": "none",
}
MODELS = {"": LINEAR | {"network": "vgg19", "levels": 1}, "light": LINEAR}
VARIANTS = {
    name: dataclasses.replace(
        PAPER,
        name=f"linear-{name}" if name else "linear",
        model=dataclasses.replace(PAPER.model, **model),
        optim=FAST if name else PAPER.optim,
    )
    for name, model in MODELS.items()
}


def get_config(variant: str = ""):
    if variant not in VARIANTS:
        raise UserError(f"configs/linear.py has variants {sorted(VARIANTS)}, not {variant!r}.")
    return VARIANTS[variant].to_config_dict()
