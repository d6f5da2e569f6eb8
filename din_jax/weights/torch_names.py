"""Weights of a PyTorch DIN and of this project, either way, by one table of rules.

A PyTorch model is its state dict: names to arrays, convolution kernels [O, I / groups, K, K]. Here
it is {"params", "batch_stats"} in nested dicts, kernels [K, K, I / groups, O]. Numbers only change
places, so a round trip is bit-exact; PyTorch itself is not needed.

    PyTorch                        here
    encoder.conv.conv.weight       params.encoder.conv.conv.kernel          (transposed)
    encoder.conv.norm.weight       params.encoder.conv.norm.scale
    encoder.conv.norm.running_var  batch_stats.encoder.conv.norm.var
    decoder.1.weight               params.decoder.convs.0.kernel            (VGG-19 network)

    save_model("din.safetensors", config, read_torch("din.pth", config.model), dtype="float32")
    write_torch("for_pytorch.safetensors", variables_of(load_model("din.safetensors").model))

The decoder of the VGG-19 network has the names of `decoder.pth` as naoto0804/pytorch-AdaIN
publishes it: an `nn.Sequential` that counts paddings, ReLUs and upsamplings. `vgg_normalised.pth`
beside it (as `.safetensors`) and torchvision's VGG-19 are read by `load_vgg19`, and both are
written by `vgg19_to_torch`.
"""

import functools
import re
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from flax import nnx

from din_jax.config import ModelConfig
from din_jax.files import write_atomically
from din_jax.models.network import VGGBackbone, abstract_network
from din_jax.models.vgg import conv_shapes, layers_up_to
from din_jax.ops.preprocessing import Preprocessing
from din_jax.weights import names
from din_jax.weights.checked import Expected, read_checked
from din_jax.weights.containers import Entry, entry_of
from din_jax.weights.errors import WeightsError
from din_jax.weights.opening import open_weights
from din_jax.weights.runs import flatten
from din_jax.weights.vgg19 import VGGWeights

Arrays = dict[str, np.ndarray]
DEEPEST = "relu4_1"


class Rule(NamedTuple):
    """A PyTorch name, our name, and whether OIHW becomes HWIO; `*` stands for the same in both."""

    theirs: str
    ours: str
    kernel: bool = False


def _decoder_indices() -> dict[str, str]:
    """Place of each convolution in the published `nn.Sequential` to its place in `VGGDecoder`.

    Reflection padding stands before each convolution, a ReLU after it, an upsampling after those
    that mirror a convolution behind a pooling.
    """
    indices, here = {}, 1
    for place, name in enumerate(reversed(layers_up_to(DEEPEST))):
        indices[str(here)] = str(place)
        here += 4 if name.endswith("_1") else 3
    return indices


DECODER_INDICES = _decoder_indices()

# The first rule that fits decides, in either direction.
RULES = (
    *(
        Rule(f"decoder.{theirs}.weight", f"params.decoder.convs.{ours}.kernel", True)
        for theirs, ours in DECODER_INDICES.items()
    ),
    *(
        Rule(f"decoder.{theirs}.bias", f"params.decoder.convs.{ours}.bias")
        for theirs, ours in DECODER_INDICES.items()
    ),
    Rule("feedback.pictures", "batch_stats.feedback.pictures"),
    Rule("standardize.*", "batch_stats.standardize.*"),
    Rule("normalizers.*.mean", "batch_stats.normalizers.*.mean"),
    Rule("normalizers.*.variance", "batch_stats.normalizers.*.variance"),
    Rule("*_table", "params.*_table"),
    Rule("*_basis", "params.*_basis"),
    Rule("*.norm.running_mean", "batch_stats.*.norm.mean"),
    Rule("*.norm.running_var", "batch_stats.*.norm.var"),
    Rule("*.norm.weight", "params.*.norm.scale"),
    Rule("*.weight", "params.*.kernel", True),
    Rule("*.bias", "params.*.bias"),
)
# PyTorch counts the batches of a batch norm and, with a fixed momentum, never reads the count.
COUNTER = ".num_batches_tracked"


def torch_name(name: str) -> str:
    """PyTorch's name of an array of ours, `params.encoder.conv.conv.kernel`.

    Raises:
      ValueError: no rule fits.
    """
    return _by_rule(name, ours=True)[0]


def our_name(name: str) -> str:
    """Our name of an entry of PyTorch's, `encoder.conv.conv.weight`.

    Raises:
      ValueError: no rule fits.
    """
    return _by_rule(name, ours=False)[0]


def to_torch(variables: Mapping[str, Any]) -> Arrays:
    """{"params", "batch_stats"}, nested or dotted, to a PyTorch state dict of numpy arrays.

    `model.load_state_dict({name: torch.from_numpy(x) for name, x in to_torch(v).items()})` takes
    it strictly; PyTorch sets its counters of batches, which are not here, to zero.
    """
    arrays = {}
    for name, value in flatten(variables).items():
        theirs, kernel = _by_rule(name, ours=True)
        value = np.asarray(value)
        arrays[theirs] = np.ascontiguousarray(value.transpose(3, 2, 0, 1)) if kernel else value
    return arrays


def from_torch(
    state_dict: Mapping[str, Any], config: ModelConfig, source: str = "the state dict"
) -> dict[str, Any]:
    """A PyTorch state dict to {"params", "batch_stats"}, complete or not at all.

    Args:
      state_dict: names to arrays, or to anything that `np.asarray` takes, such as CPU tensors.
        For the VGG-19 network the names of a published decoder alone (`1.weight`) do too.
      config: the model that the weights are for.
      source: what to call the state dict in messages.

    Raises:
      WeightsError: names missing, unexpected, misshapen and unfit entries, as many as have room.
    """
    return _from_entries(
        {name: entry_of(np.asarray(x)) for name, x in state_dict.items()}, config, source
    )


