"""AdaIN in the lightweight network: the baseline of the paper's figure 8.

    python train.py --config configs/adain.py --workdir runs/adain

variant  data and weights               what to expect
""       COCO, WikiArt, VGG-19          the paper's rates and steps, which nobody here has run
fast     photographs, paintings, VGG-19 600 steps of 4 pairs at 64 px: content 1.56, style 0.95 on
                                        held-out pairs (docs/RESULTS.md, figure 8)

Data and weights are had as configs/din.py says. The style's channel means and deviations, taken
from the content encoder itself, are the code. That encoder has no instance norm, which would erase
just what AdaIN copies.
"""

import dataclasses

from din_jax.configs.din import FAST, PAPER
from din_jax.errors import UserError

ADAIN = dataclasses.replace(
    PAPER,
    name="adain",
    model=dataclasses.replace(
        PAPER.model, code="adain", style_encoder="content", encoder_norm="none", decoder_norm="none"
    ),
)
VARIANTS = {"": ADAIN, "fast": dataclasses.replace(ADAIN, name="adain-fast", optim=FAST)}


def get_config(variant: str = ""):
    if variant not in VARIANTS:
        raise UserError(f"configs/adain.py has variants {sorted(VARIANTS)}, not {variant!r}.")
    return VARIANTS[variant].to_config_dict()
