"""64 clients at once, good, slow and hostile: all are answered, and the memory stays."""

import os

import pytest

from .load import load, server

LONG = bool(os.environ.get("DIN_LONG_TESTS"))


@pytest.mark.slow
def test_many_clients_are_answered_and_the_memory_stays(small, tmp_path):
    seconds = 60 if LONG else 4
    flags = ["--model", small.model, "--bank", small.bank, "--keep", 5]
    with server(*flags, temporary=tmp_path) as (process, address):
        # What is compiled and imported on the first request is no growth.
        load(process, address, clients=8, seconds=2, side=64)
        found = load(process, address, clients=64, seconds=seconds, side=64)
    assert found["alive"] and found["wrong"] == []
    answers = found["answers"]
    for kind in ("picture 200", "no picture 415", "no style 422", "too large 413", "info 200"):
        assert answers[kind] > 0, answers
    memory = found["memory, MB"]
    third = len(memory) // 3
    assert max(memory[-third:]) < max(memory[: 2 * third]) + 60, memory
    assert list(tmp_path.iterdir()) == []
