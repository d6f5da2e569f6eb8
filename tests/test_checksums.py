"""Files that are not as they were written are named."""

import os
import subprocess

import pytest

from din_jax.checksums import NAME, damage_of, write_sums

LATE = ("late.txt",)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a b").write_bytes(bytes(range(256)) * 5000)
    (tmp_path / "deep" / "er" / "c").write_bytes(b"c")
    (tmp_path / "deep" / "empty").write_bytes(b"")
    write_sums(tmp_path, LATE)
    (tmp_path / "late.txt").write_text("after the sums")
    assert damage_of(tmp_path, LATE) == ""
    return tmp_path


def test_sha256sum_reads_the_sums(folder):
    result = subprocess.run(["sha256sum", "-c", NAME], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.count(": OK") == 3


def flip(path, bit=0):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage,says",
    [
        (lambda f: flip(f / "a b"), "a b is not as written"),
        (lambda f: os.truncate(f / "a b", 10), "a b is not as written"),
        (lambda f: os.truncate(f / "a b", 0), "a b is empty"),
        (lambda f: (f / "deep" / "empty").write_text("x"), "deep/empty is not as written"),
        (lambda f: (f / "deep" / "er" / "c").unlink(), "deep/er/c is missing"),
        (lambda f: [p.unlink() for p in (f / "a b", f / "deep" / "er" / "c")],
         "a b, deep/er/c are missing"),
        (lambda f: (f / "new").touch(), "SHA256SUMS is damaged, for it does not list new"),
        (lambda f: os.truncate(f / NAME, 0), "SHA256SUMS is damaged"),
        (lambda f: os.truncate(f / NAME, 70), "SHA256SUMS is damaged"),
        (lambda f: (f / NAME).write_text("".join((f / NAME).read_text().splitlines(True)[:-1])),
         "does not list deep/er/c"),
        (lambda f: (f / NAME).write_bytes(b"\xff\xfe"), "SHA256SUMS is damaged"),
        (lambda f: flip(f / NAME, 7), "SHA256SUMS is damaged"),
    ],
)  # fmt: skip
def test_each_damage_is_named(folder, damage, says):
    damage(folder)
    assert says in damage_of(folder, LATE)


def test_what_needs_no_sums(folder):
    (folder / "late.txt").unlink()
    (folder / ".nfs0001").touch()  # what systems leave in folders
    assert damage_of(folder, LATE) == ""
    (folder / NAME).unlink()
    assert damage_of(folder, LATE) == ""  # a folder of the time before there were any
