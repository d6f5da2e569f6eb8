"""Table 1 of the paper, counted from the modules."""

import json

import pytest

from din_jax.evaluation.flops import count_table, main

# 1e9 operations: what a profiler of 2019 counts at 512 x 512, worked out by hand from the layers.
BY_HAND = {
    ("Johnson", "encoder"): 14.160,
    ("Johnson", "decoder"): 19.592,
    ("AdaIN (VGG)", "encoder"): 63.438,
    ("AdaIN (VGG)", "decoder"): 63.358,
    ("WCT", "encoders"): 203.422,
    ("WCT", "decoders"): 203.089,
    ("DIN (MobileNet)", "encoder"): 3.6228,
    ("DIN (MobileNet)", "decoder"): 3.7148,
    ("DIN (MobileNet)", "weight and bias nets"): 0.0196,
}


@pytest.fixture(scope="module")
def rows():
    return {(row.model, row.part): row for row in count_table()}


@pytest.mark.parametrize("key", BY_HAND)
def test_counts_are_those_worked_out_by_hand(rows, key):
    assert rows[key].operations.total / 1e9 == pytest.approx(BY_HAND[key], rel=0.01)


@pytest.mark.parametrize("key", list(BY_HAND)[:-1])
def test_counts_are_the_papers(rows, key):
    assert rows[key].operations.total == pytest.approx(rows[key].paper, rel=0.01)


def test_the_nets_are_near_the_papers(rows):
    # Many structures fit the paper's words; this one is 2 % below its figure.
    row = rows["DIN (MobileNet)", "weight and bias nets"]
    assert row.operations.total == pytest.approx(row.paper, rel=0.02)
    assert row.parameters == pytest.approx(14.3e6, rel=0.01)


def test_the_multiply_adds_of_din_are_the_sum_of_its_layers(rows):
    residual = 2 * (9 * 128 + 128 * 128) * 128**2
    encoder = (
        81 * 3 * 32 * 512**2
        + (9 * 32 + 32 * 64) * 256**2
        + (9 * 64 + 64 * 128) * 128**2
        + 2 * residual
    )
    styled = 128**2 * 128**2 + 64**2 * 256**2 + 32**2 * 512**2
    decoder = (
        2 * residual
        + styled
        + (9 * 128 + 128 * 64) * 256**2
        + (9 * 64 + 64 * 32) * 512**2
        + 9 * 32 * 3 * 512**2
    )
    assert rows["DIN (MobileNet)", "encoder"].operations.macs == encoder
    assert rows["DIN (MobileNet)", "decoder"].operations.macs == decoder


def test_no_two_rows_share_a_name_and_all_are_in_the_paper(rows):
    assert set(rows) == set(BY_HAND)
    assert all(row.paper for row in rows.values())


def test_json_rows_at_another_size_have_no_paper_column(capsys):
    assert main(["--size", "32", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["model"], row["part"]) for row in rows] == list(BY_HAND)
    assert all(row["paper"] is None and row["operations"] > 0 for row in rows)
    assert all(
        row["operations"] == sum(row[k] for k in ("macs", "bias", "norm", "relu", "max_pool"))
        for row in rows
    )


def test_the_text_table_shows_dashes_for_other_sizes(capsys):
    assert main(["--size", "32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Operations at 32 x 32")
    assert len(lines) == 3 + len(BY_HAND)
    assert all(" -  " in line for line in lines[3:])


@pytest.mark.parametrize("size", ["16", "100", "0"])
def test_a_bad_size_is_one_sentence_and_status_2(capsys, size):
    assert main(["--size", size]) == 2
    error = capsys.readouterr().err
    assert error == f"error: --size must be a multiple of 16 from 32 up, not {size}.\n"
