"""Color profiles are applied on reading, and transparency is kept where it is asked for."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from din_jax.data.decoding import decode_image, decode_pil, upright

# Adobe RGB (1998), D50-adapted, columns the primaries' XYZ; and sRGB's, as the ICC publishes them.
ADOBE = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
GAMMA = 563 / 256


def profile(primaries, gamma, space=b"RGB ", name=b"wide"):
    """An ICC profile of version 2 by hand: a matrix and a power for each channel."""

    def s15(x):
        return struct.pack(">i", round(x * 65536))

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(map(s15, values))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79
    text += b"\0" * (-len(text) % 4)
    tags = {b"desc": text, b"wtpt": xyz((0.9642, 1, 0.8249)), b"cprt": b"text\0\0\0\0none"}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for i, channel in enumerate((b"r", b"g", b"b")):
            tags[channel + b"XYZ"] = xyz(primaries[:, i])
            tags[channel + b"TRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, value in tags.items():
        table += tag + struct.pack(">II", start + len(data), len(value))
        data += value
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"\0" * 4, 0x02100000, b"mntr", space,
                         b"XYZ ")  # fmt: skip
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp"
    header = header.ljust(68, b"\0") + s15(0.9642) + s15(1) + s15(0.8249)
    return header.ljust(128, b"\0") + table + data


def as_srgb(pixels):
    """Adobe RGB values in sRGB by the two standards' formulas."""
    linear = (pixels / 255.0) ** GAMMA @ ADOBE.T @ np.linalg.inv(SRGB).T
    linear = np.clip(linear, 0, 1)
    low = linear <= 0.0031308
    return 255 * np.where(low, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(40, 216, (18, 20, 3), np.uint8)


def test_a_profile_is_applied(encode, pixels):
    data = encode(pixels, icc_profile=profile(ADOBE, GAMMA))
    expected = as_srgb(pixels)
    assert np.abs(expected - pixels).mean() > 5  # it matters
    np.testing.assert_allclose(decode_image(data), expected, atol=2)


def test_of_srgb_nothing_is_changed(encode, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode_image(encode(pixels, icc_profile=srgb)), pixels)


def test_gray_with_a_profile_of_its_own(encode):
    gray = (np.arange(400) % 240 + 16).reshape(20, 20).astype(np.uint8)
    result = decode_image(encode(gray, icc_profile=profile(None, 1.8, b"GRAY")))
    linear = (gray / 255.0) ** (461 / 256)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(result, 255 * np.repeat(expected[..., None], 3, 2), atol=2)


@pytest.mark.parametrize(
    "bad",
    [b"no profile", profile(ADOBE, GAMMA)[:200], profile(None, 1.0, b"GRAY"), b"\0" * (1 << 22)],
    ids=["garbage", "cut", "of gray", "large"],
)
def test_a_profile_that_is_no_good_does_not_cost_the_picture(pixels, bad):
    image = Image.fromarray(pixels)
    image.info["icc_profile"] = bad
    np.testing.assert_array_equal(np.asarray(upright(image)), pixels)


def test_alpha_is_kept_where_asked_for_and_colors_below_it_converted(encode, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (18, 20, 1), np.uint8)
    data = encode(np.concatenate([pixels, alpha], 2), icc_profile=profile(ADOBE, GAMMA))
    kept = np.asarray(decode_pil(data, alpha=True))
    np.testing.assert_array_equal(kept[..., 3:], alpha)
    np.testing.assert_allclose(kept[..., :3], as_srgb(pixels), atol=2)
    white = as_srgb(pixels) * (alpha / 255) + 255 - alpha
    np.testing.assert_allclose(decode_image(data), white, atol=3)


def test_an_opened_image_is_turned_and_stays_open(encode, pixels):
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = 6  # 90 degrees clockwise
    np.testing.assert_array_equal(np.asarray(upright(image)), np.rot90(pixels, -1))
    assert np.asarray(image).shape == pixels.shape
