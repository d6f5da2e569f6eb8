"""The PyTorch side is right by itself: against slow loops, PyTorch's modules, publications."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

import torch.nn.functional as F  # noqa: E402

from din_jax.config import OptimConfig  # noqa: E402
from din_jax.ops.preprocessing import CAFFE, TORCHVISION  # noqa: E402
from parity.reference import dynamic, layers, losses, networks, training, vgg  # noqa: E402
from parity.reference.nets import DeformableLayer, DynamicCode  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def close(a, b, **kwargs):
    torch.testing.assert_close(a, b, **{"rtol": 1e-5, "atol": 1e-5, **kwargs})


@pytest.mark.parametrize(("side", "groups", "dilation"), [(1, 1, 1), (3, 2, 1), (3, 6, 2)])
def test_the_grouping_trick_is_one_convolution_for_each_image(side, groups, dilation):
    x, bias = torch.randn(3, 6, 8, 7), torch.randn(3, 12)
    weight = torch.randn(3, 12, 6 // groups, side, side)
    pad = dilation * (side // 2)
    padded = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
    slow = [
        F.conv2d(padded[i : i + 1], weight[i], bias[i], dilation=dilation, groups=groups)
        for i in range(3)
    ]
    close(dynamic.dynamic_conv(x, weight, bias, dilation), torch.cat(slow))


def test_deformable_at_whole_offsets_is_the_map_moved():
    x, weight = torch.randn(2, 4, 7, 9), torch.randn(2, 5, 4, 3, 3)
    offsets = torch.zeros(2, 18, 7, 9)
    plain = torch.cat([F.conv2d(x[i : i + 1], weight[i], padding=1) for i in range(2)])
    close(dynamic.deformable_conv(x, offsets, weight), plain)
    # Offsets are (y, x): every tap one row down and two columns to the left.
    offsets[:, 0::2], offsets[:, 1::2] = 1, -2
    padded = F.pad(x, (3, -1, 0, 2))
    slow = torch.cat([F.conv2d(padded[i : i + 1], weight[i]) for i in range(2)])
    found = dynamic.deformable_conv(x, offsets, weight)
    close(found, slow)
    half = dynamic.deformable_conv(x, offsets, weight, mask=torch.full((2, 9, 7, 9), 0.5))
    close(half, found / 2)


def test_a_new_deformable_layer_with_a_zero_net_is_the_plain_one():
    layer = DeformableLayer(4, side=3, modulated=True)
    torch.nn.init.zeros_(layer.offset_net.weight), torch.nn.init.zeros_(layer.offset_net.bias)
    x, weight, bias = torch.randn(1, 4, 6, 6), torch.randn(1, 4, 4, 3, 3), torch.randn(1, 4)
    plain = F.conv2d(F.instance_norm(x), weight[0], bias[0], padding=1)
    close(layer(x, weight, bias), plain)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_silent_net_gives_the_identity(groups):
    code = DynamicCode(3, 4, hidden=2, pool=4, kernel=3, scale=0.1, side=3, groups=groups)
    for net in (code.weight_net, code.bias_net):
        torch.nn.init.zeros_(net.last.weight), torch.nn.init.zeros_(net.last.bias)
    x = torch.randn(2, 4, 5, 5)
    weight, bias = code(torch.randn(2, 3, 9, 9))
    close(dynamic.dynamic_conv(x, weight, bias), x)


def test_batch_norm_differs_from_pytorchs_in_the_running_variance_alone():
    ours, theirs = layers.BatchNorm(3, momentum=0.01), torch.nn.BatchNorm2d(3, momentum=0.01)
    x = 2 * torch.randn(2, 3, 4, 5) + 1
    close(ours(x), theirs(x))
    close(ours.running_mean, theirs.running_mean)
    n = x.numel() / 3
    close((theirs.running_var - 0.99) * (n - 1) / n + 0.99, ours.running_var, atol=1e-7)
    close(ours.eval()(x), theirs.eval()(x), atol=5e-3, rtol=0)


def test_standardizing_averages_plainly_at_first():
    layer, batches = layers.RunningStandardize(2), [torch.randn(4, 2) for _ in range(3)]
    for batch in batches:
        layer(batch)
    close(layer.mean, torch.cat(batches).mean(0))
    layer.eval()
    mean = layer.mean.clone()
    close(layer(batches[0]), (batches[0] - mean) / (layer.variance.sqrt() + 0.01))
    close(layer.mean, mean)


def test_vgg_has_torchvisions_names_and_the_published_decoder_its_own():
    names = list(vgg.VGG19(TORCHVISION, 16).state_dict())
    expected = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
    assert names == [f"features.{i}.{kind}" for i in expected for kind in ("weight", "bias")]
    shapes = {
        n: tuple(x.shape[:2]) for n, x in vgg.vgg_decoder().state_dict().items() if x.ndim > 1
    }
    assert shapes == {
        "1.weight": (256, 512), "5.weight": (256, 256), "8.weight": (256, 256),
        "11.weight": (256, 256), "14.weight": (128, 256), "18.weight": (128, 128),
        "21.weight": (64, 128), "25.weight": (64, 64), "28.weight": (3, 64),
    }  # fmt: skip


def test_vgg_preprocesses_and_names_its_maps():
    network = vgg.VGG19(CAFFE, 3)
    image = torch.rand(1, 3, 6, 8)
    found = network(image)
    assert {name: tuple(x.shape[1:]) for name, x in found.items()} == {
        "relu1_1": (64, 6, 8), "relu1_2": (64, 6, 8), "relu2_1": (128, 3, 4),
    }  # fmt: skip
    bgr = 255 * image.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    first = network.features[0]
    slow = F.conv2d(F.pad(bgr, (1,) * 4, mode="reflect"), first.weight, first.bias).relu()
    close(found["relu1_1"], slow, rtol=1e-4)


def test_adain_is_the_published_one_with_its_variance():
    content, style = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 6, 7)

    def mean_std(x):
        flat = x.view(2, 3, -1)
        std = (flat.var(2) + 1e-5).sqrt()
        return flat.mean(2).view(2, 3, 1, 1), std.view(2, 3, 1, 1)

    (m, s), (style_m, style_s) = mean_std(content), mean_std(style)
    close(dynamic.adain(content, style, correction=1), (content - m) / s * style_s + style_m)


def test_losses_by_hand():
    x, y = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    flat = x.flatten(2)
    close(losses.gram(x), torch.einsum("bin,bjn->bij", flat, flat) / 60)
    by_hand = (flat.mean(2) - y.flatten(2).mean(2)).square().mean() + (
        (flat.var(2, correction=0) + 1e-5).sqrt()
        - (y.flatten(2).var(2, correction=0) + 1e-5).sqrt()
    ).square().mean()
    close(losses.style_loss(x, y), by_hand)
    slope = torch.arange(5.0) + 3 * torch.arange(4.0)[:, None]
    close(losses.total_variation(slope[None, None]), torch.tensor(4.0))


def test_upsampling_repeats_the_border_and_cuts():
    x = torch.tensor([[[[0.0, 4.0]]]])
    close(networks.upsample(x, (1, 4)), torch.tensor([[[[0.0, 1.0, 3.0, 4.0]]]]))
    assert networks.upsample(x, (2, 3)).shape == (1, 1, 2, 3)


def test_the_schedule_warms_up_then_holds_or_falls_and_nets_are_ten_times_faster():
    named = [("encoder.conv.weight", torch.nn.Parameter(torch.zeros(1)))]
    named += [(f"codes.level1.{net}.first.weight", torch.nn.Parameter(torch.zeros(1)))
              for net in ("weight_net", "bias_net")]  # fmt: skip
    config = OptimConfig(learning_rate=0.1, warmup=4, decay="cosine")
    optimizer, scheduler = training.make_optimizer(named, config, 24)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 2]
    rates = []
    for _ in range(30):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step(), scheduler.step()
    rates = np.array(rates)
    np.testing.assert_allclose(rates[:, 1], 10 * rates[:, 0])
    np.testing.assert_allclose(rates[:5, 0], [0, 0.025, 0.05, 0.075, 0.1])
    np.testing.assert_allclose(rates[14, 0], 0.1 * (0.01 + 0.99 / 2))
    np.testing.assert_allclose(rates[24:, 0], 0.001)


def test_clipping_is_pytorchs_up_to_its_millionth():
    parameters = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for parameter in parameters:
        parameter.grad = torch.randn(3)
    copies = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for parameter, copy in zip(parameters, copies, strict=True):
        copy.grad = parameter.grad.clone()
    training.clip_by_global_norm(parameters, 0.5)
    torch.nn.utils.clip_grad_norm_(copies, 0.5)
    close(torch.cat([p.grad for p in parameters]), torch.cat([p.grad for p in copies]))
    close(torch.cat([p.grad for p in parameters]).norm(), torch.tensor(0.5))
    training.clip_by_global_norm(parameters, 0.6)
    close(torch.cat([p.grad for p in parameters]).norm(), torch.tensor(0.5))


def test_deformable_convolution_stays_on_the_device_of_its_map():
    # "meta" is a device of shapes alone: an array of the CPU's beside one of its own is refused.
    shapes = (1, 4, 6, 5), (1, 18, 6, 5), (1, 4, 1, 3, 3), (1, 4)
    x, offsets, weight, bias = (torch.empty(shape, device="meta") for shape in shapes)
    y = dynamic.deformable_conv(x, offsets, weight, bias)
    assert y.device.type == "meta" and y.shape == x.shape
