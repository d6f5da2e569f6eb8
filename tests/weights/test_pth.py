"""PyTorch files are read exactly, run nothing, and fail in one sentence."""

import os
import zipfile

import numpy as np
import pytest

from din_jax.errors import UserError
from din_jax.weights import WeightsError
from din_jax.weights.opening import open_weights


def read_pth(path, keep=lambda name: True):
    with open_weights(path) as entries:
        return {name: entry.read() for name, entry in entries.items() if keep(name)}


@pytest.fixture
def arrays():
    rng = np.random.default_rng(1)
    return {
        "features.0.weight": rng.standard_normal((4, 3, 3, 3), np.float32),
        "features.0.bias": rng.standard_normal(4, np.float32),
        "half": rng.standard_normal(5).astype(np.float16),
        "steps": np.arange(3),
        "scalar": np.array(2.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
    }


def put(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return path


def refused(path):
    with pytest.raises(WeightsError) as caught:
        read_pth(path)
    message = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert str(path) in message and "\n" not in message
    return message


def test_both_layouts_give_the_stored_numbers_and_types(tmp_path, layout, arrays):
    found = read_pth(put(tmp_path, layout(arrays)))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_big_endian_archive_gives_the_same_numbers(tmp_path, make, arrays):
    found = read_pth(put(tmp_path, make.zip(arrays, order=">")))
    np.testing.assert_array_equal(found["half"], arrays["half"])
    np.testing.assert_array_equal(found["features.0.weight"], arrays["features.0.weight"])


def test_views_share_one_storage_by_offset_and_stride(tmp_path, layout, make):
    base = np.arange(40, dtype=np.float32)
    stored = make.Stored("7", base)
    tensors = {
        "transposed": make.Tensor(stored, 5, (4, 3), (1, 4)),
        "tail": make.Tensor(stored, 38, (2,), (1,)),
        "every_third": make.Tensor(stored, 0, (14,), (3,)),
    }
    found = read_pth(put(tmp_path, layout(tensors)))
    np.testing.assert_array_equal(found["transposed"], base[5:17].reshape(3, 4).T)
    np.testing.assert_array_equal(found["tail"], [38, 39])
    np.testing.assert_array_equal(found["every_third"], base[::3])


def test_the_oldest_files_rebuild_tensors_and_storage_views(tmp_path, make):
    base = np.arange(20, dtype=np.float32)
    tensor = make.Tensor(make.Stored("1", base), 1, (3,), (1,), function="_rebuild_tensor")
    data = make.legacy({"bias": tensor}, extra=(("2", 10, 6),))
    np.testing.assert_array_equal(read_pth(put(tmp_path, data))["bias"], [11, 12, 13])


def test_unwanted_tensors_are_not_read(tmp_path, make, arrays):
    first = {"wanted": arrays["half"], "classifier": arrays["features.0.weight"]}
    path = put(tmp_path, make.zip(first, leave_out=("1",)))
    assert list(read_pth(path, lambda name: name == "wanted")) == ["wanted"]
    assert "archive/data/1" in refused(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("torch.nn", "Module"), ("torch", "load")],
)
def test_any_other_name_is_refused_and_nothing_runs(tmp_path, layout, make, module, name):
    mark = tmp_path / "executed"
    code = f"touch {mark}" if name == "system" else f"open({str(mark)!r}, 'w')"
    call = make.Call(make.Global(module, name), (code,))
    message = refused(put(tmp_path, layout({"bias": np.ones(2, np.float32), "hook": call})))
    assert f"{module}.{name}" in message
    assert not mark.exists()


def test_a_pickle_cannot_leave_a_trace_for_the_next_file(tmp_path, make):
    # The opcode BUILD sets attributes on what stands below it: here on what FloatStorage becomes.
    evil = b"\x80\x02ctorch\nFloatStorage\nN}X\x05\x00\x00\x00dtypeK\x01s\x86b."
    refused(put(tmp_path, evil))
    good = put(tmp_path, make.zip({"bias": np.ones(2, np.float32)}))
    np.testing.assert_array_equal(read_pth(good)["bias"], 1)


def test_a_file_cut_anywhere_is_refused(tmp_path, layout):
    data = layout({"w": np.arange(6, dtype=np.float32), "b": np.ones(2, np.float32)})
    for length in [*range(0, len(data), 9), len(data) - 1]:
        refused(put(tmp_path, data[:length]))


def test_a_legacy_file_cut_in_a_part_that_is_not_wanted_is_refused(tmp_path, make):
    data = make.legacy({"w": np.arange(6, dtype=np.float32), "z": np.ones(9, np.float32)})
    path = put(tmp_path, data[:-4])
    with pytest.raises(WeightsError, match="inside storage 1"):
        read_pth(path, lambda name: name == "w")


def test_changed_numbers_in_an_archive_are_noticed(tmp_path, make):
    numbers = np.arange(1, 9, dtype=np.float32)
    data = make.zip({"w": numbers})
    place = data.index(numbers.tobytes())
    refused(put(tmp_path, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]))


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (9,), (1,)),
        (1, (8,), (1,)),
        (0, (2, 4), (5, 1)),
        (0, (1000, 1000), (0, 0)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, ("2",), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, layout, make, offset, shape, stride):
    stored = make.Stored("0", np.arange(8, dtype=np.float32))
    refused(put(tmp_path, layout({"w": make.Tensor(stored, offset, shape, stride)})))


def test_compressed_archives_are_refused(tmp_path, make):
    data = make.zip({"w": np.zeros(1000, np.float32)}, compression=zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(put(tmp_path, data))


def test_other_roots_and_entries_are_refused(tmp_path, layout):
    assert "list" in refused(put(tmp_path, layout([1, 2])))
    assert "'epoch'" in refused(put(tmp_path, layout({"epoch": 3})))


def test_files_of_other_programs_are_refused(tmp_path, make):
    assert "PyTorch" in refused(put(tmp_path, make.legacy({}, magic=7)))
    for data in (b"", b"\x80", b"hello", b"<html>not found</html>", os.urandom(200)):
        refused(put(tmp_path, data))


def test_pytorch_agrees_both_ways(tmp_path, layout, make, arrays):
    torch = pytest.importorskip("torch")
    loaded = torch.load(put(tmp_path, layout(arrays)), weights_only=True)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
    modern = layout is make.zip
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    state["transposed"] = torch.arange(12.0).reshape(3, 4).t()
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    state["brain"] = torch.tensor([1.5, -2]).bfloat16()
    torch.save(state, tmp_path / "theirs.pth", _use_new_zipfile_serialization=modern)
    found = read_pth(tmp_path / "theirs.pth")
    for name, tensor in state.items():
        expected = tensor.detach().float().numpy()
        np.testing.assert_array_equal(found[name].astype(np.float32), expected)
