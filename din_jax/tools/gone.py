"""What JAX's runtime prints when another process has died, as one sentence.

Reads standard error of a process on standard input, until that has ended, and writes the same to
its own, but for what the coordination service says: it prints statuses, their history and a stack
of addresses, and ends the process (`LOG(FATAL)`) where Python cannot hear it. Started by
`tools.cluster` as a program of its own, since it has to outlive that.
"""

import re
import signal
import sys
from collections.abc import Iterable, Iterator

# A line of absl's log in C++: its level, its file and what it says.
_LINE = re.compile(r"([IWEF])\d{4} [\d:.]+ +\d+ ([\w.]+):\d+\] (.*)")
_SERVICE = {
    "coordination_service.cc", "coordination_service_agent.cc", "preemption_sync_manager.cc",
    "client.h", "service.cc",
}  # fmt: skip
_MORE = re.compile(
    r"\d*$|The tasks have crashed|Additional GRPC|:UNKNOWN:|RPC: /|\*\*\* Check|    @ "
)


def sentences(lines: Iterable[str]) -> Iterator[str]:
    """The lines without what the service says, and at the end, if it ended the process, why."""
    dropping, last, said = False, "", ""
    for line in lines:
        found = _LINE.match(line)
        if last == "F":
            dropping = True  # stacks of C++ and of Python
        elif found:
            dropping = found[2] in _SERVICE
            last = found[1] if dropping else last
        elif dropping:
            dropping = bool(_MORE.match(line))
        if not dropping:
            yield line
        elif last in "EF":
            said += line
    if last == "F":
        yield explanation(said)


def explanation(said: str) -> str:
    """Which process is gone, or has never come, by what the service said of it."""
    if "DEADLINE_EXCEEDED" in said and "RegisterTask" in said:
        return (
            "error: not all of the other processes have come, and they are waited for no longer: "
            "start all of them, with the same --coordinator and --processes.\n"
        )
    unhealthy = re.findall(r"unhealthy[^\n]*\n((?:\d+\n)+)", said)
    numbers = sorted({int(n) for listed in unhealthy for n in listed.split()})
    if not numbers and "leader task" in said:
        numbers = [0]  # it holds the service
    if not numbers:
        reason = said.rpartition("absl::Status:")[2].partition("*** Check")[0]
        reason = " ".join(reason.split())[:200]
        who = f"the processes have lost each other ({reason})"
    else:
        name = "process" if len(numbers) == 1 else "processes"
        who = f"{name} {', '.join(map(str, numbers))} {'is' if len(numbers) == 1 else 'are'} gone"
    return (
        f"error: {who}, so that this one ends too: start all of them again, and the run goes on "
        "from its last checkpoint.\n"
    )


def main() -> None:
    # Whoever stops the process by Ctrl-C wants to read what it says of that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    source = open(0, errors="backslashreplace", newline="\n")
    for line in sentences(source):
        sys.stderr.write(line)
        sys.stderr.flush()


if __name__ == "__main__":
    main()
