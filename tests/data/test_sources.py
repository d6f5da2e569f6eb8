"""Parts of sources: held out and chosen."""

import pytest

from din_jax.data.decoding import decode_image
from din_jax.data.folders import FolderSource
from din_jax.data.sources import SubsetSource, split_source


@pytest.mark.parametrize("count, wanted, held", [(2, 16, 1), (9, 16, 1), (50, 4, 4), (50, 16, 10)])
def test_held_out_part_is_disjoint_complete_and_stable(count, wanted, held, list_source):
    numbers = list_source(range(count))
    train, validation = split_source(numbers, wanted)
    train_set, held_set = ({part[i] for i in range(len(part))} for part in (train, validation))
    assert len(held_set) == held and not train_set & held_set
    assert train_set | held_set == set(range(count))
    again = split_source(numbers, wanted)[1]
    assert {again[i] for i in range(len(again))} == held_set


def test_single_picture_serves_as_both_parts(list_source):
    train, validation = split_source(list_source([7]), 16)
    assert train[0] == validation[0] == 7
    train, validation = split_source(list_source([7, 8]), 0)
    assert len(train) == 2 and len(validation) == 0


def test_subset_and_folder_read_the_same_bytes(flat_folder):
    source = FolderSource(flat_folder("some", 5))
    subset = SubsetSource(source, [4, 0])
    assert subset[0] == source[4] and subset.name(1) == source.name(0)
    assert tuple(decode_image(subset[0])[0, 0]) == (4, 8, 251)
