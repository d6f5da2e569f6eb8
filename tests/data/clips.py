"""Short drawn clips for tests, written by PyAV itself."""

from fractions import Fraction

import numpy as np

CLOCK = Fraction(1, 90000)
TIMES = [0, 3600, 7200, 18000, 21600, 25200, 28800, 36000]  # a gap after the third
COLORS = np.array([[200, 60, 30], [30, 160, 60], [40, 70, 190], [128, 128, 128]], np.uint8)


def drawn_frame(i, height=48, width=64):
    """Four quarters of plain color, a white corner, and a column that moves."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[: height // 2, : width // 2] = COLORS[0]
    frame[: height // 2, width // 2 :] = COLORS[1]
    frame[height // 2 :, : width // 2] = COLORS[2]
    frame[height // 2 :, width // 2 :] = COLORS[3]
    frame[:8, :8] = 255
    frame[:, 16 + 4 * i : 20 + 4 * i] = 0
    return frame


def write_clip(
    path, *, times=TIMES, size=(48, 64), sound="aac", rotation=0, codec="libx264", aspect=None
):
    """A clip with a frame at each of the times, and as much sound."""
    import av

    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = CLOCK if codec == "libx264" else Fraction(1, 25)
        video.codec_context.options = {"crf": "4"}
        if aspect:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(rotation)
        audio = out.add_stream(sound, rate=44100, layout="mono") if sound else None
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(drawn_frame(i, *size), format="rgb24")
            frame.pts = round(time * CLOCK / video.codec_context.time_base)
            frame.time_base = video.codec_context.time_base
            out.mux(video.encode(frame))
        out.mux(video.encode())
        if audio:
            samples = np.sin(np.arange(17640) / 10) * 8000
            frame = av.AudioFrame.from_ndarray(
                samples.astype(np.int16)[None], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 44100, 0
            resampler = av.AudioResampler(audio.codec_context.format, "mono", 44100)
            for part in resampler.resample(frame):
                out.mux(audio.encode(part))
            out.mux(audio.encode())
    return path


def described(path):
    """(frames, seconds of each, bytes of each packet of sound, seconds of each of those)."""
    import av

    with av.open(str(path)) as found:
        video = found.streams.video[0]
        frames, times = [], []
        for frame in found.decode(video):
            frames.append(frame.to_ndarray(format="rgb24"))
            times.append(frame.pts * frame.time_base)
    packets, starts = [], []
    with av.open(str(path)) as found:
        for packet in found.demux(found.streams.audio):
            if packet.dts is not None:
                packets.append(bytes(packet))
                starts.append(packet.pts * packet.time_base)
    return frames, times, packets, starts
