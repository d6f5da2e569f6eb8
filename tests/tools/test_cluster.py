"""The flags by which several processes become one run."""

import socket
import threading

import jax
import pytest
from absl import flags
from absl.testing import flagsaver

from din_jax.errors import UserError
from din_jax.tools import cluster

GOOD = {"coordinator": "localhost:8476", "processes": 2, "process": 1}


@pytest.fixture
def joining(monkeypatch):
    """Calls of jax.distributed.initialize, which does nothing."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    found = []

    def initialize(*given, heartbeat_timeout_seconds, initialization_timeout):
        assert heartbeat_timeout_seconds == cluster.GONE_AFTER <= 20
        assert initialization_timeout == cluster.WAIT_FOR_FIRST <= 300
        found.append(given)

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setattr(cluster, "_filter_errors", lambda: None)
    monkeypatch.setattr(cluster, "_wait_for_the_first", lambda address: None)
    monkeypatch.setattr(cluster._Joined, "yes", False)
    return found


def test_one_process_joins_nothing(joining):
    cluster.check()
    cluster.join()
    assert joining == []


def test_flags_by_hand_are_what_jax_is_told(joining):
    with flagsaver.flagsaver(**GOOD):
        cluster.check()
        cluster.join()
    assert joining == [("localhost:8476", 2, 1)]


def test_a_cluster_is_left_to_jax_to_detect(joining):
    with flagsaver.flagsaver(distributed=True):
        cluster.check()
        cluster.join()
    assert joining == [(None, None, None)]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"coordinator": None}, "go together, but --coordinator is missing"),
        ({"processes": None, "process": None}, "--processes and --process are missing"),
        ({"coordinator": "localhost"}, "must be HOST:PORT.*not 'localhost'"),
        ({"coordinator": ":8476"}, "must be HOST:PORT"),
        ({"coordinator": "localhost:70000"}, "must be HOST:PORT"),
        ({"processes": 0, "process": 0}, "--processes must be at least 1, not 0"),
        ({"process": 2}, "must be 0 to --processes - 1, but is 2 of 2"),
        ({"process": -1}, "must be 0 to --processes - 1, but is -1 of 2"),
    ],
)
def test_flags_that_do_not_fit_together_are_one_sentence(joining, changed, says):
    with flagsaver.flagsaver(**(GOOD | changed)), pytest.raises(UserError, match=says) as caught:
        cluster.check()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("coordinator_address should be defined."), "found no cluster.*--coordinator"),
        (RuntimeError("DEADLINE:\nBarrier"), r"not reached \(DEADLINE: Barrier\)"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_sentence(joining, monkeypatch, error, says):
    def initialize(*_, **__):
        raise error

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with flagsaver.flagsaver(distributed=True), pytest.raises(UserError, match=says):
        cluster.join()


def test_the_first_process_is_waited_for_and_its_absence_is_one_sentence(monkeypatch, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        monkeypatch.setattr(cluster, "WAIT_FOR_FIRST", 0.5)
        says = rf"nothing answers at --coordinator 127.0.0.1:{port} within 0.5 s .*--process 0"
        with pytest.raises(UserError, match=says):
            cluster._wait_for_the_first(f"127.0.0.1:{port}")
        monkeypatch.setattr(cluster, "WAIT_FOR_FIRST", 60)
        later = threading.Timer(0.3, free.listen)
        later.start()
        cluster._wait_for_the_first(f"127.0.0.1:{port}")
        later.join()
    with pytest.raises(UserError, match="nothing answers at --coordinator nohost.invalid:1 "):
        monkeypatch.setattr(cluster, "WAIT_FOR_FIRST", 0)
        cluster._wait_for_the_first("nohost.invalid:1")


def test_a_port_that_is_taken_is_one_sentence(joining):
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        flag = {"coordinator": f"localhost:{port}", "processes": 2, "process": 0}
        says = f"must listen at port {port} .*in use.*another port"
        with flagsaver.flagsaver(**flag), pytest.raises(UserError, match=says):
            cluster.join()
    with flagsaver.flagsaver(**flag):
        cluster.join()
    assert joining == [(f"localhost:{port}", 2, 0)]
