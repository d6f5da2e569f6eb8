"""A video read and written again: the same frames at the same times, and the same sound."""

from fractions import Fraction

import numpy as np
import pytest

from din_jax.data.video import (
    Frame,
    VideoError,
    VideoReader,
    batches_of,
    import_av,
    is_video,
)
from din_jax.data.video_writer import VideoWriter

from .clips import TIMES, described, drawn_frame, write_clip

av = pytest.importorskip("av", reason="videos need PyAV: pip install av")


def copied(source, target, kind, batch=3):
    """Writes a video again as it is."""
    with VideoReader(source) as reader, VideoWriter(target, kind, reader) as writer:
        for frames, packets in batches_of(iter(reader), batch):
            assert len(frames) <= batch
            for packet in packets:
                writer.copy(packet)
            for frame in frames:
                writer.write(frame)
    return target


@pytest.mark.parametrize("name, kind", [("a.mp4", ".mp4"), ("a.mkv", ".mkv"), ("a.mov", ".mov")])
def test_frames_times_and_sound_are_kept(tmp_path, name, kind):
    source = write_clip(tmp_path / name)
    frames, times, packets, starts = described(source)
    got_frames, got_times, got_packets, got_starts = described(
        copied(source, tmp_path / "copy.partial", kind)
    )
    assert got_times == times and got_packets == packets and got_starts == starts
    assert len(frames) == len(TIMES) and len(packets) > 10
    for a, b in zip(frames, got_frames, strict=True):
        # Once more through H.264; colors by another matrix would be off by 10 and more.
        assert np.abs(a.astype(int) - b).mean() < 4
        for y, x in ((14, 2), (10, 50), (30, 2), (30, 50)):
            before, after = (z[y : y + 8, x : x + 8].mean((0, 1)) for z in (a, b))
            assert np.abs(before - after).max() < 1.5


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
@pytest.mark.parametrize("threads", [1, 8])
def test_short_videos_lose_no_frame(tmp_path, monkeypatch, count, threads):
    """A decoder of many threads gives its first frames together, at the end of a short video."""
    source = write_clip(tmp_path / "a.mp4", times=TIMES[:count], sound="")
    opened = av.open

    def of_threads(*args, **options):
        container = opened(*args, **options)
        if len(args) == 1:
            container.streams.video[0].codec_context.thread_count = threads
        return container

    monkeypatch.setattr(av, "open", of_threads)
    with VideoReader(source) as reader:
        frames = [part.picture for part in reader]
    assert len(frames) == count
    for i, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - drawn_frame(i)).mean() < 4


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path, monkeypatch):
    """As a stream may change its size: to what the file begins with, up and down."""
    source = write_clip(tmp_path / "a.mp4", times=TIMES[:3], sound="")
    for size in ((96, 128), (24, 32)):
        with VideoReader(source) as reader:
            (first, *_) = list(reader)
            picture = np.repeat(np.repeat(drawn_frame(0), 4, 0), 4, 1)[:: 192 // size[0]]
            other = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(picture[:, :: 256 // size[1]]), format="rgb24"
            )
            other.pts = 0
            found = reader._frame(other).picture
        assert found.shape == first.picture.shape
        assert np.abs(found.astype(int) - first.picture).mean() < 8


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_frames_are_read_as_they_are_shown(tmp_path, rotation):
    source = write_clip(tmp_path / "turned.mp4", rotation=rotation, sound="")
    with VideoReader(source) as reader:
        first = next(part for part in reader if isinstance(part, Frame))
        assert reader.size == ((48, 64) if rotation % 180 else (64, 48))
    # Turned counterclockwise by the angle; the white corner tells.
    expected = np.rot90(drawn_frame(0), rotation // 90)
    assert first.picture.shape == expected.shape
    assert np.abs(first.picture.astype(int) - expected).mean() < 4


@pytest.mark.parametrize("rotation, expected", [(0, 16 / 11), (90, 11 / 16)])
@pytest.mark.parametrize("codec, kind", [("libx264", ".mp4"), ("mpeg4", ".mkv")])
def test_pixels_keep_their_shape(tmp_path, monkeypatch, rotation, expected, codec, kind):
    """As DV and DVD have them; a program that shows the copy shows it as wide as the source."""
    source = write_clip(
        tmp_path / "a.mp4", aspect=Fraction(16, 11), rotation=rotation, sound="", times=TIMES[:3]
    )
    monkeypatch.setattr(av, "codecs_available", {codec})
    with av.open(str(copied(source, tmp_path / "copy", kind))) as found:
        assert found.streams.video[0].sample_aspect_ratio == pytest.approx(expected, rel=1e-3)


def test_odd_sides_lose_a_row_or_column(tmp_path):
    source = write_clip(tmp_path / "a.mp4", sound="")
    with VideoReader(source) as reader:
        reader.size = (63, 47)
        with VideoWriter(tmp_path / "odd.mp4", ".mp4", reader) as writer:
            for frame in reader:
                writer.write(frame._replace(picture=frame.picture[:47, :63]))
    frames, times, *_ = described(tmp_path / "odd.mp4")
    assert frames[0].shape == (46, 62, 3) and len(times) == len(TIMES)


def test_without_h264_it_is_mpeg4(tmp_path, monkeypatch):
    source = write_clip(tmp_path / "a.mp4")
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    target = copied(source, tmp_path / "b.mp4", ".mp4")
    with av.open(str(target)) as found:
        assert found.streams.video[0].codec_context.name == "mpeg4"
    _, times, packets, _ = described(target)
    expected = described(source)
    assert packets == expected[2]
    assert [float(x) for x in times] == pytest.approx([float(x) for x in expected[1]], abs=1e-4)


def test_sound_that_a_format_cannot_hold_is_one_sentence(tmp_path):
    source = write_clip(tmp_path / "a.mkv", sound="pcm_u8")
    with pytest.raises(VideoError, match=r"the sound of .*pcm_u8.* cannot be copied to a .mp4"):
        copied(source, tmp_path / "b.mp4", ".mp4")
    assert described(copied(source, tmp_path / "b.mkv", ".mkv"))[2] == described(source)[2]


def test_hostile_files_are_one_sentence(tmp_path):
    whole = write_clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "secret.mp4").write_bytes(whole)
    bad = {
        "empty.mp4": b"",
        "text.mp4": b"no video at all",
        "cut.mp4": whole[:900],
        "list.mp4": b"#EXTM3U\n#EXTINF:1,\nsecret.mp4\n",
        "concat.mp4": b"ffconcat version 1.0\nfile secret.mp4\n",
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(VideoError) as caught, VideoReader(tmp_path / name) as reader:
            list(reader)
        assert name in str(caught.value) and "\n" not in str(caught.value), name
    with pytest.raises(VideoError, match="gone.mp4"):
        VideoReader(tmp_path / "gone.mp4")


def test_large_frames_are_refused(tmp_path, monkeypatch):
    source = write_clip(tmp_path / "a.mp4")
    monkeypatch.setattr("din_jax.data.video.MAX_FRAME_PIXELS", 64 * 47)
    with pytest.raises(VideoError, match="at most 3008 px, but have 64 x 48"):
        VideoReader(source)


def test_sound_alone_is_no_video_and_does_not_gather(tmp_path, monkeypatch):
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        audio = out.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        out.mux(audio.encode(frame))
        out.mux(audio.encode())
    with pytest.raises(VideoError, match="holds no pictures"):
        VideoReader(tmp_path / "a.mp4")
    with VideoReader(write_clip(tmp_path / "b.mp4")) as reader:
        monkeypatch.setattr("din_jax.data.video.MAX_SOUND_BYTES", 100)
        batches = list(batches_of(iter(reader), 8))
    assert len(batches) > 2 and sum(len(frames) for frames, _ in batches) == len(TIMES)
    with pytest.raises(VideoError, match="holds no frame"):
        VideoReader(tmp_path / "b.mp4")  # so much sound before the first one


def test_a_full_disk_is_the_systems_error(tmp_path):
    source = write_clip(tmp_path / "a.mp4")
    with pytest.raises(OSError) as caught:
        copied(source, "/dev/full", ".mkv")
    assert caught.value.errno == 28


def test_without_pyav_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(VideoError, match=r"din_jax\[video\]"):
        import_av()


def test_videos_are_known_by_suffix(tmp_path):
    assert is_video(tmp_path / "A.MOV") and not is_video(tmp_path / "a.png") and not is_video(None)
