"""Weights & Biases is told what TensorBoard is, through the same interface; a stand-in listens."""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.training.reports import Reports
from din_jax.training.wandb import WandbBoard

PICTURES = np.zeros((2, 8, 8, 3), np.uint8)


class Stand:
    """A run as Weights & Biases keeps one: what was logged by step, none before the newest."""

    def __init__(self):
        self.step, self.rows, self.finished, self.breaks = 0, [], 0, False

    def log(self, values, step):
        if self.breaks:
            raise ConnectionError("no\nway")
        assert step >= self.step
        self.step = step
        self.rows.append((step, values))

    def finish(self):
        self.finished += 1


@pytest.fixture
def service(monkeypatch):
    """The module's place is taken; runs are known by their number."""
    module, runs, calls = ModuleType("wandb"), {}, []

    def init(**given):
        calls.append(given)
        return runs.setdefault(given["id"], Stand())

    module.init = init
    module.Image = lambda image: ("image", image.shape)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return SimpleNamespace(module=module, runs=runs, calls=calls)


def reports(run, resumed=None, **given) -> Reports:
    boards = [lambda: WandbBoard("paintings", run, {"seed": 3})]
    return Reports(run, resumed, 10, enabled=True, boards=boards, **given)


def test_it_is_told_every_row_and_picture(service, tmp_path):
    run = tmp_path / "blue"
    run.mkdir()
    told = reports(run)
    told.scalars(1, "train", {"total": 1.5, "style": 0.5})
    told.grid(1, PICTURES, PICTURES, PICTURES)
    told.close()
    (call,) = service.calls
    assert call["project"] == "paintings" and call["name"] == "blue" and call["dir"] == str(run)
    assert call["config"] == {"seed": 3} and call["resume"] == "allow"
    (stand,) = service.runs.values()
    (first, second) = stand.rows
    assert first == (1, {"train/total": 1.5, "train/style": 0.5})
    assert second[0] == 1 and second[1]["validation"][0] == "image"
    assert stand.finished == 1


def test_a_resumed_run_goes_on_in_the_same_curves(service, tmp_path):
    told = reports(tmp_path)
    for step in (1, 2, 3):
        told.scalars(step, "train", {"total": 1.0 / step})
    told.close()
    again = reports(tmp_path, 1)
    for step in (2, 3, 4):
        again.scalars(step, "train", {"total": 1.0 / step})
    again.close()
    assert service.calls[0]["id"] == service.calls[1]["id"]
    (stand,) = service.runs.values()
    steps = [step for step, _ in stand.rows]
    assert steps == sorted(steps) and set(steps) == {1, 2, 3, 4}
    (tmp_path / "wandb.json").write_text("{")  # damaged: another run, not the end of this one
    reports(tmp_path).close()
    assert len(service.runs) == 2
    assert json.loads((tmp_path / "wandb.json").read_text())["id"] in service.runs


def test_what_it_refuses_costs_the_run_nothing(service, tmp_path, capfd):
    told = reports(tmp_path)
    (stand,) = service.runs.values()
    stand.breaks = True
    for step in (1, 2):
        told.scalars(step, "train", {"total": 1.0})
    told.close()
    said = capfd.readouterr()
    told = [text for text in (said.out + said.err).splitlines() if "Weights & Biases" in text]
    assert len(told) == 1
    assert "no way; the run goes on, Weights & Biases goes without" in told[0]
    assert (tmp_path / "metrics.csv").read_text().count("train/total") == 2
    assert list((tmp_path / "tensorboard").iterdir())


def test_a_start_that_fails_is_one_sentence(service, tmp_path):
    def init(**_):
        raise RuntimeError("api_key not configured\n(no-tty)")

    service.module.init = init
    with pytest.raises(UserError, match=r"not configured \(no-tty\)\): log in by `wandb login`"):
        reports(tmp_path)


def test_processes_that_report_nothing_start_none(service, tmp_path):
    Reports(tmp_path, None, 10, enabled=False, boards=[lambda: WandbBoard("p", tmp_path, {})])
    assert service.calls == []
