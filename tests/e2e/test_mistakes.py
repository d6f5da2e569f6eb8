"""Every mistake that a user can make with train.py ends in one sentence and status 2."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
TINY = str(HERE.parent / "training/tiny.py")
DEMO = "configs/din.py:demo"
# Nothing listens on the discard port of this machine.
CLOSED = "http://127.0.0.1:9/vgg19.pth"

# Compiled soonest.
SMALL = [
    "--config.model.code=adain", "--config.model.style_encoder=content",
    "--config.model.residuals=0", "--config.model.levels=1",
    "--config.loss.content_layers=relu1_1", "--config.loss.style_layers=relu1_1",
]  # fmt: skip

# name: (config, other arguments, words of the sentence); {folder} is a fresh folder.
MISTAKES = {
    "unknown_field": (DEMO, ["--config.nope=1"], ["no field", "nope"]),
    "unknown_nested_field": (DEMO, ["--config.train.stepz=1"], ["no field", "stepz"]),
    "wrong_type": (DEMO, ["--config.train.steps=abc"], ["config.train.steps", "abc"]),
    "wrong_value": (DEMO, ["--config.train.batch=0"], ["config.train.batch", "at least 1"]),
    "no_config_file": ("{folder}/nope.py", [], ["nope.py", "configs/din.py:demo"]),
    "unknown_variant": ("configs/din.py:nope", [], ["nope", "variants", "demo", "portable"]),
    "no_config": (None, [], ["--config"]),
    "failing_config": ("{folder}/failing.py", [], ["failing.py", "line 2", "no attribute 'nope'"]),
    "bad_list": (DEMO, ["--config.model.widths=8,16"], ["config.model.widths", "3 values"]),
    "small_pictures": (DEMO, ["--config.data.resize=32"], ["config.data.resize (32)", "crop (64)"]),
    "bad_pattern": (DEMO, ["--config.train.shard=(kernel"], ["config.train.shard", "'(kernel'"]),
    "no_port": (
        DEMO,
        ["--coordinator=localhost", "--processes=2", "--process=0"],
        ["--coordinator", "HOST:PORT", "'localhost'"],
    ),
    "no_such_process": (
        DEMO,
        ["--coordinator=localhost:1", "--processes=2", "--process=2"],
        ["--process", "2 of 2"],
    ),
    "fsdp": (TINY, ["--config.train.fsdp=7"], ["config.train.fsdp (7)", "number of devices"]),
    "no_workdir": (DEMO, ["--workdir="], ["--workdir", "is empty"]),
    "unknown_flag": (DEMO, ["--nope=1"], ["nope"]),
    "extra_argument": (DEMO, ["nope"], ["unexpected", "nope", "--config.FIELD=VALUE"]),
    "empty_folder": (TINY, ["--config.data.content={folder}/empty"], ["empty", "folder"]),
    "no_folder": (TINY, ["--config.data.style={folder}/nothing"], ["nothing", "folder"]),
    "unreadable_pictures": (TINY, ["--config.data.style={folder}/bad"], ["bad"]),
    "no_weights": (
        TINY,
        ["--config.loss.network=vgg19"],
        [CLOSED, "DIN_JAX_VGG19", "--config.loss.network=random", "--config configs/din.py:demo"],
    ),
    "no_weights_file": (
        TINY,
        ["--config.loss.network=vgg19", "--config.loss.weights={folder}/w.pth"],
        ["w.pth", "VGG-19"],
    ),
    "no_dataset": (
        TINY,
        ["--config.data.content=tfds:coco"],
        ["coco", "python -m din_jax.data.prepare coco"],
    ),
    "diverging": (
        TINY,
        ["--config.optim.learning_rate=1e30", "--config.train.checkpoint_every=1", *SMALL],
        ["not finite at step", "checkpoint is", "config.optim.learning_rate", "--workdir"],
    ),
}
if importlib.util.find_spec("wandb") is None:
    MISTAKES["no_wandb"] = (TINY, ["--wandb=paintings"], ["'wandb'", "din_jax[wandb]"])


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, tuple[int, str]]:
    """Name to (exit status, standard error) of each mistake."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "empty").mkdir()
    (folder / "bad").mkdir()
    (folder / "bad/a.png").write_bytes(b"no picture")
    (folder / "failing.py").write_text("import json\njson.nope\n")
    cases = []
    for name, (config, arguments, _) in MISTAKES.items():
        given = [f"--config={config}"] if config else []
        given += [f"--workdir={folder}/runs/{name}", *arguments]
        environment = {
            "DIN_JAX_VGG19": "",
            "DIN_JAX_VGG19_URL": CLOSED,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TFDS_DATA_DIR": str(folder / "tfds"),
        }
        cases.append(
            {
                "name": name,
                "arguments": [a.replace("{folder}", str(folder)) for a in given],
                "environment": environment,
                "folder": str(folder),
            }
        )
    (folder / "cases.json").write_text(json.dumps(cases))
    subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "forks.py"), str(folder / "cases.json")],
        cwd=HERE.parents[1],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=True,
        timeout=900,
    )
    return {
        name: (
            int((folder / f"{name}.code").read_text()),
            (folder / f"{name}.err").read_text(),
        )
        for name in MISTAKES
    } | {"folder": folder}


@pytest.mark.slow
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_in_one_sentence(answers, name):
    code, said = answers[name]
    assert code == 2, said
    assert "Traceback" not in said
    # Progress bars and notices may stand before it.
    lines = [line for line in said.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and said.rstrip().endswith(lines[0]), said
    for word in MISTAKES[name][2]:
        assert word in lines[0], lines[0]


@pytest.mark.slow
def test_no_bad_checkpoint_is_left_behind(answers):
    run = answers["folder"] / "runs/diverging"
    from din_jax.weights.runs import read_checkpoint

    for checkpoint in (run / "checkpoints").iterdir():
        for name, array in read_checkpoint(checkpoint).items():
            assert np.isfinite(array).all(), (checkpoint.name, name)
