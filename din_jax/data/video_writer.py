"""Videos written through PyAV, with the frame times and the sound of the one they are made of."""

import contextlib
import errno
from fractions import Fraction
from pathlib import Path

import numpy as np

from din_jax.data.video import (
    FORMATS,
    Frame,
    VideoError,
    VideoReader,
    import_av,
    interpolation_of,
    matrix_of,
)

_LIMITED = 1  # range of colors, of ISO/IEC 23091-2
_LARGEST_MPEG4_CLOCK = 65535


class VideoWriter:
    """A video with the frame times, the shape of pixels, the colors and the sound of another.

    H.264 where FFmpeg has it, else MPEG-4 part 2, both yuv420p: of odd sides the last row or column
    is left out.

    Args:
      path: the file to write.
      kind: suffix of the format: ".mp4", ".mov" or ".mkv".
      source: the video that frames, times and packets come from.

    Raises:
      VideoError: the format cannot hold the source's sound.
    """

    def __init__(self, path: Path, kind: str, source: VideoReader):
        self._av = av = import_av()
        self._path, self._source = path, source
        options = {} if kind == ".mkv" else {"movflags": "+faststart"}
        self._container = av.open(str(path), "w", format=FORMATS[kind], options=options)
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        self._stream = stream = self._container.add_stream(codec, rate=source.rate)
        stream.width, stream.height = (side - side % 2 for side in source.size)
        stream.pix_fmt = "yuv420p"
        clock = source.clock
        if codec == "mpeg4" and clock.denominator > _LARGEST_MPEG4_CLOCK:
            clock = Fraction(1, _LARGEST_MPEG4_CLOCK)
        context = stream.codec_context
        context.time_base = self._clock = clock
        context.options = {"crf": "18"} if codec == "libx264" else {"q": "2"}
        context.color_primaries, context.color_trc, context.colorspace = source.colors
        context.color_range = _LIMITED
        if source.aspect is not None:
            context.sample_aspect_ratio = source.aspect
        self._matrix = matrix_of(av, source.colors)
        self._last = None
        try:
            self._sounds = {
                sound: self._container.add_stream_from_template(sound) for sound in source.sounds
            }
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            self._container.close()
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise
            kinds = ", ".join(sound.codec_context.name for sound in source.sounds)
            raise VideoError(
                f"the sound of '{source.path}' ({kinds or 'none'}) cannot be copied to a {kind} "
                "file; write a .mkv."
            ) from error

    def write(self, frame: Frame):
        """Encodes a frame; one that comes no later than the one before is left out."""
        time = round(frame.time * self._source.clock / self._clock)
        if self._last is not None and time <= self._last:
            return
        self._last = time
        height, width = self._stream.height, self._stream.width
        picture = np.ascontiguousarray(frame.picture[:height, :width])
        encoded = self._av.VideoFrame.from_ndarray(picture, format="rgb24")
        encoded = encoded.reformat(
            format="yuv420p",
            dst_colorspace=self._matrix,
            interpolation=interpolation_of(self._av),
        )
        encoded.pts, encoded.time_base = time, self._clock
        self._container.mux(self._stream.encode(encoded))

    def copy(self, packet):
        """Writes a packet of the source's sound as it is."""
        packet.stream = self._sounds[packet.stream]
        self._container.mux(packet)

    def finish(self):
        """Writes what the encoder still holds, and the file's end."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.finish()
        else:
            with contextlib.suppress(Exception):  # of a file that is thrown away
                self._container.close()
