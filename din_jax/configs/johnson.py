"""One network for one style, with batch norm (Johnson, Alahi & Fei-Fei 2016).

    python train.py --config configs/johnson.py:paintings/wave.jpg --workdir runs/wave
    python train.py --config configs/johnson.py:demo --workdir runs/johnson-demo  needs no data

variant   data and weights                what to expect
PICTURE   COCO, one painting, VGG-19      40,000 steps of 4 contents at 256 px, which nobody here
                                          has run
demo      none                            one drawn style, 150 steps on seeded random features

The network is their transformation network as the DIN paper counts it in table 1 (`separable`
False, two residual blocks on either side), and the style a table of one row; loss by Gram matrices
with total variation. They take content relu2_2 and style relu1_2, 2_2, 3_3 and 4_3 of VGG-16: here
of VGG-19, whose files at hand may end at relu4_1, which stands for relu4_3. How much style there is
to be (`--config.loss.gram_weight`) is to be found for each painting, as they did.
"""

import dataclasses
from pathlib import Path

from din_jax.config import Config, LossConfig, ModelConfig, OptimConfig, TrainConfig
from din_jax.configs.cin import table_of
from din_jax.configs.din import DEMO, PAPER
from din_jax.data.decoding import list_images
from din_jax.data.inspection import why_bad
from din_jax.errors import UserError

NETWORK = ModelConfig(
    separable=False, levels=1, encoder_norm="batch", decoder_norm="batch", normalizer="batch"
)
LOSS = LossConfig(
    content_layers=("relu2_2",),
    style_layers=("relu1_2", "relu2_2", "relu3_3", "relu4_1"),
    style_weight=0.0,
    gram_weight=1e5,
    variation_weight=0.1,
)
DEMO_STYLE = "SyntheticStyle 0"


def of_picture(name: str, model: ModelConfig, loss: LossConfig, variant: str) -> Config:
    """The run of a network for one style.

    Args:
      name: of the preset.
      model: its network.
      loss: its losses.
      variant: a picture's file, or "demo".

    Raises:
      UserError: there is no such file, or another of that name beside it.
    """
    if variant == "demo":
        drawn = dataclasses.replace(loss, network="random")
        small = dataclasses.replace(model, widths=DEMO.model.widths, net_hidden=16)
        train = dataclasses.replace(DEMO.train, teacher_steps=0)
        run = dataclasses.replace(DEMO, loss=drawn, model=small, train=train)
        return dataclasses.replace(table_of(run, (DEMO_STYLE,)), name=f"{name}-demo")
    path = Path(variant)
    if not variant or not path.is_file():
        raise UserError(
            f"configs/{name}.py takes one painting or demo: --config configs/{name}.py:PICTURE, "
            f"not {variant!r}."
        )
    if why := why_bad(path):
        raise UserError(why)
    if [other.stem for other in list_images(path.parent)].count(path.stem) != 1:
        raise UserError(
            f"the folder of '{path}' must hold one picture named '{path.stem}', whatever its "
            "suffix: give the painting a folder of its own."
        )
    run = dataclasses.replace(
        PAPER,
        data=dataclasses.replace(PAPER.data, style=str(path.parent), crop=256),
        model=model,
        loss=loss,
        optim=OptimConfig(learning_rate=1e-3),
        train=TrainConfig(steps=40_000, batch=4),
    )
    return dataclasses.replace(table_of(run, (path.stem,)), name=name)


def get_config(variant: str = ""):
    return of_picture("johnson", NETWORK, LOSS, variant).to_config_dict()
