"""`din-jax stylize` as a user runs it, in this process; a stand-in paints, but for one test."""

import io
import json
import os
import types

import numpy as np
import pytest
from PIL import Image

from din_jax.data.decoding import save_image
from din_jax.data.outputs import JOURNAL
from din_jax.errors import UserError
from din_jax.inference.stylizer import Stylizer
from din_jax.tools import commands

from .fake import files, level, opened, picture


def test_two_paths_are_content_and_style(din_jax, folder):
    done = din_jax("photos/p1.png", "a.png")
    assert (done.status, done.out, done.err) == (0, "p1--a.png\n", "")
    assert level("p1--a.png") == 50 and JOURNAL not in os.listdir()
    again = din_jax("photos/p1.png", "a.png")
    assert again.status == 2 and "'p1--a.png' is there already" in again.err
    assert "--overwrite" in again.err and again.err.count("\n") == 1
    assert din_jax("photos/p1.png", "b.png", "-o", "p1--a.png", "--overwrite").status == 0
    assert level("p1--a.png") == 100
    # A name, also where there is a file of that name, and what is meant for neither.
    os.mkdir("waves")
    picture("waves/inside.png", 20)
    assert din_jax("b.png", "waves").out == "b--waves.png\n" and level("b--waves.png") == 200
    assert din_jax("b.png", "./waves").out == "b--inside.png\n" and level("b--inside.png") == 110
    assert din_jax("a.png", "mosaic").out == "a--mosaic.png\n"
    assert din_jax("a.png", "mosiac").status == 2
    lost = din_jax("foto.png", "a.png")
    assert lost.status == 2 and lost.err.startswith("error: there is no content 'foto.png'")
    third = din_jax("photos/p1.png", "a.png", "b.png")
    assert third.status == 2 and "unrecognized arguments: b.png" in third.err
    assert "there is no command 'stylise'" in din_jax("stylise", "a.png").err


def test_a_content_alone_takes_the_flags_of_stylize(din_jax, folder):
    assert din_jax("a.png", "--style", "mosaic").out == "a--mosaic.png\n"
    assert din_jax("a.png", "-o", "x.png", "-s", "mosaic").out == "x.png\n"
    assert din_jax("a.png", "b.png", "--style=mosaic", "-o", "both").out.startswith("2 ")
    unsaid = din_jax("a.png", "-o", "y.png")
    assert unsaid.status == 2 and "required: --style" in unsaid.err and unsaid.err.count("\n") == 1


def test_a_folder_is_mirrored_and_nothing_done_twice(din_jax, folder, stylizer):
    command = ["stylize", "photos", "--style", "a.png", "-o", "out"]
    done = din_jax(*command)
    assert done.status == 0 and done.out.startswith("4 outputs in out, ")
    names = ["p1--a.png", "p2--a.png", "sub/p3--a.png", "sub/p4--a.png"]
    assert files("out") == names and [level(f"out/{x}") for x in names] == [50, 55, 60, 65]
    encoded = stylizer.encoded
    assert "4 were there already" in din_jax(*command).out
    assert (stylizer.painted, stylizer.encoded) == (4, encoded)  # nothing to wait for
    # What is missing or changed is painted; a setting changes all; --overwrite forces.
    os.remove("out/p2--a.png")
    picture("photos/sub/p3.png", 90)
    assert "2 were there already" in din_jax(*command).out and stylizer.painted == 6
    assert level("out/sub/p3--a.png") == 95
    for change in (["--strength", "0.5"], ["--color", "luminance"], ["--levels", "level1=0.5"]):
        before = stylizer.painted
        din_jax(*command, *change)
        din_jax(*command, *change, "--batch", "2", "--tile", "512")
        assert stylizer.painted == before + 4, change
    before = stylizer.painted
    din_jax(*command, *change, "--overwrite")
    assert stylizer.painted == before + 4
    picture("a.png", 120)
    din_jax(*command)
    assert stylizer.painted == before + 8
    # Of another bank a style of that name is another.
    for code in (1.0, 2.0):
        stylizer.bank = {"waves": {"level1": np.full((1, 1), code)}}
        before = stylizer.painted
        din_jax("stylize", "photos", "-s", "waves", "-o", "banked")
        din_jax("stylize", "photos", "-s", "waves", "-o", "banked")
        assert stylizer.painted == before + 4
    stylizer.bank = {}
    # Results among the contents are not contents, nor is the folder of results.
    assert din_jax("stylize", "photos", "-s", "a.png", "-o", "photos").out.startswith("4 ")
    assert din_jax("stylize", "photos", "-s", "a.png", "-o", "photos").out.startswith("4 ")
    assert len(files("photos")) == 8
    assert din_jax("stylize", ".", "-s", "waves").status == 0
    assert len(files("stylized")) == len(files(".")) - len(files("stylized"))
    count = len(files("stylized"))
    assert f"({count} were there already)" in din_jax("stylize", ".", "-s", "waves").out


