"""A checkpoint that is no longer kept goes at once from among the others, then file by file."""

import jax.numpy as jnp

from din_jax.training import checkpoints as module
from din_jax.training.checkpoints import REMOVED, Checkpoints
from din_jax.training.state import TrainState


def state_at(step: int) -> TrainState:
    return TrainState(
        jnp.asarray(step, jnp.int32), {"x": jnp.full(2, float(step))}, {}, {"m": jnp.zeros(2)}
    )


def save(run, config, *steps: int) -> list[str]:
    """What is said of a run that saves these."""
    said: list[str] = []
    checkpoints = Checkpoints(run, config, said.append)
    for step in steps:
        checkpoints.save(state_at(step), None, 1.0, {})
    checkpoints.wait()
    checkpoints.close()
    return said


def names(run) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_a_kill_during_a_removal_leaves_no_half_checkpoint(tiny, changed, tmp_path, monkeypatch):
    config = changed(tiny, train={"keep_last": 1, "keep_best": 0})

    def remove(folder, **_):
        for path in list(folder.rglob("SHA256SUMS"))[:1]:
            path.unlink()

    with monkeypatch.context() as patch:  # killed when the first file is gone
        patch.setattr(module.shutil, "rmtree", remove)
        save(tmp_path, config, 1, 2)
    assert names(tmp_path) == ["2", REMOVED]
    assert (tmp_path / "checkpoints" / REMOVED / "1" / "variables").exists()
    assert save(tmp_path, config, 3) == [] and names(tmp_path) == ["3"]
    assert not (tmp_path / "damaged").exists()


def test_what_is_still_written_to_is_removed_in_the_end(tiny, tmp_path, monkeypatch):
    left = tmp_path / "checkpoints" / "5.orbax-checkpoint-tmp"
    (left / "variables").mkdir(parents=True)
    remove, tried = module.shutil.rmtree, []

    def late(folder, **given):
        tried.append(folder)
        if len(tried) > 1:  # until then a thread had a file open there
            remove(folder, **given)

    monkeypatch.setattr(module.shutil, "rmtree", late)
    assert save(tmp_path, tiny, 6) == [] and names(tmp_path) == ["6"]
    assert tried[:2] == [left, left]
