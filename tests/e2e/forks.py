"""Runs train.py many times while the libraries are imported once: each case is a fork.

python forks.py CASES.json: a list of {"name", "arguments", "environment", "folder"}. Writes
folder/NAME.out, NAME.err and NAME.code.
"""

import json
import os
import runpy
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

# None of these starts a thread or a device; whatever does comes in the child.
import din_jax.training.loop  # noqa: E402, F401


def child(case: dict) -> int:
    for number, suffix in ((1, "out"), (2, "err")):
        path = Path(case["folder"]) / f"{case['name']}.{suffix}"
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.update(case["environment"])
    sys.argv = ["train.py", *case["arguments"]]
    try:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for case in json.loads(Path(sys.argv[1]).read_text()):
    process = os.fork()
    if process == 0:
        code = child(case)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    (Path(case["folder"]) / f"{case['name']}.code").write_text(str(code))
