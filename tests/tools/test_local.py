"""Processes that are started together end together."""

import os
import signal
import sys
import threading
import time

import pytest
from absl import flags
from absl.testing import flagsaver

from din_jax.errors import UserError
from din_jax.tools import cluster, local
from din_jax.tools.train import _without_local

WAITS = "import time; time.sleep(60)"
LISTENS = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGINT, lambda *_: sys.exit(0))\n"
    "open(sys.argv[1], 'w').close()\n"
    "time.sleep(60)"
)


def python(program: str, *arguments) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def timed(lines) -> tuple[int, float]:
    began = time.monotonic()
    return local.run(lines), time.monotonic() - began


def test_all_that_end_well_are_waited_for(tmp_path, capfd):
    writes = f"import time; time.sleep(0.3); open(r'{tmp_path}/late', 'w'); print('second')"
    assert local.run([python("print('first')"), python(writes)]) == 0
    assert (tmp_path / "late").exists()
    assert capfd.readouterr().out == "first\n"


@pytest.mark.parametrize(
    "program,status,says",
    [
        ("import sys; sys.exit('error: no pictures.')", 1, "process 1 ended with 1 (no pictures.)"),
        ("import sys; sys.exit(2)", 2, "process 1 ended with 2,"),
        ("import os; os.kill(os.getpid(), 9)", 137, "process 1 was ended by SIGKILL,"),
    ],
)
def test_when_one_fails_the_others_are_ended_and_it_is_named(capfd, program, status, says):
    found, seconds = timed([python(WAITS), python(program)])
    assert found == status and seconds < 30
    said = capfd.readouterr().err
    assert says in said and said.count("\n") == 1


def test_the_first_speaks_for_itself(capfd):
    found, _ = timed([python("import sys; sys.exit('error: mine.')"), python(WAITS)])
    assert found == 1 and capfd.readouterr().err == "error: mine.\n"


def test_a_signal_goes_to_all(tmp_path):
    marks = [tmp_path / "0", tmp_path / "1"]

    def interrupt():
        while not all(mark.exists() for mark in marks):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=interrupt)
    thread.start()
    found, seconds = timed([python(LISTENS, mark) for mark in marks])
    thread.join()
    assert found == 0 and seconds < 30 and signal.getsignal(signal.SIGINT) is before


def test_the_command_is_passed_on_without_its_own_flag():
    given = ["--config", "a.py", "--local_processes", "2", "--workdir=local_processes"]
    assert _without_local(given) == ["--config", "a.py", "--workdir=local_processes"]
    assert _without_local(["-local_processes=2", "--x", "y"]) == ["--x", "y"]
    lines = local.commands(["--x", "y"], 2)
    assert [line[-1] for line in lines] == ["--process=0", "--process=1"]
    assert lines[0][:-1] == lines[1][:-1] and lines[0][3:5] == ["--x", "y"]
    host, port = lines[0][5].removeprefix("--coordinator=").split(":")
    assert host == "127.0.0.1" and 0 < int(port) < 65536 and lines[0][6] == "--processes=2"


@pytest.mark.parametrize(
    "changed,says",
    [
        ({"local_processes": 0}, "--local_processes must be 1 to 64, not 0"),
        ({"local_processes": 2, "distributed": True}, "leave it out with --coordinator or --dist"),
        ({"local_processes": 2, "coordinator": "a:1"}, "leave it out with --coordinator or --dist"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(changed, says):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**changed), pytest.raises(UserError, match=says):
        cluster.check()
