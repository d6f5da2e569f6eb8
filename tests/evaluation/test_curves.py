"""Curves are read, smoothed and compared as their definition says; the figure holds them."""

import numpy as np
import pytest

from din_jax.data.decoding import load_image
from din_jax.errors import UserError
from din_jax.evaluation.curves import common_steps, compare, draw, main, read_curves, running_mean


def write_run(folder, steps, factor=1.0, tail=""):
    folder.mkdir(parents=True)
    rows = ["step,name,value"]
    for step in steps:
        rows += [f"{step},train/content,{factor * 2}", f"{step},train/style,{factor * step}"]
        rows += [f"{step},train/style/relu1_1,9"]
        if step % 100 == 0:
            rows += [f"{step},validation/content,3", f"{step},validation/style,{factor / step}"]
    (folder / "metrics.csv").write_text("\n".join(rows) + "\n" + tail)
    return folder


def test_curves_come_back_by_name_and_in_order(tmp_path):
    run = write_run(tmp_path / "run", [50, 100, 150])
    curves = read_curves(run)
    assert set(curves) == {
        "train/content", "train/style", "train/style/relu1_1", "validation/content",
        "validation/style",
    }  # fmt: skip
    np.testing.assert_array_equal(curves["train/style"], [[50, 100, 150], [50, 100, 150]])
    np.testing.assert_array_equal(curves["validation/style"], [[100], [0.01]])


def test_a_resumed_run_counts_its_later_rows_and_a_cut_off_line_is_left_out(tmp_path):
    tail = "100,train/style,7\nstep,name,value\n200,train/style,8\n250,train/style,12"
    run = write_run(tmp_path / "run", [50, 100, 150], tail=tail)
    steps, values = read_curves(run)["train/style"]
    np.testing.assert_array_equal(steps, [50, 100, 150, 200])
    np.testing.assert_array_equal(values, [50, 7, 150, 8])


@pytest.mark.parametrize("window", [1, 30, 101, 10_000])
def test_running_mean_equals_a_loop(window):
    rng = np.random.default_rng(0)
    steps = np.unique(rng.integers(0, 1000, 80))
    values = rng.normal(size=len(steps))
    values[[3, 40]] = np.nan
    got = running_mean(steps, values, window)
    for i, step in enumerate(steps):
        near = values[np.abs(steps - step) <= window / 2]
        near = near[np.isfinite(near)]
        if len(near):
            assert got[i] == pytest.approx(near.mean(), abs=1e-12)
        else:
            assert np.isnan(got[i])


def test_runs_compare_at_the_last_step_that_all_reached(tmp_path):
    runs = {
        "long": read_curves(write_run(tmp_path / "long", range(50, 1050, 50))),
        "short": read_curves(write_run(tmp_path / "short", range(50, 450, 50), factor=10)),
    }
    assert common_steps(list(runs.values())) == 400
    lines = compare(runs, window=10).splitlines()
    assert lines[0] == "at step 400"
    assert lines[2].split() == ["long", "2.0000", "400.0000", "3.0000", "0.0025"]
    assert lines[3].split() == ["short", "20.0000", "4000.0000", "3.0000", "0.0250"]


def test_figure_draws_each_run_in_its_color(tmp_path, capsys):
    for name in ("a", "b"):
        write_run(tmp_path / name, range(50, 450, 50), factor=1 + (name == "b"))
    output = tmp_path / "new" / "figure.png"
    main([str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(output)])
    assert "at step 400" in capsys.readouterr().out
    image = load_image(output).astype(int)
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        for half in (image[:, : image.shape[1] // 2], image[:, image.shape[1] // 2 :]):
            assert (np.abs(half - color).max(-1) < 10).sum() > 100


def test_wrong_runs_are_one_sentence(tmp_path, capsys):
    with pytest.raises(UserError, match="no readable metrics.csv"):
        read_curves(tmp_path)
    (tmp_path / "metrics.csv").write_text("step,name,value\n")
    with pytest.raises(UserError, match="no rows yet"):
        read_curves(tmp_path)
    (tmp_path / "metrics.csv").write_text("step,name,value\n1,x,2\n3,x\n")
    with pytest.raises(UserError, match="line 3 of"):
        read_curves(tmp_path)
    (tmp_path / "metrics.csv").write_text("step,name,value\n1,other,2\n")
    with pytest.raises(UserError, match="no run has train/content"):
        draw({"a": read_curves(tmp_path)}, tmp_path / "x.png")
    run = write_run(tmp_path / "run", [50])
    assert main([str(run), "--output", str(tmp_path / "x.nothing")]) == 2
    assert not list(tmp_path.glob("*x.nothing*"))
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
