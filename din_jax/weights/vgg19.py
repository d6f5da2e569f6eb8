"""VGG-19 weights from any file that users have, checked layer by layer, and their preprocessing."""

import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

import ml_dtypes
import numpy as np

from din_jax.files import replacing
from din_jax.ops.preprocessing import CAFFE, TORCHVISION, Preprocessing
from din_jax.weights import names
from din_jax.weights.containers import read_arrays
from din_jax.weights.errors import WeightsError

Params = dict[str, dict[str, np.ndarray]]
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class VGGWeights:
    """The convolutions of a VGG-19, from the first to the last that its file holds.

    Attributes:
      params: `conv1_1`, `conv1_2`, ... to {"kernel": [3, 3, I, O], "bias": [O]}, float32.
      preprocessing: what this network wants done to RGB images in [0, 1].
      layers: the names in `params`, in order.
      note: what to say beside results that rest on these weights; "" if nothing.
    """

    params: Params
    preprocessing: Preprocessing
    layers: tuple[str, ...]
    note: str = ""


def load_vgg19(path: str | Path, preprocessing: Preprocessing | None = None) -> VGGWeights:
    """Reads VGG-19 weights, whichever program wrote them, and checks every layer.

    Read are, as .pth, .safetensors or .npz: torchvision's names (`features.N.weight`, with or
    without the prefix; RGB by ImageNet's mean and deviation), the AdaIN authors' `vgg_normalised`
    (`N.weight`, a leading 1x1 convolution, which becomes the preprocessing), and this project's
    (`conv1_1_kernel` HWIO, `conv1_1_bias`, and either `mean_bgr` [3] for BGR bytes minus that mean,
    or what `save_vgg19` writes). A file may end early, after any convolution.

    Args:
      path: the file.
      preprocessing: what the network wants, where the file's names would mislead: Caffe's weights
        under torchvision's names need `din_jax.ops.preprocessing.CAFFE`.

    Raises:
      WeightsNotFound: there is no such file.
      WeightsError: the file is damaged, or entries are missing, misshapen, not finite or unknown;
        the message names all of them.
    """
    arrays = read_arrays(path, lambda name: not name.startswith(names.CLASSIFIER_PREFIXES))
    naming = _naming(arrays)
    if naming is None:
        found = ", ".join(sorted(arrays)[:4]) or "no arrays"
        raise WeightsError(
            f"{path} holds {found} but no first convolution of a VGG-19 (features.0.weight, "
            "0.weight or conv1_1_kernel); give a VGG-19 file"
        )
    params, problems = _collect(arrays, naming)
    found_preprocessing, note = TORCHVISION, ""
    try:
        if naming is names.ADAIN:
            found_preprocessing = _from_first_convolution(arrays)
        elif naming is names.OURS:
            found_preprocessing, note = _from_own_entries(arrays)
    except (KeyError, TypeError, ValueError) as error:
        problems.append(f"its preprocessing is unusable ({error})")
    if problems:
        raise WeightsError(
            f"{path} is not a VGG-19 in {naming.title} layout: {', '.join(problems)}; "
            "give a complete file of that network"
        )
    return VGGWeights(params, preprocessing or found_preprocessing, tuple(params), note)


def save_vgg19(weights: VGGWeights, path: str | Path) -> None:
    """Writes weights, preprocessing and note as one npz file that `load_vgg19` reads back."""
    arrays = {}
    for name, layer in weights.params.items():
        arrays[names.OURS.kernels[name]] = np.asarray(layer["kernel"], np.float32)
        arrays[names.OURS.biases[name]] = np.asarray(layer["bias"], np.float32)
    for field, value in dataclasses.asdict(weights.preprocessing).items():
        arrays[f"preprocessing_{field}"] = np.asarray(value)
    arrays["note"] = np.asarray(weights.note)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def require_layers(weights: VGGWeights, wanted: Iterable[str]) -> None:
    """Refuses layers that the weights lack; names are `relu4_1` or `conv4_1`.

    Raises:
      WeightsError: names what is no layer of VGG-19, or which layers the file does not reach.
    """
    convolutions = {name: re.sub("^relu", "conv", name) for name in wanted}
    unknown = [name for name, conv in convolutions.items() if conv not in names.CHANNELS]
    if unknown:
        raise WeightsError(
            f"{', '.join(unknown)} is no layer of VGG-19; name relu1_1 to relu5_4 "
            "(blocks of 2, 2, 4, 4 and 4)"
        )
    lacking = [name for name, conv in convolutions.items() if conv not in weights.params]
    if lacking:
        raise WeightsError(
            f"the VGG-19 weights end at {weights.layers[-1]} and lack {', '.join(lacking)}; choose "
            "earlier layers, or a file that goes further such as torchvision's"
        )


def _naming(arrays: Arrays) -> names.Naming | None:
    if names.ADAIN_FIRST_KERNEL in arrays:
        if arrays[names.ADAIN_FIRST_KERNEL].shape[2:] == (1, 1):
            return names.ADAIN
        return names.TORCHVISION_FEATURES
    for naming in (names.TORCHVISION_FULL, names.OURS):
        # Any entry decides, so that a file that lacks its first one is told what it lacks.
        if not arrays.keys().isdisjoint([*naming.kernels.values(), *naming.biases.values()]):
            return naming
    return None


