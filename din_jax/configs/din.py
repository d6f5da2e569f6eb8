"""DIN in the lightweight network: the paper's recipe, and short variants of it.

    python train.py --config configs/din.py --workdir runs/din
    python train.py --config configs/din.py:demo --workdir runs/demo      needs no data, no weights

variant   data and weights                what to expect, on two CPU cores (docs/RESULTS.md)
""        COCO, WikiArt, VGG-19           the paper's rates and 160,000 steps: a GPU or TPU's work;
                                          some 4 s a step of 4 pairs at 256 px here
fast      photographs, paintings, VGG-19  600 steps of 4 pairs at 64 px: content 1.87, style 0.93
portable  the same; VGG-19 to train only  the included model's network, less its feedback
cpu       folders of pictures, VGG-19     how that was trained on, on pictures in memory; with the
                                          flags of the stages in docs/RESULTS.md, in the end
                                          --config.model.net_feedback=2
gpu       the same                        the paper's 160,000 steps at 256 px, in bfloat16, nine
                                          minutes at a time; nobody here has run it
k3 ...    as fast                         other dynamic convolutions
demo      none                            150 steps in 75 s; style falls from 4.8 to 2.8 on seeded
                                          random features, to be compared with themselves only

The paper's data: `python -m din_jax.data.prepare coco` and `... wikiart`; folders of your own:
`--config.data.content=FOLDER --config.data.style=FOLDER`. VGG-19: torchvision's file is downloaded
at the first start, or `--config.loss.weights=FILE`.
"""

import dataclasses

from din_jax.config import Config, DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig
from din_jax.errors import UserError

PAPER = Config(data=DataConfig(content="tfds:coco", style="tfds:wikiart"))

# Needs no VGG-19 to run: a MobileNet predicts VGG's style statistics, from which the nets paint.
PORTABLE = ModelConfig(
    style_encoder="mobilenet",
    style_feature="statistics",
    net_pool=1,
    net_kernel=1,
    encoder_norm="batch",
    decoder_norm="batch",
)
# A short training wants higher rates than the paper's day on a V100.
FAST = OptimConfig(learning_rate=1e-3, warmup=20, decay="cosine", clip=1.0)

# Other dynamic convolutions in the place of the dense 1x1, at the rates of "fast".
TRANSFORMS = {
    "k3": {"dynamic_kernel": 3},
    "k5": {"dynamic_kernel": 5},
    "group": {"dynamic_kernel": 3, "dynamic_groups": 8},
    "depthwise": {"dynamic_kernel": 3, "dynamic_groups": 0},
    "deformable": {"transform": "deformable", "dynamic_kernel": 3, "dynamic_groups": 0},
    "spatial": {"transform": "spatial"},
}

DEMO = Config(
    name="din-demo",
    data=DataConfig(validation=4, resize=80, crop=64, threads=2, prefetch=4),
    model=dataclasses.replace(PORTABLE, widths=(8, 16, 32), net_hidden=16),
    loss=LossConfig(network="random"),
    optim=FAST,
    train=TrainConfig(
        steps=150, batch=4, teacher_steps=100, log_every=10, validate_every=50, grid_every=50
    ),
)

# Folders of a few thousand pictures, held in memory; averaged parameters are what is saved.
RESIDENT = DataConfig(content="", style="", resize=272, zoom=2.0, crop=128, resident=True)
LONG = dataclasses.replace(FAST, warmup=50, average=0.998)
CPU = Config(
    name="din-cpu",
    data=dataclasses.replace(RESIDENT, kept_crops=2, threads=2),
    model=PORTABLE,
    loss=LossConfig(style_weight=15.0, checkerboard_weight=1000.0),
    optim=LONG,
    train=TrainConfig(
        steps=2300, batch=8, teacher_steps=1800, products="bfloat16", steps_per_call=10,
        validate_every=500, checkpoint_every=250,
    ),
)  # fmt: skip
# Ends by itself after nine minutes, saved: the same command goes on.
GPU = dataclasses.replace(
    CPU,
    name="din-gpu",
    data=dataclasses.replace(RESIDENT, resize=512, crop=256),
    optim=dataclasses.replace(LONG, average=0.999),
    train=TrainConfig(
        steps=160_000, batch=8, teacher_steps=140_000, compute_dtype="bfloat16",
        products="bfloat16", steps_per_call=50, minutes=9.0,
    ),
)  # fmt: skip

VARIANTS = {
    "": PAPER,
    "portable": dataclasses.replace(
        PAPER,
        name="din-portable",
        model=PORTABLE,
        optim=FAST,
        train=TrainConfig(steps=20_000, batch=8, teacher_steps=10_000),
    ),
    "fast": dataclasses.replace(PAPER, name="din-fast", optim=FAST),
    "cpu": CPU,
    "gpu": GPU,
    "demo": DEMO,
}
for _name, _changes in TRANSFORMS.items():
    VARIANTS[_name] = dataclasses.replace(
        VARIANTS["fast"],
        name=f"din-{_name}",
        model=dataclasses.replace(PAPER.model, **_changes),
    )


def get_config(variant: str = ""):
    if variant not in VARIANTS:
        raise UserError(f"configs/din.py has variants {sorted(VARIANTS)}, not {variant!r}.")
    return VARIANTS[variant].to_config_dict()
