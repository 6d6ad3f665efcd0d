"""A run's config, as it is and as earlier versions wrote it."""

from __future__ import annotations

from slue_ner.core.run_files import RENAMED_KEYS, read_config


def test_keys_of_earlier_versions_are_read_under_their_names_of_today(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("task: {kind: ctc}\nfeatures: {cache: none}\ndata: {more: [a]}\n")
    assert read_config(path) == {
        "task": {"kind": "ctc"},
        "state_cache": {"cache": "none"},
        "data": {"also_train": ["a"]},
    }


def test_a_mapping_that_is_no_run_keeps_its_keys(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("features: PLACE\n")
    assert read_config(path) == {"features": "PLACE"}


def test_no_name_of_today_is_an_old_one():
    assert not set(RENAMED_KEYS) & set(RENAMED_KEYS.values())
