"""Machines that only paint have neither grain nor TFDS."""

import subprocess
import sys

BLOCKED = ("grain", "tensorflow_datasets", "array_record", "tensorflow")
CODE = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED!r}))  # None: ImportError
import importlib, pkgutil
import din_jax.data as data
for module in pkgutil.walk_packages(data.__path__, "din_jax.data."):
    if module.name != "din_jax.data.tfds_builders":  # its classes are TFDS's
        importlib.import_module(module.name)
from din_jax.config import DataConfig
pair, = data.validation_pairs(DataConfig(resize=32, crop=32), 1, 0)
assert pair["content"].shape == (32, 32, 3)
try:
    data.open_source(f"tfds:{{sys.argv[1]}}", "style")
except data.SourceError as error:
    print(error)
"""


def test_data_work_without_grain_and_tfds(tmp_path):
    (tmp_path / "dataset_info.json").touch()
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "pip install tensorflow-datasets" in done.stdout