def test_bad_files_cost_the_others_nothing_and_all_are_named(din_jax, folder, stylizer):
    for name in ("x1.jpg", "x2.png", "x3.gif"):
        (folder / "photos" / name).write_bytes(b"no picture")
    stylizer.failing = fails_at(35)  # p4, a picture that the network refuses
    command = ["stylize", "photos", "--style", "a.png", "-o", "out"]
    done = din_jax(*command)
    assert done.status == 1 and files("out") == ["p1--a.png", "p2--a.png", "sub/p3--a.png"]
    head, *sentences = done.err.splitlines()
    assert head == "error: 4 of 7 could not be painted:" and len(sentences) == 4
    for name in ("x1.jpg", "x2.png", "x3.gif"):
        assert sum(f"photos/{name}'" in line for line in sentences) == 1
    assert "  too high." in sentences
    stylizer.failing = None
    again = din_jax(*command)
    assert again.status == 1 and "3 of 7" in again.err and "3 were there already" in again.out


def test_links_to_nowhere_cost_the_others_nothing(din_jax, folder):
    os.symlink("nowhere.jpg", "photos/broken.jpg")
    os.symlink("loop.png", "photos/loop.png")
    done = din_jax("stylize", "photos", "--style", "a.png", "-o", "out")
    assert done.status == 1 and len(files("out")) == 4
    head, *sentences = done.err.splitlines()
    assert head == "error: 2 of 6 could not be painted:" and len(sentences) == 2
    assert "'photos/broken.jpg' does not exist." in sentences[0]
    assert "'photos/loop.png' cannot be reached (Too many levels" in sentences[1]
    os.remove("photos/broken.jpg")
    picture("photos/broken.jpg", 50)
    assert "4 were there already" in din_jax("photos", "a.png", "-o", "out").out
    assert len(files("out")) == 5


def test_names_of_any_bytes_are_painted_printed_and_noted(din_jax, folder, monkeypatch):
    for i, name in enumerate([b"caf\xe8.png", b"caf\xe9.png", b"s\xff/in.png"]):
        path = folder / "bytes" / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(picture("x.png", 10 * i), path)
    command = ["stylize", "bytes", "--style", "a.png", "-o", "out"]
    told = json.loads(din_jax(*command, "--json").out)
    assert [x["input"].encode("utf-8", "surrogateescape") for x in told["outputs"]] == [
        b"bytes/caf\xe8.png", b"bytes/caf\xe9.png", b"bytes/s\xff/in.png",
    ]  # fmt: skip
    assert [level(x["output"]) for x in told["outputs"]] == [50, 55, 60]
    assert sorted(map(os.fsencode, files("out"))) == [
        b"caf_--a.png", b"caf_-2--a.png", b"s\xff/in--a.png",
    ]  # fmt: skip
    assert "3 were there already" in din_jax(*command).out
    # One path alone is printed as it is, for whoever reads it as a path.
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.argv", ["din-jax", "a.png", "b.png", "-o", os.fsdecode(b"\xe9.png")])
    assert commands.main() == 0 and out.buffer.getvalue() == b"\xe9.png\n"


@pytest.mark.parametrize("content, style", [("{}", "a.png"), ("a.png", "{}")])
def test_a_pipe_with_a_name_is_told_to_be_a_dash(din_jax, folder, content, style):
    end, other = os.pipe()
    os.write(other, (folder / "b.png").read_bytes())
    os.close(other)
    pipe = f"/dev/fd/{end}"
    done = din_jax("stylize", content.format(pipe), "-s", style.format(pipe), "-o", "x.png")
    os.close(end)
    assert done.status in (1, 2) and done.err.count("\n") == 1
    assert f"'{pipe}' is a pipe" in done.err and "as '-'" in done.err


def fails_at(height):
    def failing(picture):
        if picture.height == height:
            raise UserError("too high.")

    return failing


