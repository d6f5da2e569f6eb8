"""The installed command: what it offers, where presets are found, and how Ctrl-C ends one."""

import importlib.util
import os
import signal
import subprocess
import sys
import tomllib
from argparse import Namespace
from pathlib import Path

import pytest

from din_jax.command_line import check_least
from din_jax.errors import INTERRUPTED, UNREAD, UserError, exit_status, stop_if_interrupted
from din_jax.tools import commands
from din_jax.tools.config_files import PRESETS, read_config_file

ROOT = Path(__file__).parents[2]
# Runs a command line, and says on its last line whether JAX has been imported.
PROBE = """
import sys
from din_jax.tools import commands
try:
    status = commands.main()
finally:
    print("jax" in sys.modules)
sys.exit(status)
"""
# Becomes the given command with Ctrl-C heeded, whatever the process that started the tests ignores.
# (Popen's preexec_fn forks, of which JAX warns where it has been imported.)
HEEDED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def din_jax(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def handler():
    """The process's handler of Ctrl-C, which an interrupted command replaces."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_every_command_is_a_module_with_a_main():
    for module, about in commands.COMMANDS.values():
        path = Path(importlib.util.find_spec(module).origin)
        assert "\ndef main(" in path.read_text(encoding="utf-8"), module
        assert about


# Which only pass on, and the filter of standard error, which nobody types and no library reaches.
NO_COMMANDS = ("__main__.py", "commands.py", "gone.py")


def test_every_entry_point_ends_as_exit_status_does():
    for path in (ROOT / "din_jax").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "__main__" in text and path.name not in NO_COMMANDS:
            assert "exit_status(" in text, path


def test_the_list_of_commands_answers_without_jax(tmp_path):
    done = din_jax("--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(f"    {name} " in done.stdout for name in commands.COMMANDS)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [("--help", ""), ("--help", "1"), ("train --help", "1"), ("convert --help", "")],
)
def test_a_reader_that_has_gone_is_no_error(command, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)  # as `head -1` does, when it has its line
    done = subprocess.run(
        [sys.executable, "-m", "din_jax", *command.split()],
        cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=writer, stderr=subprocess.PIPE, text=True, timeout=100,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (UNREAD, "")


def test_no_command_has_a_parser_of_its_own():
    """argparse's would print its usage and end the process; ours ends in one sentence."""
    for path in (ROOT / "din_jax").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "argparse.ArgumentParser(" not in text, path


FILLED = {
    "compare": ["m.safetensors", "--content", "c", "--style", "s", "--output", "there.png"],
    "curves": ["run", "--output", "there.png"],
    "texture": ["m.safetensors", "--style", "s", "--output", "there.png"],
    "controls": ["--output", "there.png"],
    "pack": ["run", "there.png"],
    "convert": ["to-torch", "m.safetensors", "there.png"],
}


@pytest.mark.parametrize("name", FILLED)
def test_a_file_that_is_there_is_replaced_only_when_asked(name, tmp_path, monkeypatch, capsys):
    """Before the work is done; with --overwrite the next mistake is found, that of the input."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.csv").write_text("step,name,value\n1,train/content,1\n")
    monkeypatch.setattr(sys, "argv", [f"din-jax {name}", *FILLED[name]])
    assert commands.run(name) == 2
    said = capsys.readouterr().err
    assert said == (
        "error: 'there.png' is there already; name another file, or replace it with --overwrite.\n"
    )
    assert (tmp_path / "there.png").read_bytes() == b"mine"
    if name != "controls":  # which would paint
        monkeypatch.setattr(sys, "argv", [f"din-jax {name}", *FILLED[name], "--overwrite"])
        assert commands.run(name) == (0 if name == "curves" else 2)
        assert "there already" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["prepare", "convert", "pack"])
def test_a_mistake_in_the_flags_is_one_sentence(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"din-jax {name}", "--nonsense"])
    assert commands.run(name) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert f"din-jax {name} --help" in said


def test_flags_that_are_too_small_are_named():
    check_least(Namespace(sizes=[8, 9], style_size=1), sizes=8, style_size=1)
    with pytest.raises(UserError, match=r"^--style-size must be at least 2 pixels, not 1\.$"):
        check_least(Namespace(style_size=1), " pixels", style_size=2)
    with pytest.raises(UserError, match=r"^--sizes must be at least 9, not 8\.$"):
        check_least(Namespace(sizes=[10, 8]), sizes=9)


def test_help_of_training_names_its_flags_without_jax(tmp_path):
    done = din_jax("train", "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("--config:", "--workdir:", "--[no]distributed", "--coordinator:", "din:VARIANT"):
        assert word in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", ["stylize", "info", "bench"])
def test_help_has_examples_and_no_jax(name, tmp_path):
    done = din_jax(name, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"din-jax {name}" in done.stdout and done.stdout.splitlines()[-1] == "False"


def test_a_mistake_in_a_command_is_one_sentence_without_jax(tmp_path):
    done = din_jax("trian", folder=tmp_path)
    assert done.returncode == 2 and done.stdout == "False\n"
    assert done.stderr.startswith("error: there is no command 'trian'; they are train, evaluate")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_same_by_name_by_path_and_from_a_clone(name, tmp_path, monkeypatch):
    variant = {"cin": ":demo", "johnson": ":demo", "ulyanov": ":demo"}.get(name, "")
    expected = read_config_file(str(ROOT / f"configs/{name}.py") + variant)
    monkeypatch.chdir(tmp_path)  # as installed: there is no folder of configs
    assert read_config_file(name + variant) == expected
    assert read_config_file(f"configs/{name}.py{variant}") == expected


def test_every_preset_has_its_file_in_a_clone():
    assert {path.stem for path in (ROOT / "configs").glob("*.py")} == set(PRESETS)


def test_a_file_that_is_there_goes_before_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("configs").mkdir()
    Path("configs/din.py").write_text(
        "from din_jax.config import Config\n"
        "def get_config(variant=''):\n    return Config(name='mine').to_config_dict()\n"
    )
    assert read_config_file("configs/din.py").name == "mine"
    assert read_config_file("din").name != "mine"


@pytest.mark.parametrize("spec", ["din:nope", "configs/din.py:nope", f"{ROOT}/configs/din.py:nope"])
def test_an_unknown_variant_is_the_presets_own_sentence(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^configs/din.py has variants .*, not 'nope'\.$"):
        read_config_file(spec)


@pytest.mark.parametrize("library", ["ml_collections", "tensorboardX"])
def test_a_library_that_is_missing_is_one_sentence(library, tmp_path):
    blocked = f"import sys\nsys.modules[{library!r}] = None\n{PROBE}"
    command = ["train", "--config=din:demo", "--workdir=run", "--config.train.steps=1"]
    done = subprocess.run(
        [sys.executable, "-c", blocked, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: the Python module '{library}' is not installed; ")
    assert "pip install" in done.stderr and not (tmp_path / "run").exists()


def test_a_module_of_the_package_that_is_missing_is_a_defect():
    def command():
        raise ModuleNotFoundError("no module", name="din_jax.nothing")

    with pytest.raises(ModuleNotFoundError):
        exit_status(command)


def test_a_commands_own_status_is_kept():
    assert [exit_status(lambda given=given: given) for given in (None, 0, 1)] == [0, 0, 1]


def test_ctrl_c_is_one_sentence_and_status_130(handler, capsys):
    # A suite in the background may ignore it, and so would what it runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def command():
        signal.raise_signal(signal.SIGINT)

    assert exit_status(command) == INTERRUPTED == 130
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: stopped by Ctrl-C") and "\n" not in said
    # Once more must not be a traceback out of the interpreter's end.
    assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL


def turned(error):
    """What an extension module makes of Ctrl-C while it is being loaded."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise error from None


def swallowed():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        pass
    stop_if_interrupted()


@pytest.mark.parametrize(
    "command",
    [
        lambda: turned(ImportError("error while initializing the extension")),
        lambda: turned(UserError("the file cannot be used.")),
        swallowed,
        lambda: exit_status(lambda: turned(ImportError("x"))),
    ],
)
def test_ctrl_c_that_became_something_else_is_ctrl_c(handler, capsys, command):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert exit_status(command) == INTERRUPTED
    assert capsys.readouterr().err.count("error: ") == 1
    # The next command does not take it for its own.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert exit_status(stop_if_interrupted) == 0
    with pytest.raises(ZeroDivisionError):
        exit_status(lambda: 1 / 0)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("program", ["train.py", "evaluate.py", "-m din_jax train"])
def test_ctrl_c_while_the_program_is_being_loaded(program, tmp_path):
    """What it imports does as extension modules do: it tells the trace and raises another error."""
    stub = (
        "import signal, traceback\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n    traceback.print_exc()\n    raise ImportError\n"
    )
    (tmp_path / "argparse.py").write_text(stub)
    (tmp_path / "absl").mkdir()
    (tmp_path / "absl/__init__.py").write_text(stub)
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-c", HEEDED, sys.executable, *program.split()]
        + ["--workdir", str(tmp_path / "run")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("error: stopped by Ctrl-C") == 1
    assert not (tmp_path / "run").exists()


def test_an_install_takes_no_tools_of_the_tests():
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for tool in ("pytest", "ruff"):
        assert tool not in needed
        assert tool in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert about["project"]["scripts"] == {"din-jax": "din_jax.tools.commands:main"}
    assert about["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
