"""Several processes as one run: flags that say which process this is, or a detected cluster."""

from absl import flags

from din_jax.errors import UserError, loading

_DISTRIBUTED = flags.DEFINE_bool(
    "distributed", False, "Join the other processes of a TPU pod, Slurm, Open MPI or Kubernetes."
)
_COORDINATOR = flags.DEFINE_string(
    "coordinator", None, "HOST:PORT at which process 0 waits for the others, where no cluster is."
)
_PROCESSES = flags.DEFINE_integer("processes", None, "How many processes --coordinator joins.")
_PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0.")


def check() -> None:
    """The flags fit together.

    Raises:
      UserError: says what does not.
    """
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
    if not 0 <= by_hand["process"] < by_hand["processes"]:
        raise UserError(
            f"--process must be 0 to --processes - 1, but is {by_hand['process']} of "
            f"{by_hand['processes']}."
        )


def join() -> None:
    """Joins the processes that the flags name; to be called before JAX looks for devices.

    Raises:
      UserError: there is no cluster, or the others are not reached.
    """
    if _COORDINATOR.value is None and not _DISTRIBUTED.value:
        return
    with loading():
        import jax
    try:
        # Without an address it is detected.
        jax.distributed.initialize(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
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
