"""Videos read through PyAV: frames upright and in RGB, their times, and packets of their sound.

PyAV is the extra `video`; nothing else here needs it, so it is imported where it is used.
"""

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from din_jax.errors import UserError

# Suffix of a file that is read to that of one that holds the same kinds of sound.
WRITTEN_AS = {".mp4": ".mp4", ".m4v": ".mp4", ".mov": ".mov", ".mkv": ".mkv"}
WRITTEN_AS |= {".webm": ".mkv", ".avi": ".mkv"}
VIDEO_SUFFIXES = tuple(WRITTEN_AS)
MAX_FRAME_PIXELS = 7680 * 4320
MAX_SOUND_BYTES = 1 << 26  # of packets between two frames

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffixes that are written, to FFmpeg's names of the formats."""

# What may be opened: files, of kinds that name no other files (as play lists do).
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi",
    "protocol_whitelist": "file",
}
_UNSPECIFIED, _BT709, _SMPTE170M = 2, 1, 6  # of ISO/IEC 23091-2
_HD_ROWS = 720  # from here on an unspecified matrix is BT.709's


class VideoError(UserError):
    """A file that is no usable video, or a video that cannot be written as asked."""


class Frame(NamedTuple):
    """A picture of a video.

    Attributes:
      picture: uint8 [H, W, 3], upright.
      time: in units of the video's clock.
    """

    picture: np.ndarray
    time: int


def is_video(path: Path | None) -> bool:
    """Whether a file is a video, by its name."""
    return path is not None and path.suffix.lower() in VIDEO_SUFFIXES


