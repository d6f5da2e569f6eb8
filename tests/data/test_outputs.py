"""Outputs are whole, known again, and never somebody else's."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from din_jax.data.outputs import JOURNAL, OutputError, Outputs, digest, stamp

ROOT = Path(__file__).parents[2]
A, B = digest(style="a"), digest(style="b")


def write(outputs, name, made_of=A, data=b"picture", **facts):
    with outputs.writing(name, made_of, facts) as partial:
        partial.write_bytes(data)
    return outputs.folder / name


def test_an_output_is_known_again_by_what_it_was_made_of(tmp_path):
    folder = tmp_path / "new" / "out"
    with Outputs(folder) as outputs:
        assert outputs.standing("sub/a.png", A) == "absent"
        write(outputs, "sub/a.png", A, loss=0.5)
        assert outputs.standing("sub/a.png", A) == "done"
    again = Outputs(folder)
    assert again.standing("sub/a.png", A) == "done" and again.facts("sub/a.png") == {"loss": 0.5}
    assert again.standing("sub/a.png", B) == "outdated"
    assert again.standing("sub/b.png", A) == "absent" and again.facts("sub/b.png") == {}
    assert folder / "sub/a.png" in again and folder / "sub/b.png" not in again
    write(again, "sub/a.png", B)
    assert again.standing("sub/a.png", A) == "outdated"
    assert Outputs(folder).standing("sub/a.png", B) == "done"


def test_a_file_of_others_is_foreign_whatever_its_name_size_and_time(tmp_path):
    outputs = Outputs(tmp_path)
    path = write(outputs, "a.png", data=b"ours")
    status = path.stat()
    path.write_bytes(b"mine")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "b.png").write_bytes(b"ours")
    (tmp_path / "link.png").symlink_to("nowhere")
    for name in ("a.png", "b.png", "link.png"):
        assert outputs.standing(name, A) == "foreign", name
        assert Outputs(tmp_path).standing(name, A) == "foreign", name
    # Moved to another folder, with the journal and without: bytes count.
    path.write_bytes(b"ours")
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    assert Outputs(moved).standing("a.png", A) == "done"


def test_a_failed_write_leaves_the_old_output_known(tmp_path):
    outputs = Outputs(tmp_path)
    write(outputs, "a.png", A)
    with pytest.raises(ZeroDivisionError), outputs.writing("a.png", B) as partial:
        partial.write_bytes(b"half")
        raise ZeroDivisionError
    assert Outputs(tmp_path).standing("a.png", A) == "done"
    assert sorted(p.name for p in tmp_path.iterdir()) == [JOURNAL, "a.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_what_cannot_be_written_is_named(tmp_path, number):
    outputs = Outputs(tmp_path)
    with pytest.raises(OutputError) as caught, outputs.writing("a.png", A):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"'{tmp_path / 'a.png'}' cannot be written ({os.strerror(number)})."
    assert caught.value.full == (number == errno.ENOSPC)
    assert outputs.standing("a.png", A) == "absent"


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "out").write_text("")
    for journal in (True, False):
        with pytest.raises(OutputError, match=r"out/sub' must be one to write to.*--output\.$"):
            Outputs(tmp_path / "out" / "sub", journal=journal).claim(["a.png"])


def test_without_a_journal_every_file_is_foreign(tmp_path):
    outputs = Outputs(tmp_path, journal=False)
    outputs.claim(["a.png"])
    write(outputs, "a.png")
    assert outputs.standing("a.png", A) == "foreign"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_damaged_lines_spoil_no_others(tmp_path):
    outputs = Outputs(tmp_path)
    write(outputs, "a.png")
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    damage = [
        whole[:-9],  # a full disk cut the line short
        b"\n[1]\n5\n{}\n\xff\n" + b"[" * 100_000,
        json.dumps({"name": "b.png", "made_of": 5, "size": -1, "sha256": [], "facts": {}}).encode(),
        b"\n" + b"x" * 200_000,
    ]
    for data in damage:
        journal.write_bytes(data)
        assert Outputs(tmp_path).standing("a.png", A) == "foreign"
        (tmp_path / "a.png").unlink()
        write(Outputs(tmp_path), "a.png")
        assert Outputs(tmp_path).standing("a.png", A) == "done"


# Writes outputs until it is killed, in the worst moments too.
WRITER = """
import os, signal, sys
from din_jax.data.outputs import Outputs
folder, moment = sys.argv[1:]
outputs = Outputs(folder)
outputs.claim()
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
for i in range(3):
    with outputs.writing(f"{i}.png", "made of this") as partial:
        if i == 2 and moment == "write":
            partial.write_bytes(b"ha")
            die()
        partial.write_bytes(b"picture %d" % i)
        if i == 2 and moment == "rename":
            type(partial).replace = die
        if i == 2 and moment == "renamed":
            replace = type(partial).replace
            type(partial).replace = lambda *args: (replace(*args), die())
"""


@pytest.mark.parametrize(
    "moment, third", [("write", "absent"), ("rename", "absent"), ("renamed", "done")]
)
def test_a_killed_process_leaves_whole_known_outputs(tmp_path, moment, third):
    done = subprocess.run([sys.executable, "-c", WRITER, tmp_path, moment], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    outputs = Outputs(tmp_path)
    standing = [outputs.standing(f"{i}.png", "made of this") for i in range(3)]
    assert standing == ["done", "done", third]
    left = [p for p in tmp_path.iterdir() if p.suffix == ".partial"]
    assert len(left) == (moment != "renamed")
    # Another process that writes here may be the one whose file it is.
    other = Outputs(tmp_path)
    other.claim(["0.png"])
    outputs.claim(["2.png"])
    assert all(p.exists() for p in left)
    outputs.close()
    other.close()
    with Outputs(tmp_path) as alone:
        alone.claim(["2.png"])
    assert not any(p.exists() for p in left)


def test_stamps_tell_changed_inputs(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    first = stamp(path)
    assert stamp(path) == first
    os.utime(path, ns=(0, 0))
    assert stamp(path) != first
    assert digest(a=1, b=[2, "x"]) == digest(b=[2, "x"], a=1) != digest(a=1, b=[2, "y"])