def test_json_is_the_only_thing_on_stdout(din_jax, folder):
    (folder / "photos/x.png").write_bytes(b"")
    command = ["stylize", "photos", "--style", "a.png", "waves", "-o", "out", "--json"]
    done = din_jax(*command)
    told = json.loads(done.out)
    assert done.status == 1 and "is empty" in done.err
    first = told["outputs"][0]
    assert first["input"] == "photos/p1.png" and first["style"] == ["a", "waves"]
    assert first["output"] == "out/p1--a+waves.png" and not first["kept"]
    assert [(x["width"], x["height"]) for x in told["outputs"]] == [(40, 32 + i) for i in range(4)]
    assert [x["input"] for x in told["failed"]] == ["photos/x.png"] and told["left"] == []
    assert level("out/p1--a+waves.png") == 75
    again = json.loads(din_jax(*command).out)
    assert all(x["kept"] and x["width"] == 40 for x in again["outputs"])


def test_each_style_by_itself_and_a_sheet_of_all(din_jax, folder, stylizer):
    command = ["stylize", "photos", "-s", "a.png", "b.png", "waves", "--each", "-o", "out"]
    command += ["--sheet", "out/sheet.png"]
    done = din_jax(*command)
    assert done.status == 0 and stylizer.painted == 12
    assert [level(f"out/sub/p4--{x}.png") for x in ("a", "b", "waves")] == [65, 115, 115]
    sheet = opened("out/sheet.png")
    pixels = np.asarray(sheet)
    assert din_jax(*command).status == 0 and stylizer.painted == 12
    np.testing.assert_array_equal(np.asarray(opened("out/sheet.png")), pixels)
    # Four columns of 40 px, five rows, 4 px between.
    assert sheet.size == (4 + 4 * 44, 5 * 4 + 32 + 32 + 33 + 34 + 35 + 4)
    # Of nothing but bad pictures there is a sheet too.
    (folder / "bad.png").write_bytes(b"")
    bad = din_jax("stylize", "bad.png", "-s", "a.png", "--sheet", "bad-sheet.png")
    assert bad.status == 1 and "bad.png' must be a picture" in bad.err
    for color, painted in (("match", [65, 115]), ("luminance", [65, 115])):
        din_jax(
            "stylize", "photos", "-s", "a.png", "b.png", "--each", "--color", color, "-o", color
        )
        assert [level(f"{color}/sub/p4--{x}.png") for x in ("a", "b")] == painted
    picture("mine.png", 5)
    refused = din_jax(*command[:-1], "mine.png")
    assert refused.status == 2 and "'mine.png' is there already" in refused.err


def test_controls_reach_the_stylizer(din_jax, folder, stylizer):
    din_jax(
        "stylize", "a.png", "-s", "a.png", "b.png", "--weights", "2", "1", "--strength", "0.5",
        "--levels", "level1=0.25", "--seamless", "--tile", "64", "--model", "runs/x", "--step", "7",
    )  # fmt: skip
    (options,) = stylizer.options
    assert options == {
        "weights": [2, 1], "masks": None, "feather": 0.0, "strength": 0.5,
        "levels": {"level1": 0.25}, "color": "style", "seamless": True, "tile": 64,
    }  # fmt: skip
    assert stylizer.loading["path"] == "runs/x" and stylizer.loading["step"] == "7"
    din_jax("stylize", "a.png", "-s", "a.png", "b.png", "--mask", "b.png", "--feather", "3",
            "-o", "masked.png")  # fmt: skip
    assert stylizer.options[1]["feather"] == 3
    assert stylizer.options[1]["masks"] == [(folder / "b.png").read_bytes()]
    din_jax("stylize", "a.png", "-s", "b.png", "--color", "match", "--scale", "99", "-o", "m.png")
    assert stylizer.options[2]["scale"] == 99 and level("m.png") == 150


def test_standard_input_and_output(din_jax, folder, monkeypatch):
    def through(*arguments):
        pipe = types.SimpleNamespace(buffer=io.BytesIO((folder / "b.png").read_bytes()))
        out = io.TextIOWrapper(io.BytesIO())
        monkeypatch.setattr("sys.stdin", pipe)
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", out)
            patch.setattr("sys.argv", ["din-jax", *arguments])
            assert commands.main() == 0
        return Image.open(io.BytesIO(out.buffer.getvalue()))

    found = through("stylize", "-", "--style", "a.png", "--format", "webp")
    assert found.format == "WEBP" and abs(np.asarray(found).mean() - 150) < 2
    found = through("-", "a.png", "-o", "-")
    assert found.format == "PNG" and level("b.png") == 200
    assert np.asarray(found).mean() == 150
    found = through("stylize", "a.png", "--style", "-", "-o", "-")
    assert np.asarray(found).mean() == 150
    assert len(files(".")) == 6


