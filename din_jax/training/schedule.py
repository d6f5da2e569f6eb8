"""When a run reports, and which rows of its table are only there because it was stopped."""

from din_jax.config import TrainConfig


def until_a_report(config: TrainConfig, step: int) -> int:
    """Steps of the next call: up to `steps_per_call`, none past what is to be reported."""
    ends = [config.steps] + [
        step - step % every + every
        for every in (config.log_every, config.validate_every, config.checkpoint_every)
    ]
    return min(config.steps_per_call, min(ends) - step)


def rows_of_the_stop(config: TrainConfig, step: int) -> list[str]:
    """The parts of the table whose rows at this step an uninterrupted run would not have."""
    asked = {
        "train": (config.log_every,),
        "validation": (config.validate_every, config.checkpoint_every),
    }
    return [name for name, every in asked.items() if all(step % n for n in every)]
