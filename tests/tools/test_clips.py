"""Videos through `din-jax stylize`: whole or not there, the sound copied; a stand-in paints."""

import json

import numpy as np
import pytest

from tests.data.clips import TIMES, described, write_clip

from .fake import files

pytest.importorskip("av", reason="videos need PyAV: pip install av")


def test_every_frame_is_painted_and_the_sound_copied(din_jax, folder, stylizer):
    write_clip("clip.mp4")
    shapes = []
    stylizer.failing = lambda frame: shapes.append(frame.shape)
    done = din_jax("clip.mp4", "a.png", "--batch", "3", "--json")
    told = json.loads(done.out)["outputs"][0]
    assert done.status == 0 and told["output"] == "clip--a.mp4"
    assert (told["width"], told["height"], told["kept"]) == (64, 48, False)
    # Eight frames in batches of three that are always full: one program.
    assert len(shapes) == 9 and set(shapes) == {(48, 64, 3)}
    before, after = described("clip.mp4"), described("clip--a.mp4")
    assert after[1:] == before[1:] and len(after[0]) == len(TIMES)
    for a, b in zip(before[0], after[0], strict=True):
        assert abs(np.mean(b) - (np.mean(a) / 2 + 50)) < 2


def test_videos_beside_pictures_are_done_once(din_jax, folder, stylizer):
    write_clip("photos/clip.mkv")
    command = ["stylize", "photos/clip.mkv", "photos", "-s", "a.png", "-o", "out"]
    done = din_jax(*command)
    assert done.status == 0 and "5 outputs in out" in done.out
    assert "note: 1 videos in 'photos' are left out" in done.err
    assert files("out") == [
        "clip--a.mkv", "p1--a.png", "p2--a.png", "sub/p3--a.png", "sub/p4--a.png",
    ]  # fmt: skip
    before = stylizer.painted
    assert "5 were there already" in din_jax(*command).out and stylizer.painted == before
    told = json.loads(din_jax(*command, "--json").out)["outputs"][0]
    assert (told["width"], told["height"], told["kept"]) == (64, 48, True)


def test_a_bad_video_costs_the_others_nothing(din_jax, folder):
    whole = write_clip(folder / "a.mp4").read_bytes()
    for name, data in {"b.mp4": b"", "c.mp4": whole[:900], "d.mp4": whole}.items():
        (folder / name).write_bytes(data)
    done = din_jax("stylize", "*.mp4", "-s", "a.png", "-o", "out")
    assert done.status == 1 and files("out") == ["a--a.mp4", "d--a.mp4"]
    assert done.err.startswith("error: 2 of 4 could not be painted:\n")
    assert done.err.count("'b.mp4'") == done.err.count("'c.mp4'") == 1


@pytest.mark.parametrize("where", ["paint", "encode"])
def test_what_fails_in_the_middle_leaves_nothing(din_jax, folder, stylizer, monkeypatch, where):
    write_clip("a.mp4")
    write_clip("b.mp4")
    if where == "paint":
        stylizer.failing = fail_late(KeyboardInterrupt)
    else:
        full = fail_late(OSError, 28, "No space left on device")
        write = "din_jax.data.video_writer.VideoWriter.write"
        monkeypatch.setattr(write, lambda writer, frame: full(frame))
    done = din_jax("stylize", "a.mp4", "b.mp4", "-s", "a.png", "-o", "out", "--batch", "2")
    assert files("out") == []
    if where == "paint":
        assert done.status == 130
    else:
        assert done.status == 1 and "'out/a--a.mp4' cannot be written (No space" in done.err
        assert "not begun, since nothing more can be written: 'b.mp4'" in done.err


def fail_late(error, *arguments):
    calls = []

    def failing(frame):
        calls.append(frame)
        if len(calls) == 5:
            raise error(*arguments)

    return failing


def test_mistakes_about_videos(din_jax, folder, monkeypatch):
    write_clip("a.mp4")
    for output in ("x.png", "-"):
        done = din_jax("a.mp4", "a.png", "-o", output)
        assert done.status == 2 and "ends in .mp4, .mov, .mkv" in done.err
    assert din_jax("a.png", "a.png", "-o", "x.mp4").status == 2
    assert "--steady must be" in din_jax("a.mp4", "a.png", "--steady", "-1").err
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    done = din_jax("a.mp4", "a.png")
    assert done.status == 1 and "pip install 'din_jax[video]'" in done.err
    assert done.err.count("\n") == 1