def import_av() -> Any:
    """PyAV.

    Raises:
      VideoError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise VideoError(
            "videos are read and written by PyAV, which is not installed: pip install "
            "'din_jax[video]', or pip install av."
        ) from error
    return av


class VideoReader:
    """An open video: its frames in order, and the packets of its sound between them.

    Args:
      path: an MP4, MOV, Matroska, WebM or AVI file.

    Attributes:
      size: (width, height) in px, upright.
      aspect: width by height of a pixel, upright; None where the file does not say.
      clock: seconds of a unit of time.
      rate: frames a second, on average.
      frames: how many there are, as the file says or by its length; 0 where neither is known.
      colors: numbers of primaries, transfer and matrix of its colors, by ISO/IEC 23091-2.
      sounds: streams of sound.

    Raises:
      VideoError: no such video; the sentence says why.
    """

    def __init__(self, path: Path):
        self._av = import_av()
        self.path = path
        with self._told():
            self._container = self._av.open(str(path), options=dict(_OPTIONS))
        try:
            with self._told():
                self._describe()
        except BaseException:
            self._container.close()
            raise

    def _describe(self):
        stream = self._container.streams.best("video")
        if stream is None:
            raise VideoError(f"'{self.path}' must be a video, but holds no pictures.")
        context = stream.codec_context
        if not 0 < context.width * context.height <= MAX_FRAME_PIXELS:
            raise VideoError(
                f"frames of '{self.path}' must have at most {MAX_FRAME_PIXELS} px, but have "
                f"{context.width} x {context.height}: scale it down first."
            )
        context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
        stream.thread_type = "AUTO"
        self._stream = stream
        self.sounds = list(self._container.streams.audio)
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        self.clock = Fraction(stream.time_base or 1 / self.rate)
        matrix = int(context.colorspace)
        if matrix == _UNSPECIFIED:
            matrix = _BT709 if context.height >= _HD_ROWS else _SMPTE170M
        found = (int(context.color_primaries), int(context.color_trc))
        self.colors = (*(matrix if x == _UNSPECIFIED else x for x in found), matrix)
        length = stream.duration and stream.duration * self.clock
        if not length and self._container.duration:
            length = Fraction(self._container.duration, self._av.time_base)
        self.frames = stream.frames or round((length or 0) * self.rate)
        self._packets = self._container.demux([stream, *self.sounds])
        self._ready: list[Frame | Any] = []
        # One for both who read: what a packet decodes to beside a first frame is still in it.
        self._rest = self._parts()
        self._next_time = 0
        self._turned, self._decoded_size = False, (None, None)
        first = self._peek()
        self.size = first.picture.shape[1], first.picture.shape[0]
        aspect = stream.sample_aspect_ratio or None  # 0: unknown
        self.aspect = 1 / aspect if aspect and self._turned else aspect

    def _peek(self) -> Frame:
        """The first frame; it is given by `__iter__` as if it had not been looked at."""
        ready, held = [], 0
        for part in self._rest:
            ready.append(part)
            if isinstance(part, Frame):
                self._ready = ready
                return part
            held += part.size
            if held > MAX_SOUND_BYTES:
                break
        raise VideoError(f"'{self.path}' must be a video, but holds no frame.")

    def __iter__(self) -> Iterator["Frame | Any"]:
        """Frames, and packets of sound, in the order they are stored."""
        with self._told():
            yield from self._ready
            self._ready = []
            yield from self._rest

    def _parts(self) -> Iterator["Frame | Any"]:
        for packet in self._packets:
            if packet.stream is self._stream:
                for frame in packet.decode():
                    yield self._frame(frame)
            elif packet.dts is not None:  # else it is the empty one at the end
                yield packet

    def _frame(self, frame) -> Frame:
        if frame.width * frame.height > MAX_FRAME_PIXELS:
            raise VideoError(f"a frame of '{self.path}' has more than {MAX_FRAME_PIXELS} px.")
        time = self._next_time if frame.pts is None else frame.pts
        self._next_time = max(self._next_time, time) + max(1, round(1 / self.rate / self.clock))
        matrix = None if int(frame.colorspace) != _UNSPECIFIED else matrix_of(self._av, self.colors)
        width, height = self._decoded_size  # of the first, to which later ones are scaled
        rgb = frame.reformat(
            width, height, "rgb24", src_colorspace=matrix, interpolation=interpolation_of(self._av)
        ).to_ndarray()
        self._decoded_size = rgb.shape[1::-1]
        quarters = round(frame.rotation / 90)  # by which it is shown turned, counterclockwise
        self._turned = bool(quarters % 2)
        return Frame(np.ascontiguousarray(np.rot90(rgb, quarters)), time)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turns what decoding raises into one sentence."""
        try:
            yield
        except self._av.FFmpegError as error:
            raise VideoError(
                f"'{self.path}' must be a complete video (MP4, MOV, Matroska, WebM, AVI), but "
                f"reading it failed ({error.strerror}): replace or remove it."
            ) from error

    def close(self):
        self._container.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_):
        self.close()


def batches_of(
    parts: Iterator["Frame | Any"], batch: int
) -> Iterator[tuple[list[Frame], Sequence[Any]]]:
    """Frames, `batch` at a time or fewer, with the packets of sound that came among them."""
    frames, packets, held = [], [], 0
    for part in parts:
        if isinstance(part, Frame):
            frames.append(part)
        else:
            packets.append(part)
            held += part.size
        if len(frames) == batch or held > MAX_SOUND_BYTES:
            yield frames, packets
            frames, packets, held = [], [], 0
    if frames or packets:
        yield frames, packets


def interpolation_of(av) -> int:
    """How swscale is to round: its default makes a picture two levels darker each time."""
    kinds = av.video.reformatter.Interpolation
    return kinds.BICUBIC | kinds.ACCURATE_RND | kinds.FULL_CHR_H_INT | kinds.FULL_CHR_H_INP


def matrix_of(av, colors: tuple[int, int, int]):
    """What swscale calls the matrix of a video's colors."""
    kinds = av.video.reformatter.Colorspace
    known = {_BT709: kinds.ITU709, 4: kinds.FCC, 7: kinds.SMPTE240M, 9: kinds.BT2020}
    return known.get(colors[2], kinds.ITU601)
