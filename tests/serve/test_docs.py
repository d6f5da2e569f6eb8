"""docs/SERVE.md: what it shows with curl works as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from din_jax.data.decoding import load_image, save_image
from din_jax.serve.limits import Limits

from .serving import drawn

DOCS = Path(__file__).parents[2] / "docs" / "SERVE.md"
ADDRESS = "http://127.0.0.1:8000"


def commands(text):
    """What a user types in the blocks of `curl`s, in order."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = "".join(block for block in blocks if "curl" in block).replace("\\\n", " ").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ") and "curl" in line]


def test_every_example_works(served, tmp_path):
    if not shutil.which("curl") or not shutil.which("bash"):
        pytest.skip("curl and bash are not installed")
    for i, name in enumerate(("photo.jpg", "painting.jpg", "a.jpg", "b.jpg")):
        save_image(tmp_path / name, drawn(40 + i, 52, i))
    mask = np.zeros((40, 52), np.uint8)
    mask[:20] = 255
    save_image(tmp_path / "sky.png", mask)
    (tmp_path / ".curlrc").write_text("silent\nshow-error\nfail\n")
    found = commands(DOCS.read_text())
    assert len(found) >= 9 and all(ADDRESS in line for line in found)
    base = str(served.client.base_url).rstrip("/")
    script = "\n".join(["set -e -o pipefail", *found]).replace(ADDRESS, base)
    environment = {"CURL_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "no_proxy": "*"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = set(re.findall(r"-o (\S+\.\w+)", script))
    assert len(written) >= 4
    for name in written:
        shape = load_image(tmp_path / name).shape
        assert shape[2] == 3 and min(shape[:2]) >= 16


def test_every_bound_is_told_with_its_value():
    text = DOCS.read_text()
    limits = Limits()
    told = {
        "64 MiB": limits.upload_bytes == 64 << 20,
        "256 MiB": limits.uploads_bytes == limits.results_bytes == 256 << 20,
        "24,000,000": limits.pixels == 24_000_000,
        "| 32 |": limits.pictures == 32,
        "| 8 |": limits.styles == 8,
        "128 px": limits.feather == 128,
        "724 px": limits.scale == 724,
        "| 16 |": limits.queue == 16,
        "600 s": limits.kept_seconds == 600,
        "300 s": limits.wait_seconds == 300,
        "60 s": limits.body_seconds == 60,
        "10 s": limits.head_seconds == 10,
        "30 s": limits.read_seconds == 30,
        "| 256 |": limits.connections == 256,
    }
    assert [name for name, holds in told.items() if not holds or name not in text] == []
