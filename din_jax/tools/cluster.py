"""Several processes as one run: flags that say which process this is, or a detected cluster.

A process that has died leaves the others in a collective without end. JAX's coordination service
notices within `GONE_AFTER`, and ends them; `tools.gone` says so in a sentence.
"""

import atexit
import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator

from absl import flags

from din_jax.errors import UserError, loading

GONE_AFTER = 20  # s without a sign of life after which a process counts as dead
WAIT_FOR_FIRST = 300  # s in which process 0 must be there, and then all others

_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Join the other processes of a TPU pod, Slurm, Open MPI or Kubernetes."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT at which process 0 waits for the others, where no cluster is."
)
_PROCESSES = flags.DEFINE_integer("processes", None, "How many processes --coordinator joins.")
_PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")
_LOCAL = flags.DEFINE_integer(
    "local_processes", None, "Starts so many processes on this machine, to try what a pod does."
)


class _Joined:
    yes = False


def local_processes() -> int:
    """How many processes this command is to start on this machine; 0: it is one of them."""
    return _LOCAL.value or 0


def check() -> None:
    """The flags fit together.

    Raises:
      UserError: says what does not.
    """
    if _LOCAL.value is not None:
        _check_local()
    by_hand = {flag.name: flag.value for flag in (_COORDINATOR, _PROCESSES, _PROCESS)}
    missing = [f"--{name}" for name, value in by_hand.items() if value is None]
    if len(missing) == len(by_hand):
        return
    if missing:
        raise UserError(
            "--coordinator HOST:PORT, --processes N and --process I go together, but "
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing."
        )
    host, _, port = by_hand["coordinator"].rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(
            f"--coordinator must be HOST:PORT, such as 10.0.0.1:8476, not {_COORDINATOR.value!r}."
        )
    if by_hand["processes"] < 1:
        raise UserError(f"--processes must be at least 1, not {by_hand['processes']}.")
    if not 0 <= by_hand["process"] < by_hand["processes"]:
        raise UserError(
            f"--process must be 0 to --processes - 1, but is {by_hand['process']} of "
            f"{by_hand['processes']}."
        )


def _check_local() -> None:
    if not 1 <= _LOCAL.value <= 64:
        raise UserError(f"--local_processes must be 1 to 64, not {_LOCAL.value}.")
    if _COORDINATOR.value is not None or _DISTRIBUTED.value:
        raise UserError(
            "--local_processes starts all processes on this machine: leave it out with "
            "--coordinator or --distributed."
        )


def join() -> None:
    """Joins the processes that the flags name; to be called before JAX looks for devices.

    Raises:
      UserError: there is no cluster, or the others are not reached.
    """
    if _COORDINATOR.value is None and not _DISTRIBUTED.value:
        return
    if _COORDINATOR.value is not None:
        if _PROCESS.value:
            _wait_for_the_first(_COORDINATOR.value)
        else:
            _check_port(int(_COORDINATOR.value.rpartition(":")[2]))
    _filter_errors()
    with loading():
        import jax
    try:
        # Without an address it is detected.
        jax.distributed.initialize(
            _COORDINATOR.value, _PROCESSES.value, _PROCESS.value,
            heartbeat_timeout_seconds=GONE_AFTER, initialization_timeout=WAIT_FOR_FIRST,
        )  # fmt: skip
    except ValueError as error:
        raise UserError(
            "--distributed found no cluster that JAX knows (TPU pod, Slurm, Open MPI, Kubernetes): "
            "give --coordinator HOST:PORT, --processes N and --process I."
        ) from error
    except RuntimeError as error:
        raise UserError(
            f"the other processes were not reached ({' '.join(str(error).split())[:200]}): start "
            "all of them, with the same --coordinator and --processes."
        ) from error
    _Joined.yes = True


def _wait_for_the_first(address: str) -> None:
    """Returns when something listens there; JAX waits as long, but silently, and ends in C++."""
    host, _, port = address.rpartition(":")
    end, told = time.monotonic() + WAIT_FOR_FIRST, False
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:  # of names too, which a cluster may know a moment later
            if time.monotonic() > end:
                raise UserError(
                    f"nothing answers at --coordinator {address} within {WAIT_FOR_FIRST} s "
                    f"({error.strerror or error}): start --process 0 there, or give its address."
                ) from error
        if not told and time.monotonic() > end - WAIT_FOR_FIRST + 5:
            print(f"Waiting for --process 0 at {address}, {WAIT_FOR_FIRST} s at most.", flush=True)
            told = True
        time.sleep(0.2)


def _check_port(port: int) -> None:
    """Process 0 can listen there; JAX, where it cannot, ends by a segmentation fault."""
    for family, everywhere in ((socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")):
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((everywhere, port))
            return
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                raise UserError(
                    f"--process 0 must listen at port {port} of --coordinator, but cannot "
                    f"({error.strerror}): give all processes another port."
                ) from error  # else this machine has no such addresses


def _filter_errors() -> None:
    """Standard error passes through `tools.gone`, but for what Python writes, which goes there."""
    program = os.path.join(os.path.dirname(__file__), "gone.py")
    terminal = os.dup(2)
    reader = subprocess.Popen([sys.executable, "-I", "-S", program], stdin=subprocess.PIPE)
    os.dup2(reader.stdin.fileno(), 2)
    reader.stdin.close()
    sys.stderr = open(terminal, "w", buffering=1, errors="backslashreplace")

    def finish():
        os.dup2(terminal, 2)
        reader.wait(5)

    atexit.register(finish)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Around the work of one of several processes: its end is never waited for by the others.

    What a dead process causes here is not told: the service, which knows which one it was, ends
    this one. Whatever else is raised ends it at once, without the barrier that waits for all.
    """
    try:
        yield
    except Exception as error:
        told = isinstance(error, UserError | OSError)  # by the command, which then leaves
        if not _Joined.yes or told and not isinstance(error, TimeoutError):
            raise
        if _of_another(error):
            time.sleep(GONE_AFTER + 10)
        traceback.print_exc()
        leave(1)


def _of_another(error: Exception) -> bool:
    """Whether an error can be that of a collective or a barrier which another process has left."""
    import jax

    words = ("Gloo", "UNAVAILABLE", "DEADLINE_EXCEEDED", "arrier", "NCCL", "heartbeat")
    runtime = isinstance(error, jax.errors.JaxRuntimeError | ValueError | TimeoutError)
    return runtime and any(word in str(error) for word in words)


def leave(status: int) -> None:
    """Ends one of several processes that has failed, so that the others hear of it."""
    if _Joined.yes and status:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