def read_torch(path: str | Path, config: ModelConfig) -> dict[str, Any]:
    """The same from a file: a state dict as `.safetensors`, `.npz` or `.pth`, without PyTorch.

    Raises:
      WeightsError, WeightsNotFound: no file, a damaged one, or one that does not fit `config`.
    """
    with open_weights(path) as entries:
        return _from_entries(entries, config, str(path))


def _from_entries(
    entries: Mapping[str, Entry], config: ModelConfig, source: str
) -> dict[str, Any]:
    given = {name: entry for name, entry in entries.items() if not name.endswith(COUNTER)}
    if config.network == "vgg19" and given and all(name[:1].isdigit() for name in given):
        given = {f"decoder.{name}": entry for name, entry in given.items()}
    expected, places = {}, {}
    for name, shape in model_shapes(config).items():
        theirs, kernel = _by_rule(name, ours=True)
        places[theirs] = name, kernel
        expected[theirs] = Expected((shape[3], shape[2], *shape[:2]) if kernel else shape)
    arrays, problems = read_checked(given, expected)
    if problems:
        raise WeightsError(
            f"{source} does not fit the model: {problems}; give the weights of that "
            "model, or its config"
        )
    tree: dict = {}
    for theirs, array in arrays.items():
        name, kernel = places[theirs]
        _place(tree, name, np.ascontiguousarray(array.transpose(2, 3, 1, 0)) if kernel else array)
    return {"params": tree["params"], "batch_stats": tree.get("batch_stats", {})}


def write_torch(path: str | Path, variables: Mapping[str, Any]) -> Path:
    """Writes a state dict as `.safetensors`; PyTorch reads it by `safetensors.torch.load_file`.

    Raises:
      WeightsError: another suffix.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise WeightsError(
            f"weights for PyTorch are written to a .safetensors file, not to {path}; from there "
            "torch.save can make a .pth"
        )
    return write_atomically(path, safetensors.numpy.save(to_torch(variables)))


def vgg19_to_torch(weights: VGGWeights, naming: str = "torchvision") -> Arrays:
    """A VGG-19 as the state dict that torchvision or the AdaIN authors publish.

    Args:
      weights: as `load_vgg19` gives them, complete or ending early.
      naming: "torchvision" (`features.0.weight`; the caller preprocesses), or "adain"
        (`2.weight`), whose leading 1x1 convolution `0.weight` is the preprocessing.
    """
    table = {"torchvision": names.TORCHVISION_FULL, "adain": names.ADAIN}[naming]
    arrays = {}
    if naming == "adain":
        kernel, bias = _first_convolution(weights.preprocessing)
        arrays = {names.ADAIN_FIRST_KERNEL: kernel, names.ADAIN_FIRST_BIAS: bias}
    for name, layer in weights.params.items():
        kernel = np.asarray(layer["kernel"]).transpose(3, 2, 0, 1)
        arrays[table.kernels[name]] = np.ascontiguousarray(kernel)
        arrays[table.biases[name]] = np.asarray(layer["bias"])
    return arrays


@functools.lru_cache(maxsize=16)
def model_shapes(config: ModelConfig) -> Mapping[str, tuple[int, ...]]:
    """Our dotted names to shapes of all that a checkpoint of this model holds."""
    params = {
        name: {
            "kernel": np.broadcast_to(np.float32(0), conv_shapes()[name]),
            "bias": np.broadcast_to(np.float32(0), conv_shapes()[name][3:]),
        }
        for name in layers_up_to(DEEPEST)
    }
    backbone = VGGBackbone(params, Preprocessing())
    model = abstract_network(config, backbone)
    kinds = {"params": nnx.Param, "batch_stats": nnx.BatchStat}
    tree = {name: nnx.to_pure_dict(nnx.state(model, kind)) for name, kind in kinds.items()}
    shapes = {name: tuple(leaf.shape) for name, leaf in flatten(tree).items()}
    return types.MappingProxyType(shapes)  # kept for the next caller


def _by_rule(name: str, *, ours: bool) -> tuple[str, bool]:
    """The name on the other side, and whether the array is a kernel."""
    for rule in RULES:
        source, target = (rule.ours, rule.theirs) if ours else (rule.theirs, rule.ours)
        found = re.fullmatch(re.escape(source).replace(r"\*", "(.+)"), name)
        if found:
            return target.replace("*", *found.groups()) if "*" in target else target, rule.kernel
    raise ValueError(f"No rule of the table between PyTorch's names and ours fits {name!r}.")


def _place(tree: dict, name: str, array: np.ndarray) -> None:
    """Puts an array where its dotted name says; places in a list are numbers, as Flax has them."""
    *path, leaf = [int(key) if key.isdigit() else key for key in name.split(".")]
    for key in path:
        tree = tree.setdefault(key, {})
    tree[leaf] = array


def _first_convolution(preprocessing: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """(scale x - mean) / std, then BGR if asked, as a 1x1 convolution [3, 3, 1, 1] and bias [3]."""
    std = np.asarray(preprocessing.std)
    kernel = np.diag(preprocessing.scale / std)
    bias = -np.asarray(preprocessing.mean) / std
    if preprocessing.bgr:
        kernel, bias = kernel[::-1], bias[::-1]
    return np.float32(kernel)[:, :, None, None], np.float32(bias)
