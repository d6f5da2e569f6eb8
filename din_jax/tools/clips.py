"""Videos for `din-jax stylize`: frames painted in batches, the sound copied, whole or not there."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from din_jax.data.video import Frame, VideoReader, batches_of
from din_jax.data.video_writer import VideoWriter
from din_jax.inference.steady import SteadyEngine
from din_jax.inference.stylizer import Stylizer

Paint = Callable[[list[np.ndarray]], list[np.ndarray]]


def paint_video(
    source: VideoReader,
    partial: Path,
    kind: str,
    paint: Paint,
    *,
    batch: int,
    advance: Callable[[int], object] = lambda count: None,
) -> None:
    """Paints every frame into a new file with the source's frame times and sound.

    While some frames are painted, the next are read and the ones before are encoded.

    Args:
      source: the video.
      partial: file to write.
      kind: suffix of its format.
      paint: as many pictures as it is given, uint8 [H, W, 3]; always called with `batch` of them,
        so that one program is compiled.
      batch: frames at once.
      advance: told of the number of frames painted.
    """
    # The writer's end waits for what is being read and written; so it is the outer one.
    with VideoWriter(partial, kind, source) as writer:
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
            parts = batches_of(iter(source), batch)
            ahead = reading.submit(next, parts, None)
            behind = None
            while (found := ahead.result()) is not None:
                ahead = reading.submit(next, parts, None)
                frames, packets = found
                pictures = [frame.picture for frame in frames]
                filled = pictures + pictures[-1:] * (batch - len(pictures)) if pictures else []
                painted = paint(filled)[: len(frames)] if filled else []
                if behind is not None:
                    behind.result()
                done = [Frame(x, f.time) for x, f in zip(painted, frames, strict=True)]
                behind = writing.submit(_write, writer, done, packets)
                advance(len(frames))
            if behind is not None:
                behind.result()


def steadied(stylizer: Stylizer, seconds: float, rate: float) -> SteadyEngine | None:
    """An engine that averages statistics over so many seconds of a clip; None for 0."""
    if not seconds:
        return None
    return SteadyEngine(stylizer.engine, math.exp(-1 / (rate * seconds)))


def _write(writer: VideoWriter, frames, packets):
    for packet in packets:
        writer.copy(packet)
    for frame in frames:
        writer.write(frame)
