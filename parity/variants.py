"""The models that are compared, by name: small ones of every kind, or with their real widths."""

import dataclasses

from din_jax.config import Config, LossConfig, ModelConfig, OptimConfig, TrainConfig

SMALL = {"widths": (8, 16, 32), "net_hidden": 16}
# 512 channels have dense kernels of 262144 numbers: the smallest net that predicts them.
SMALL_VGG = {"net_hidden": 4, "net_pool": 1, "net_kernel": 1}
PORTABLE = {
    "style_encoder": "mobilenet",
    "style_feature": "statistics",
    "net_pool": 1,
    "net_kernel": 1,
    "encoder_norm": "batch",
    "decoder_norm": "batch",
}
PLAIN = {"encoder_norm": "none", "decoder_norm": "none"}
ADAIN = {"code": "adain", "style_encoder": "content", **PLAIN}

VARIANTS: dict[str, dict] = {
    "din": {},
    "portable": PORTABLE,
    "feedback": {**PORTABLE, "net_feedback": 2},
    "one-level": {"levels": 1, "decoder_norm": "batch"},
    "johnson": {"separable": False, "decoder_norm": "none"},
    "mobilenet-style": {"style_encoder": "mobilenet"},
    "adain": ADAIN,
    "k3": {"dynamic_kernel": 3, "dynamic_dilation": 2},
    "group": {"dynamic_kernel": 3, "dynamic_groups": 4, "net_pool": 1, "net_kernel": 1},
    "depthwise": {"dynamic_kernel": 3, "dynamic_groups": 0},
    "deformable": {
        "transform": "deformable",
        "dynamic_kernel": 3,
        "dynamic_groups": 0,
        "offset_groups": 2,
        "modulated": True,
    },
    "spatial": {"transform": "spatial"},
    "vgg": {"network": "vgg19", "levels": 1, **SMALL_VGG},
    "vgg-adain": {"network": "vgg19", "levels": 1, **ADAIN},
}
LOSS = LossConfig(gram_weight=1.0, variation_weight=1.0)  # all four losses
OPTIM = OptimConfig()  # the paper's rates and this project's warm-up
TEACHER_STEPS = 10


def variant(name: str, full: bool = False) -> Config:
    """The run that a variant stands for; `full` has the widths that are trained."""
    model = VARIANTS[name]
    if not full and model.get("network") != "vgg19":
        model = {**SMALL, **model}
    return run(name, ModelConfig(**model))


def run(name: str, model: ModelConfig) -> Config:
    """Settings of the comparison's training around a model."""
    teacher = TrainConfig(teacher_steps=TEACHER_STEPS, batch=2)
    return Config(name=name, model=model, loss=LOSS, optim=OPTIM, train=teacher)


def with_norms(config: Config, norm: str) -> Config:
    """The same with one norm throughout."""
    model = dataclasses.replace(config.model, encoder_norm=norm, decoder_norm=norm)
    return dataclasses.replace(config, model=model)
