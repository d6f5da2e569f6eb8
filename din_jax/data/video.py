"""Video files."""

from pathlib import Path

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


def is_video(path: Path | None) -> bool:
    """Whether a file is a video, by its name."""
    return path is not None and path.suffix.lower() in VIDEO_SUFFIXES
