"""A packed model does not say where it was trained."""

import dataclasses

from din_jax.config import Config
from din_jax.weights.model_files import without_paths

PLACE = "/home/somebody/pictures"


def test_no_path_of_the_training_machine_is_kept():
    """Every setting of type str that takes any text is set to a path, and none of them stays."""
    config = Config()
    for section in ("data", "model", "loss", "optim", "train"):
        part = getattr(config, section)
        free = {
            field.name: PLACE
            for field in dataclasses.fields(part)
            if field.type is str and not field.metadata["rule"].choices
        }
        config = dataclasses.replace(config, **{section: dataclasses.replace(part, **free)})
    assert str(config.to_dict()).count(PLACE) >= 7
    assert PLACE not in str(without_paths(config).to_dict())
