"""One network for one style, with instance norm (Ulyanov, Vedaldi & Lempitsky 2016).

    python train.py --config configs/ulyanov.py:paintings/wave.jpg --workdir runs/wave
    python train.py --config configs/ulyanov.py:demo --workdir runs/ulyanov-demo  needs no data

variant   data and weights                what to expect
PICTURE   COCO, one painting, VGG-19      40,000 steps of 4 contents at 256 px, which nobody here
                                          has run
demo      none                            one drawn style, 150 steps on seeded random features

Their "Instance Normalization: The Missing Ingredient for Fast Stylization" puts instance norm into
the place of batch norm, in Johnson's network and in their own; this is Johnson's, so that the two
presets differ by the norm and by the layers of the loss alone: here those of Gatys et al., style
relu1_1 to relu4_1 and content relu4_1 (they have relu5_1, and content relu4_2).
"""

import dataclasses

from din_jax.config import STYLE_LAYERS
from din_jax.configs import johnson

NETWORK = dataclasses.replace(
    johnson.NETWORK, encoder_norm="instance", decoder_norm="instance", normalizer="instance"
)
LOSS = dataclasses.replace(
    johnson.LOSS, content_layers=("relu4_1",), style_layers=STYLE_LAYERS, variation_weight=0.0
)


def get_config(variant: str = ""):
    return johnson.of_picture("ulyanov", NETWORK, LOSS, variant).to_config_dict()