def test_a_full_disk_ends_all_and_an_unwritable_folder_is_told(din_jax, folder, monkeypatch):
    real = type(folder).write_bytes

    def full(path, data):
        if "p2--a" in path.name:
            raise OSError(28, "No space left on device")
        return real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(type(folder), "write_bytes", full)
        done = din_jax("stylize", "photos", "-s", "a.png", "-o", "out", "--batch", "1")
    assert done.status == 1 and "'out/p2--a.png' cannot be written (No space left" in done.err
    assert "not begun, since nothing more can be written: 'photos/sub/p4.png'." in done.err
    assert [x for x in files("out") if "partial" in x] == []
    assert din_jax("stylize", "photos", "-s", "a.png", "-o", "out").status == 0
    done = din_jax("stylize", "photos", "-s", "a.png", "-o", "a.png/out")
    assert done.status == 2 and "must be one to write to" in done.err


def test_nothing_is_read_for_outputs_that_cannot_be_written(din_jax, folder, stylizer):
    """Before a style is encoded, which with --tune takes minutes; and no folder is left."""
    done = din_jax("stylize", "photos", "-s", "a.png", "-o", "a.png/out.png/deep")
    assert done.status == 2 and "must be one to write to" in done.err
    done = din_jax("stylize", "a.png", "-s", "b.png", "-o", "/proc/nowhere/out.png")
    assert done.status == 2 and "'/proc/nowhere' must be one to write to" in done.err
    assert stylizer.encoded == 0 and sorted(os.listdir()) == ["a.png", "b.png", "photos"]


def test_a_sheet_replaces_no_earlier_output_nor_goes_to_stdout(din_jax, folder, monkeypatch):
    assert din_jax("a.png", "b.png", "-o", "out").status == 0
    again = ["b.png", "a.png", "-o", "out", "--sheet", "out/a--b.png"]
    done = din_jax(*again)
    assert done.status == 2 and "place of an output" in done.err and level("out/a--b.png") == 150
    assert din_jax(*again, "--overwrite").status == 0 and opened("out/a--b.png").size != (32, 32)
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.argv", ["din-jax", "a.png", "b.png", "-o", "-", "--sheet", "all.png"])
    assert commands.main() == 0 and out.buffer.getvalue().count(b"IEND") == 1
    assert opened("all.png").size != (32, 32)


def test_a_sheet_that_cannot_be_written_costs_no_report(din_jax, folder, monkeypatch):
    (folder / "photos/x.png").write_bytes(b"")
    real = type(folder).write_bytes

    def full(path, data):
        if "sheet" in path.name:
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(type(folder), "write_bytes", full)
    command = ["stylize", "photos", "-s", "a.png", "-o", "out", "--sheet", "sheet.png", "--json"]
    done = din_jax(*command)
    told = json.loads(done.out)
    assert done.status == 1 and len(told["outputs"]) == 4 and len(told["failed"]) == 1
    assert "'photos/x.png'" in done.err
    assert "the sheet could not be made: 'sheet.png' cannot be written (No space" in done.err
    (folder / "photos/x.png").unlink()
    assert din_jax(*command).status == 1


def test_a_users_file_is_kept_and_told_and_the_rest_painted(din_jax, folder):
    picture("out/p2--a.png", 7)
    done = din_jax("stylize", "photos", "-s", "a.png", "-o", "out")
    assert done.status == 1 and level("out/p2--a.png") == 7 and len(files("out")) == 4
    assert "'out/p2--a.png' is there already" in done.err


def test_hostile_and_unusual_pictures(din_jax, folder):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 60, 3), np.uint8)
    image = Image.fromarray(pixels)
    os.mkdir("odd")
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone held upright: turned by 90 degrees
    image.save("odd/phone.jpg", exif=exif)
    image.convert("CMYK").save("odd/cmyk.jpg")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save("odd/deep.png")
    image.convert("RGBA").save("odd/alpha.png")
    image.save("odd/anim.gif", save_all=True, append_images=[image.rotate(180)])
    image.save("odd/anim.webp", save_all=True, append_images=[image.rotate(180)])
    image.save("odd/wrong.gif", format="JPEG")
    Image.new("1", (9_500, 9_500)).save("odd/bomb.png")
    Image.new("L", (50_000, 1)).save("odd/thin.png")
    (folder / "odd/text.jpg").write_text("<html>")
    done = din_jax("stylize", "odd", "-s", "a.png", "-o", "out")
    assert done.status == 1
    head, *sentences = [x for x in done.err.splitlines() if not x.startswith("note: ")]
    assert head == "error: 3 of 10 could not be painted:" and len(sentences) == 3
    for name in ("bomb", "thin", "text"):
        assert sum(f"odd/{name}." in line for line in sentences) == 1
    notes = [x for x in done.err.splitlines() if x.startswith("note: ")]
    assert len(notes) == 2 and all("its first frame is painted" in x for x in notes)
    sizes = {name: opened(f"out/{name}").size for name in files("out")}
    assert sizes.pop("phone--a.png") == (40, 60) and set(sizes.values()) == {(60, 40)}
    assert opened("out/alpha--a.png").mode == "RGBA"
    done = din_jax("stylize", "odd/alpha.png", "-s", "a.png", "-o", "flat.jpg")
    assert done.status == 0 and opened("flat.jpg").mode == "RGB"


