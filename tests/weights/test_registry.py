"""The table of networks: complete, without invented figures, and every name in one place only."""

from __future__ import annotations

import re

import pytest

from segtalker.weights import registry
from segtalker.weights.checkpoint import NETWORKS
from segtalker.weights.registry import ROWS, Published, WeightsRow, WheelMember, groups, rows_of, with_source

SIZES = (256, 512, 1024)
PARTS = {
    *("bisenet", "irse50", "buffalo_l", "maskgan_unet", "e4s", "e4s_d", "psp_ffhq"),
    *(f"stylegan2_ffhq_{size}{part}" for size in SIZES for part in ("", "_d")),
    *("avhubert_base", "avhubert_large", "syncnet_v2", "wav2lip_expert"),
    *("lpips_alex", "lpips_vgg", "inception_fid", "i3d_fvd"),
}


def test_every_part_of_the_method_has_its_row():
    assert {row.name for row in ROWS} >= PARTS


def test_names_groups_and_places_meet_nowhere():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names) and not set(names) & set(groups())
    assert len({(row.group, row.filename) for row in ROWS}) == len(ROWS)
    files = {row.source for row in ROWS}
    assert len({file.filename for file in files}) == len(files)  # they lie side by side in a mirror


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_says_what_it_is_whose_it_is_and_who_reads_it(row: WeightsRow):
    assert row.title and row.licence and row.consumer and row.source.page
    assert row.sha256 is None or re.fullmatch(r"[0-9a-f]{8,64}", row.sha256)
    assert row.size is None or row.size > 0
    if row.network is None:  # what is used as it is must be what was published, to the byte
        assert row.sha256 is not None and len(row.sha256) == 64
    else:
        assert row.filename == f"{row.name}.safetensors" and row.network in NETWORKS
    if isinstance(row.source, Published):
        assert all(url.startswith("https://") and "drive.google" not in url for url in row.source.urls)
        assert row.source.git_blob is None or re.fullmatch(r"[0-9a-f]{40}", row.source.git_blob)


def test_only_free_terms_come_without_a_restriction():
    free = {row.name for row in ROWS if not row.forbids}
    assert {row.name for row in rows_of("faces")} <= free
    assert free <= {row.name for row in ROWS if re.search("Apache|BSD", row.licence)}
    for row in ROWS:
        if row.forbids:
            assert row.forbids in row.terms and row.licence in row.terms
    assert "All Rights Reserved" in rows_of("avhubert_base")[0].terms


def test_two_networks_of_one_file_know_of_each_other():
    (generator,) = rows_of("stylegan2_ffhq_512")
    assert [row.name for row in with_source(generator.source)] == [
        "stylegan2_ffhq_512",
        "stylegan2_ffhq_512_d",
    ]
    assert {row.network for row in rows_of("stylegan2")} == {"generator", "discriminator"}
    assert rows_of("e4s")[0].by_hand and not generator.by_hand


def test_the_pack_is_a_folder_as_insightface_looks_for_it():
    (pack,) = rows_of("buffalo_l")
    assert pack.is_pack and pack.filename == "models/buffalo_l"
    assert [row for row in registry.ROWS if row.is_pack] == [pack]


def test_files_of_a_wheel_are_known_to_the_byte():
    for row in rows_of("faces"):
        assert isinstance(row.source, WheelMember) and row.size and row.filename == row.source.filename