def _collect(arrays: Arrays, naming: names.Naming) -> tuple[Params, list[str]]:
    """All convolutions up to the last one of which there is a trace, and all that is wrong."""
    entries = [(conv, naming.kernels[conv], naming.biases[conv]) for conv in names.CHANNELS]
    there = [i for i, (_, k, b) in enumerate(entries) if k in arrays or b in arrays]
    params, problems, known = {}, [], set()
    for conv, kernel_name, bias_name in entries[: max(there, default=-1) + 1]:
        inputs, outputs = names.CHANNELS[conv]
        shape = (outputs, inputs, 3, 3) if naming.oihw else (3, 3, inputs, outputs)
        known |= {kernel_name, bias_name}
        wrong = [
            *_wrong(arrays, kernel_name, shape, f"{conv}'s kernel"),
            *_wrong(arrays, bias_name, (outputs,), f"{conv}'s bias"),
        ]
        problems += wrong
        if not wrong:
            kernel = arrays[kernel_name].astype(np.float32)
            if naming.oihw:
                kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
            params[conv] = {"kernel": kernel, "bias": arrays[bias_name].astype(np.float32)}
    if not there:
        problems.append("it has no convolution")
    problems += [f"{n} is unknown" for n in arrays if n not in known and not _extra(n, naming)]
    return params, problems


def _wrong(arrays: Arrays, name: str, shape: tuple[int, ...], what: str) -> list[str]:
    if name not in arrays:
        return [f"{name} ({what}) is missing"]
    array = arrays[name]
    if array.shape != shape:
        return [f"{name} ({what}) has shape {array.shape} where {shape} belongs"]
    # numpy does not count bfloat16 among the floating point types.
    if array.dtype.kind != "f" and array.dtype != ml_dtypes.bfloat16:
        return [f"{name} ({what}) holds {array.dtype} where floating point numbers belong"]
    if not np.isfinite(array.astype(np.float32)).all():
        return [f"{name} ({what}) holds infinite or undefined numbers"]
    return []


def _extra(name: str, naming: names.Naming) -> bool:
    """Whether an entry belongs to such a file though it is none of the sixteen convolutions."""
    if naming is names.ADAIN:
        return name in (names.ADAIN_FIRST_KERNEL, names.ADAIN_FIRST_BIAS)
    if naming is names.OURS:
        return name in ("mean_bgr", "note") or bool(
            re.fullmatch(r"preprocessing_(scale|mean|std|bgr)|conv\d_\d_exact_taps", name)
        )
    return False


def _from_first_convolution(arrays: Arrays) -> Preprocessing:
    """The 1x1 convolution y_c = s_c x_(2-c) + b_c (or x_c) as a preprocessing: exact.

    With scale 255 it is (255 x - mean) / std, where std = 255 / s and mean = -b std.
    """
    kernel = arrays[names.ADAIN_FIRST_KERNEL].astype(np.float64)[:, :, 0, 0]
    bias = arrays[names.ADAIN_FIRST_BIAS].astype(np.float64)
    if kernel.shape != (3, 3) or bias.shape != (3,):
        raise ValueError(f"its 1x1 convolution has shape {kernel.shape}, not (3, 3)")
    reversing = kernel[:, ::-1]
    bgr = np.count_nonzero(reversing - np.diag(np.diag(reversing))) == 0
    scales = np.diag(reversing if bgr else kernel)
    if not bgr and np.count_nonzero(kernel - np.diag(scales)) or not np.all(scales > 0):
        raise ValueError("its 1x1 convolution does more than scale and reverse the channels")
    std = 255.0 / scales
    mean = -bias * std
    order = slice(None, None, -1 if bgr else 1)
    return Preprocessing(255.0, _decimal(mean[order]), _decimal(std[order]), bool(bgr))


def _from_own_entries(arrays: Arrays) -> tuple[Preprocessing, str]:
    notes = [str(arrays["note"])] if str(arrays.get("note", "")) else []
    for name, taps in arrays.items():
        if name.endswith("_exact_taps") and not taps.all():
            layer = name.removesuffix("_exact_taps")
            rebuilt = int(np.count_nonzero(~taps.astype(bool)))
            notes.append(f"{layer} rebuilt from 8 bit in {rebuilt} of {taps.size} taps")
    if "mean_bgr" in arrays:
        mean = _decimal(arrays["mean_bgr"][::-1])
        return dataclasses.replace(CAFFE, mean=mean), "; ".join(notes)
    if "preprocessing_scale" in arrays:
        scale, mean, std, bgr = (
            arrays[f"preprocessing_{field}"] for field in ("scale", "mean", "std", "bgr")
        )
        stored = Preprocessing(float(scale), _triple(mean), _triple(std), bool(bgr))
        return stored, "; ".join(notes)
    notes.append("the file names no preprocessing: torchvision's is assumed")
    return TORCHVISION, "; ".join(notes)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _decimal(values: np.ndarray) -> tuple[float, float, float]:
    """Numbers stored in float32 as the decimals that were meant: 123.68, not 123.68000030517578."""
    return _triple(np.array([str(np.float32(value)) for value in values], np.float64))
