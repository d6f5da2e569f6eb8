"""The smallest model and run that have every part; a config file like those in configs/."""

import dataclasses

from din_jax.config import Config, DataConfig, LossConfig, ModelConfig, OptimConfig, TrainConfig

TINY = Config(
    name="tiny",
    data=DataConfig(validation=2, resize=32, crop=32, threads=1, prefetch=2),
    model=ModelConfig(
        widths=(4, 4, 8),
        kernel=3,
        residuals=1,
        separable=False,
        encoder_norm="batch",
        style_encoder="mobilenet",
        net_hidden=4,
        net_pool=2,
        net_kernel=1,
    ),
    loss=LossConfig(
        network="random", content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1")
    ),
    optim=OptimConfig(learning_rate=1e-3, warmup=0),
    train=TrainConfig(
        steps=4, batch=2, log_every=1, validate_every=2, checkpoint_every=2, grid_every=100
    ),
)
VARIANTS = {"": {}, "long": {"steps": 100, "validate_every": 1000, "checkpoint_every": 1000}}


def get_config(variant: str = ""):
    train = dataclasses.replace(TINY.train, **VARIANTS[variant])
    return dataclasses.replace(TINY, train=train).to_config_dict()
