"""Checkpoints that are not as they were written, and disks without room."""

import contextlib
import csv
import os
import resource
import shutil
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.training.board import Board, Event, Scalar
from din_jax.training.checkpoints import Checkpoints
from din_jax.training.integrity import set_damaged_aside
from din_jax.training.reports import Reports
from din_jax.training.state import TrainState
from din_jax.weights.models import ModelError
from din_jax.weights.runs import UNSUMMED, read_checkpoint


def state_at(step: int, size: int = 2) -> TrainState:
    noise = np.random.default_rng(step).standard_normal(size).astype(np.float32)
    return TrainState(
        jnp.asarray(step, jnp.int32), {"x": jnp.asarray(noise)}, {}, {"m": jnp.zeros(2)}
    )


@pytest.fixture(scope="module")
def written(tiny, changed, tmp_path_factory):
    """A run with the steps 1, 2 and 3, of which each test damages a copy."""
    run = tmp_path_factory.mktemp("run")
    checkpoints = Checkpoints(run, changed(tiny, train={"keep_last": 3}))
    for step in (1, 2, 3):
        checkpoints.save(state_at(step), None, 1.0, {"window": step})
    checkpoints.wait()
    checkpoints.close()
    return run


@pytest.fixture
def run(written, tmp_path):
    return shutil.copytree(written, tmp_path / "run")


def files(run, step=3):
    folder = run / "checkpoints" / str(step)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "a byte flipped": flip,
    "short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "missing": os.unlink,
}


def restored(run, config, size=2) -> tuple[TrainState, dict, list[str]]:
    said: list[str] = []
    checkpoints = Checkpoints(run, config, said.append)
    with contextlib.closing(checkpoints):
        return checkpoints.restore(state_at(0, size), None), checkpoints.reports(), said


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_file_is_damaged_it_is_named_and_set_aside(written, run, damage):
    names = [path.relative_to(written) for path in files(written)]
    assert len(names) > 15
    for name in names:
        if name.name in UNSUMMED and len(name.parts) == 3:
            continue  # nothing is read from those
        if name.name == "SHA256SUMS" and damage is os.unlink:
            continue  # that is one of an old run
        damage(run / name)
        said: list[str] = []
        assert set_damaged_aside(run, said.append) == ""
        assert len(said) == 1 and "step 3 is damaged" in said[0] and "Step 2 is taken" in said[0]
        assert "/".join(name.parts[2:]) in said[0] and "\n" not in said[0]
        assert [p.name for p in (run / "damaged").iterdir()] == ["3"]
        shutil.rmtree(run / "damaged")
        assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["1", "2"]
        shutil.copytree(written / "checkpoints" / "3", run / "checkpoints" / "3")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_one_before_a_damaged_one_is_taken_whole(run, tiny, damage):
    damage(next(p for p in files(run) if p.parts[-3:-1] == ("train", "d")))
    state, reports, said = restored(run, tiny)
    assert int(state.step) == 2 and reports == {"window": 2} and len(said) == 1
    np.testing.assert_array_equal(state.params["x"], state_at(2).params["x"])


@pytest.mark.parametrize("name", UNSUMMED)
def test_what_is_written_after_the_sums_decides_nothing(run, tiny, name):
    (run / "checkpoints" / "3" / name).unlink()
    assert int(restored(run, tiny)[0].step) == 3


def test_an_older_one_is_set_aside_and_the_newest_is_used(run, tiny):
    flip(files(run, 1)[-1])
    state, _, said = restored(run, tiny)
    assert int(state.step) == 3 and len(said) == 1 and "taken" not in said[0]
    # A second of the same name has room beside it.
    shutil.copytree(run / "damaged" / "1", run / "checkpoints" / "1")
    restored(run, tiny)
    assert sorted(p.name for p in (run / "damaged").iterdir()) == ["1", "1.1"]


def test_nothing_is_moved_where_all_are_damaged(run, tiny):
    for step in (1, 2, 3):
        os.unlink(files(run, step)[-1])
    with pytest.raises(UserError, match="every checkpoint of .* is damaged .step 3: .* missing"):
        restored(run, tiny)
    assert len(list((run / "checkpoints").iterdir())) == 3 and not (run / "damaged").exists()


def test_whoever_takes_the_model_alone_is_told_too(run):
    folder = run / "checkpoints" / "3"
    assert read_checkpoint(folder)["params.x"].shape == (2,)
    flip(next(p for p in files(run) if p.parent == folder / "variables" / "d"))
    with pytest.raises(ModelError, match=r"damaged \(variables/d/.* not as written\); choose"):
        read_checkpoint(folder)


def test_what_a_killed_process_left_is_removed(run, tiny):
    (run / "checkpoints" / "4.orbax-checkpoint-tmp" / "train").mkdir(parents=True)
    assert int(restored(run, tiny)[0].step) == 3
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["1", "2", "3"]


@contextlib.contextmanager
def room(size: int):
    """No file can get larger than that, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 50_000], ids=["none", "little"])
def test_a_full_disk_costs_a_checkpoint_and_no_run(tiny, tmp_path, capfd, size):
    said: list[str] = []
    checkpoints = Checkpoints(tmp_path, tiny, said.append)
    with contextlib.closing(checkpoints):
        checkpoints.save(state_at(1, 30_000), None, 1.0, {})
        checkpoints.wait()
        with room(size):
            checkpoints.save(state_at(2, 30_000), None, 1.0, {})
            while not said:
                checkpoints.look()
        assert len(said) == 1 and "\n" not in said[0]
        assert "checkpoint of step 2 could not be written" in said[0] and "step 1" in said[0]
        assert f"'{tmp_path}" in said[0] and "File too large" in said[0]
        assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["1"]
        checkpoints.save(state_at(3, 30_000), None, 1.0, {})
        checkpoints.wait()
        with room(size):
            checkpoints.save(state_at(4, 30_000), None, 1.0, {})
            with pytest.raises(UserError, match="step 4 could not.*step 3: make room, and the"):
                checkpoints.wait()
    assert "Traceback" not in capfd.readouterr().err
    state, _, said = restored(tmp_path, tiny, 30_000)
    assert int(state.step) == 3 and said == []


def test_a_full_disk_keeps_rows_for_later(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(Reports, "say", lambda self, text: said.append(text))
    reports = Reports(tmp_path, None, 10, enabled=True)
    reports.scalars(1, "train", {"total": 1.0})
    size = (tmp_path / "metrics.csv").stat().st_size
    picture = np.zeros((2, 8, 8, 3), np.uint8)
    with room(size + 3):
        reports.scalars(2, "train", {"total": 2.0})
        reports.scalars(3, "train", {"total": 3.0})
        assert (tmp_path / "metrics.csv").stat().st_size == size  # no half row
        reports.grid(3, picture, picture, picture)
    assert len(said) == 3 and all("File too large; the run goes on" in text for text in said)
    reports.scalars(4, "train", {"total": 4.0})
    reports.grid(4, picture, picture, picture)
    reports.close()
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == list("1234")
    assert [p.name for p in (tmp_path / "grids").iterdir()] == ["step_0000004.png"]


def test_the_board_can_be_read(tmp_path):
    board = Board(tmp_path, 5)
    board.add(7, Scalar("a", 1.5), Scalar("b", 2.5))
    board.close()
    (path,) = tmp_path.iterdir()
    events, data = [], path.read_bytes()
    while data:  # TFRecord: length, its checksum, the event, its checksum
        (length,) = struct.unpack_from("<Q", data)
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    assert events[1].step == 5 and events[1].session_log.status == 1
    found = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert found == [(7, "a", 1.5), (7, "b", 2.5)]
