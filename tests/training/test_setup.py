"""What a run says before its first step."""

import pytest

from din_jax.training.setup import products_notice

LINUX = "processor\t: 0\nflags\t\t: fpu sse2 avx2 {}\nbogomips\t: 1\n"


def said(tmp_path, flags: str, products: str = "bfloat16") -> str:
    processor = tmp_path / "cpuinfo"
    processor.write_text(flags)
    return products_notice(products, processor)


def test_a_processor_without_bfloat16_products_is_told_of_float32(tmp_path):
    assert "--config.train.products=float32" in said(tmp_path, LINUX.format("avx512f"))


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_a_processor_with_them_is_not(tmp_path, flag):
    assert said(tmp_path, LINUX.format(flag)) == ""


def test_arm_names_them_otherwise(tmp_path):
    arm = "processor\t: 0\nFeatures\t: fp asimd {}\n"
    assert said(tmp_path, arm.format("")) != ""
    assert said(tmp_path, arm.format("bf16")) == ""


def test_nothing_is_said_of_float32_or_of_what_is_not_known(tmp_path):
    assert said(tmp_path, LINUX.format(""), "float32") == ""
    assert said(tmp_path, "of another system") == ""
    assert products_notice("bfloat16", tmp_path / "none") == ""