@pytest.mark.parametrize(
    "arguments, match",
    [
        (["photos", "-s", "a.png", "--json", "-o", "-"], "not both"),
        (["photos", "-s", "a.png", "-o", "one.png"], "'one.png' takes one output, not 4"),
        (["a.png", "-s", "nowhere.png"], "there is no style 'nowhere.png'"),
        (["a.png", "-s", "a.png", "b.png", "--each", "--weights", "1", "1"], "--each does not"),
        (["a.png", "-s", "a.png", "b.png", "--weights", "1"], "2 styles need 2 weights"),
        (["a.png", "-s", "a.png", "--strength", "2"], "strength"),
        (["a.png", "-s", "a.png", "--levels", "level1"], "LEVEL=STRENGTH"),
        (["a.png", "-s", "a.png", "--levels", "level9=1"], "level9"),
        (["a.png", "-s", "a.png", "--mask", "nowhere.png"], "there is no mask"),
        (["a.png", "-s", "a.png", "b.png", "--mask", "a.png", "a.png", "a.png"], "need 2 masks"),
        (["a.png", "-s", "waves", "--color", "match"], "--color match"),
        (["a.png", "-s", "a.png", "--quality", "0"], "--quality 1 to 100"),
        (["a.png", "-s", "a.png", "--sheet", "x.txt"], "--sheet must end in"),
        (["-", "-s", "-", "-o", "x.png"], "once only"),
        (["a.png", "-s", "a.png", "--format", "bmp"], "invalid choice"),
        (["a.png", "-s", "a.png", "-o", "x.png", "--format", "jpg"], "give one"),
        (["photos", "-s", "mosiac", "-o", "out"], "neither a picture nor a style"),
        (["a.png"], "required: --style"),
        (["--style", "a.png", "b.png"], "required: CONTENT"),
        (["a.png", "-s", "photos/sub/../p1.jpg"], "did you mean 'p1.png'"),
        (["", "-s", "a.png"], "the name of a content is empty"),
        (["a.png", "-s", ""], "the name of a style is empty"),
        (["a.png", "-s", "a.png", "--scale", "100000"], "--scale must be 32 to 4096 px, or 0"),
        (["a.png", "-s", "a.png", "--sheet", "b.png/x.png"], "'b.png/x.png' cannot be written"),
        (["photos", "-s", "a.png", "-o", "o", "--sheet", "./o/p2--a.png"], "place of an output"),
        (["a.png", "-s", "a.png", "-o", "x.png", "--sheet", "x.png"], "place of an output"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(din_jax, folder, stylizer, arguments, match):
    done = din_jax("stylize", *arguments)
    assert done.status == 2 and match in done.err, done.err
    assert done.err.startswith("error: ") and done.err.count("\n") == 1 and done.out == ""
    assert stylizer.painted == 0 and len(files(".")) == 6
    assert sorted(os.listdir()) == ["a.png", "b.png", "photos"]


@pytest.mark.slow
def test_the_included_model_paints_as_in_python(folder, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name in ("c", "s", "mask"):
        save_image(f"{name}.png", rng.integers(0, 256, (40, 48, 3), np.uint8))
    given = ["c.png", "--style", "s.png", "waves", "--mask", "mask.png", "--feather", "2"]
    given += ["--strength", "0.6", "--color", "luminance", "--bucket", "0", "-o", "out.png"]
    monkeypatch.setattr("sys.argv", ["din-jax", "stylize", *given])
    assert commands.main() == 0 and capsys.readouterr().out == "out.png\n"
    expected = Stylizer.load().stylize(
        "c.png", ["s.png", "waves"], masks=["mask.png"], feather=2, strength=0.6, color="luminance"
    )
    np.testing.assert_array_equal(np.asarray(opened("out.png")), np.asarray(expected))
