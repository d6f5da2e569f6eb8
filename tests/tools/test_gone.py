"""What JAX's runtime prints when a process has died becomes one sentence."""

import subprocess
import sys
from pathlib import Path

from din_jax.tools import gone

SECOND = """\
step 5: 1.0
E1128 06:34:18.969175   20980 coordination_service.cc:1549] [218] Use error polling to propagate \
the following error to all tasks: UNAVAILABLE: The following tasks are unhealthy (stopped sending \
heartbeats):
1
3
The tasks have crashed. Check the task logs for an earlier error [type.googleapis.com/x='']
E1128 06:34:18.969631   20991 coordination_service_agent.cc:289] Polled an error from the service.
F1128 06:34:18.972055   20991 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: UNAVAILABLE: The following tasks are unhealthy (stopped \
sending heartbeats):
1
3
The tasks have crashed. Check the task logs for an earlier error.

RPC: /xla.coordination.CoordinationService/PollForError [type.googleapis.com/x='']
*** Check failure stack trace: ***
    @     0x7fb090440634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
Fatal Python error: Aborted

Thread 0x00007fb0 (most recent call first):
"""
FIRST = """\
W1128 06:34:25.243679   21045 preemption_sync_manager.cc:147] Failed to retrieve preemption \
notice from coordination service: UNAVAILABLE: Socket closed
Additional GRPC error information from remote target coordination_service:
:UNKNOWN:Error received from peer  {grpc_status:14, grpc_message:"Socket closed"}. Check the logs.
step 6: 2.0
F1128 06:34:25.244046   21045 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: UNAVAILABLE: Failed to send RPC to coordination service. \
Either the leader task was preempted/died/restarted unexpectedly or this task is experiencing \
network issues.
"""
NEVER = """\
F1128 17:34:52.199800   28781 client.h:80] Terminating process because the JAX distributed service \
detected fatal errors. absl::Status: DEADLINE_EXCEEDED: Deadline Exceeded

RPC: /xla.coordination.CoordinationService/RegisterTask
*** Check failure stack trace: ***
    @     0x7f0a52a40634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
    @     0x7f0a52a405b6  absl::lts_20260107::log_internal::LogMessage::Flush()
Fatal Python error: Aborted
"""
UNKNOWN = "F1128 06:34:25.244046   21 client.h:80] Terminating. absl::Status: INTERNAL: a\nb\n"
ORDINARY = """\
W1128 06:34:25.243679   21045 cuda_executor.cc:147] a warning of the device
1
Traceback (most recent call last):

    @ something
"""


def filtered(text: str) -> str:
    return "".join(gone.sentences(text.splitlines(keepends=True)))


def test_the_dead_are_named_once():
    assert filtered(SECOND) == "step 5: 1.0\n" + filtered(SECOND).splitlines()[1] + "\n"
    assert "error: processes 1, 3 are gone, so that this one ends too" in filtered(SECOND)
    assert "processes" not in filtered(SECOND.replace("\n3\n", "\n"))
    assert "process 1 is gone" in filtered(SECOND.replace("\n3\n", "\n"))


def test_whoever_holds_the_service_is_the_first():
    step, sentence = filtered(FIRST).splitlines()
    assert step == "step 6: 2.0" and "process 0 is gone" in sentence


def test_those_that_have_never_come_are_not_gone():
    said = filtered("step 5: 1.0\n" + NEVER)
    assert said.startswith("step 5: 1.0\nerror: not all of the other processes have come")
    assert "same --coordinator and --processes" in said and said.count("\n") == 2
    other = filtered(NEVER.replace("RegisterTask", "Barrier"))
    assert other.endswith("\n") and "CoordinationService/Barrier), so that" in other


def test_what_is_not_known_is_quoted_in_short():
    assert "have lost each other (INTERNAL: a b)" in filtered(UNKNOWN)


def test_all_else_passes_as_it_is():
    assert filtered(ORDINARY) == ORDINARY and filtered("") == ""
    warned = FIRST[: FIRST.index("step 6")]
    assert filtered(warned + ORDINARY) == ORDINARY  # and nobody is gone


def test_as_a_program_it_needs_no_library():
    program = [sys.executable, "-I", "-S", str(Path(gone.__file__))]
    text = FIRST.encode() + b"\xff"
    done = subprocess.run(program, input=text, capture_output=True, check=True)
    assert done.stderr.decode() == filtered(FIRST) and not done.stdout
