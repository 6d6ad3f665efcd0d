from __future__ import annotations

import pytest

from slue_ner.core.run_files import read_config
from slue_ner.tasks.run import Run
from slue_ner.training.run_folder import claim_data, claim_folder


def test_a_folder_keeps_the_config_that_claimed_it(tmp_path):
    values = {"seed": 0, "optim": {"lr": 1e-5, "betas": [0.9, 0.98]}, "name": None}
    claim_folder(tmp_path, values)
    assert read_config(tmp_path / "config.yaml") == values
    claim_folder(tmp_path, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optim": {"lr": 2.0}}, r"optim.lr is 1.0 there and 2.0 here; choose another name="),
        ({"optim": {"lr": 1.0, "eps": 1}}, "optim.eps is None there and 1 here"),
        ({"optim": {}}, r"optim.lr is 1.0 there and None here"),
    ],
)
def test_another_config_is_refused_by_key(tmp_path, values, message):
    claim_folder(tmp_path, {"optim": {"lr": 1.0}})
    with pytest.raises(ValueError, match=message):
        claim_folder(tmp_path, values)


def test_a_config_that_would_run_code_is_refused_unrun(tmp_path):
    marker = tmp_path / "ran"
    (tmp_path / "config.yaml").write_text(
        f"name: !!python/object/apply:os.system ['touch {marker}']\n"
    )
    with pytest.raises(ValueError, match=r"config.yaml is not YAML: .*python/object/apply"):
        Run.open(tmp_path)
    assert not marker.exists()


def test_a_config_with_a_target_is_an_unknown_key(tmp_path, tiny_values):
    claim_folder(tmp_path, {**tiny_values(), "_target_": "os.system"})
    with pytest.raises(ValueError, match="_target_ is unknown"):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", ["[1, 2]", "seven", ""])
def test_a_config_that_is_no_mapping_is_refused(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"config.yaml should hold a mapping, got"):
        Run.open(tmp_path)


def test_a_folder_without_a_run_is_named(tmp_path, tiny_values):
    with pytest.raises(ValueError, match=r"is not a run folder: it has no config.yaml"):
        Run.open(tmp_path)
    claim_folder(tmp_path, tiny_values())
    with pytest.raises(ValueError, match=r"has no vocabulary.json, which runs with a CTC head"):
        Run.open(tmp_path).predictor()


def test_a_run_whose_training_data_has_changed_is_not_resumed(tmp_path):
    manifest = tmp_path / "fine-tune.jsonl"
    manifest.write_text("one\n")
    run_dir = tmp_path / "run"
    claim_data(run_dir, {"fine-tune": manifest})
    claim_data(run_dir, {"fine-tune": manifest})
    manifest.write_text("two\n")
    with pytest.raises(ValueError, match=r"fine-tune\.jsonl has changed since .*run was started"):
        claim_data(run_dir, {"fine-tune": manifest})
