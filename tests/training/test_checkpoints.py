"""Which checkpoints are kept, across restarts too, and what a run's tables hold after one."""

import json

import grain
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from din_jax.errors import UserError
from din_jax.training.checkpoints import Checkpoints
from din_jax.training.reports import Average, Reports, Window
from din_jax.training.state import TrainState
from din_jax.weights.runs import choose_step

LOSSES = {1: 3.0, 2: 1.0, 3: 2.0, 4: 5.0, 5: 4.0}


def state_at(step: int) -> TrainState:
    return TrainState(
        jnp.asarray(step, jnp.int32), {"x": jnp.full(2, float(step))}, {}, {"m": jnp.zeros(2)}
    )


def numbers():
    return iter(grain.MapDataset.range(100).to_iter_dataset())


def save_all(run, config, losses) -> list[int]:
    checkpoints = Checkpoints(run, config)
    for step, loss in losses.items():
        checkpoints.save(state_at(step), numbers(), loss)
    checkpoints.wait()
    checkpoints.close()
    return sorted(int(path.name) for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize(
    "last, best, kept", [(2, 1, [2, 4, 5]), (1, 2, [2, 3, 5]), (3, 0, [3, 4, 5]), (1, 1, [2, 5])]
)
def test_the_newest_and_the_best_are_kept(tiny, changed, tmp_path, last, best, kept):
    config = changed(tiny, train={"keep_last": last, "keep_best": best})
    assert save_all(tmp_path, config, LOSSES) == kept


def test_a_resumed_run_still_knows_its_best(tiny, tmp_path):
    assert save_all(tmp_path, tiny, LOSSES) == [2, 4, 5]
    assert save_all(tmp_path, tiny, {6: 9.0, 7: 8.0}) == [2, 6, 7]
    checkpoints = Checkpoints(tmp_path, tiny)
    assert checkpoints.manager.metrics(2) == {"loss": 1.0}
    assert checkpoints.latest() == 7
    assert checkpoints.reports() == {}  # as in runs of the time before there were any
    checkpoints.close()
    assert choose_step(tmp_path, "best") == 2 and choose_step(tmp_path, None) == 7
    # A better one replaces it in both places.
    assert save_all(tmp_path, tiny, {8: 0.5, 9: 7.0, 10: 7.0}) == [8, 9, 10]
    assert choose_step(tmp_path, "best") == 8


def test_restore_gives_the_newest_state_and_moves_the_input_to_its_place(tiny, tmp_path):
    iterator = numbers()
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    checkpoints = Checkpoints(tmp_path, tiny)
    kept = {"window": {"sums": {"total": 1 / 3}}, "of the end": ["train"]}
    checkpoints.save(state_at(3), iterator, 1.0, kept)
    checkpoints.wait()
    fresh = numbers()
    restored = checkpoints.restore(state_at(0), fresh)
    assert checkpoints.reports() == kept
    checkpoints.close()
    assert int(restored.step) == 3 and restored.batch_stats == {}
    np.testing.assert_array_equal(restored.params["x"], [3.0, 3.0])
    assert next(fresh) == 3


def test_another_optimizer_is_refused_in_a_sentence(tiny, tmp_path):
    checkpoints = Checkpoints(tmp_path, tiny)
    without = {"m": jnp.zeros(2), "n": optax.MaskedNode()}
    checkpoints.save(state_at(1).replace(opt_state=without), numbers(), 1.0)
    checkpoints.wait()
    other = {"m": jnp.zeros(2), "n": jnp.zeros(2)}
    with pytest.raises(UserError, match="kept other moments.*--config.train.initialize"):
        checkpoints.restore(state_at(0).replace(opt_state=other), numbers())
    checkpoints.close()


def test_rows_after_the_step_resumed_from_are_dropped(tmp_path):
    reports = Reports(tmp_path, None, 10, enabled=True)
    for step in range(1, 6):
        reports.scalars(step, "train", {"total": step / 3})
    reports.close()
    reports = Reports(tmp_path, 3, 10, enabled=True)
    reports.scalars(4, "train", {"total": 44.0})
    reports.close()
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines == ["step,name,value", "1,train/total,0.333333", "2,train/total,0.666667",
                     "3,train/total,1", "4,train/total,44"]  # fmt: skip


def test_rows_that_only_the_stop_caused_are_dropped_and_no_row_stands_twice(tmp_path):
    reports = Reports(tmp_path, None, 10, enabled=True)
    for step in (2, 3):
        for prefix in ("train", "validation"):
            reports.scalars(step, prefix, {"total": step})
            reports.scalars(step, prefix, {"total": -1.0})
    reports.close()
    reports = Reports(tmp_path, 3, 10, enabled=True, dropped=["train"])
    reports.scalars(3, "validation", {"total": -1.0})
    reports.close()
    lines = (tmp_path / "metrics.csv").read_text().splitlines()[1:]
    assert lines == ["2,train/total,2", "2,validation/total,2", "3,validation/total,3"]


def test_a_window_goes_on_where_it_was_saved(monkeypatch):
    now = 100.0
    monkeypatch.setattr("din_jax.training.reports.time.monotonic", lambda: now)
    window = Window()
    window.add({"total": 0.1}, 1)
    saved = json.loads(json.dumps(window.saved(window.since + 5.0)))
    again = Window(saved)
    again.add({"total": 0.2}, 2)
    assert again.means() == {"total": (0.1 + 0.2) / 3}
    assert now - again.since == pytest.approx(5.0)
    now = 103.0
    again.take()
    assert again.count == 0 and again.since == now


def test_only_the_first_process_writes(tmp_path):
    reports = Reports(tmp_path, None, 10, enabled=False)
    reports.scalars(1, "train", {"total": 1.0})
    reports.advance(1)
    reports.say("nothing")
    reports.close()
    assert not list(tmp_path.iterdir())


def test_average_is_the_mean_since_it_was_last_taken():
    average = Average()
    for value, steps in ((1.0, 1), (8.0, 2)):
        average.add({"total": value}, steps)
    assert average.count == 3
    assert average.take() == {"total": 3.0}
    average.add({"total": 5.0}, 1)
    assert average.take() == {"total": 5.0}
