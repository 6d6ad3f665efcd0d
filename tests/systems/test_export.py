from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModel, SeamlessM4TFeatureExtractor

from slue_ner.cli.compose import compose_config
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.systems.encoder_export import export_encoder
from slue_ner.systems.experiment import run_experiment
from slue_ner.tasks.run import Run

QUICK = "trainer.max_updates=2"
WEIGHTS = "model.safetensors"
Finished = Callable[[str], Path]


WAVEFORM = (
    "encoder=small_wav2vec2",
    "encoder.overrides.conv_dim=[8,8,8,8,8,8,8]",
    "encoder.overrides.num_conv_pos_embeddings=8",
)
LOG_MEL_ONLY = ("conv_depthwise_kernel_size", "feature_projection_input_dim")


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_overrides: list[str],
    tiny_pretraining: list[str],
) -> Finished:
    """``finished("lora")``: a finished tiny run of that kind, trained once for all tests."""
    waveform = [o for o in tiny_overrides if not any(name in o for name in LOG_MEL_ONLY)]
    waveform.remove("encoder=small")  # there can be one only
    kinds = {
        "full": tiny_overrides,
        "truncate": [*tiny_overrides, "adaptation=truncate"],
        "lora": [*tiny_overrides, "adaptation=lora", "adaptation.rank=2"],
        "waveform": [*waveform, *WAVEFORM, "encoder.overrides.hidden_size=16"],
        "pretrain": [*tiny_overrides, *tiny_pretraining, "task.objective=both"],
        "masked": [*tiny_overrides, *tiny_pretraining, "task.objective=masked"],
    }
    made: dict[str, Path] = {}

    def run(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            values = compose_config([*kinds[kind], "trainer.max_updates=2"])
            threads = torch.get_num_threads()
            run_experiment(values, folder, console=Console(file=io.StringIO()))
            torch.set_num_threads(threads)
            made[kind] = folder
        return made[kind]

    return run


def encoder_of(run: Path) -> SpeechEncoder:
    return Run.open(run).encoder()


def noise() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(1, 12_000, generator=generator), torch.tensor([12_000])


@torch.no_grad()
def expected(encoder: SpeechEncoder) -> Tensor:
    values: Tensor = encoder(*noise()).values
    return values


@torch.no_grad()
def computed(folder: Path, encoder: SpeechEncoder) -> Tensor:
    """What transformers alone makes of the input that the run's encoder sees."""
    inputs, num_samples = noise()
    if encoder.filter_bank is not None:
        inputs = encoder.filter_bank(inputs, num_samples)
    model = AutoModel.from_pretrained(folder).float().eval()
    values: Tensor = model(inputs).last_hidden_state
    return values


def facts(folder: Path) -> dict[str, str]:
    """The lines between the marks of the card."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    lines = text.split("<!-- facts -->")[1].split("<!-- /facts -->")[0].strip().splitlines()
    return dict(line.removeprefix("- ").split(": ", 1) for line in lines)


@pytest.mark.parametrize("kind", ["full", "truncate", "waveform", "pretrain", "masked"])
def test_transformers_computes_exactly_what_the_run_does(
    finished: Finished, tmp_path: Path, kind: str
) -> None:
    encoder = encoder_of(finished(kind))
    export_encoder(finished(kind), tmp_path)
    assert torch.equal(computed(tmp_path, encoder), expected(encoder))


def test_adapters_are_merged(finished: Finished, tmp_path: Path) -> None:
    run = finished("lora")
    export_encoder(run, tmp_path)
    assert not [name for name in load_file(tmp_path / WEIGHTS) if "lora" in name]
    encoder = encoder_of(run)
    trained = load_file(run / "checkpoints/best.safetensors")
    assert any(value.any() for name, value in trained.items() if "lora_B" in name)
    torch.testing.assert_close(computed(tmp_path, encoder), expected(encoder), rtol=0, atol=1e-5)


def test_the_preprocessor_makes_the_same_input(finished: Finished, tmp_path: Path) -> None:
    encoder = encoder_of(finished("full"))
    export_encoder(finished("full"), tmp_path)
    waveforms, num_samples = noise()
    extract = SeamlessM4TFeatureExtractor.from_pretrained(tmp_path)
    made = extract(waveforms[0].numpy(), sampling_rate=16_000, return_tensors="pt")
    assert encoder.filter_bank is not None
    ours = encoder.filter_bank(waveforms, num_samples)
    torch.testing.assert_close(made["input_features"][:, : ours.shape[1]], ours, rtol=0, atol=1e-2)


@pytest.mark.parametrize("kind", ["full", "pretrain"])
def test_half_precision_is_half_the_bytes_and_nearly_the_same(
    finished: Finished, tmp_path: Path, kind: str
) -> None:
    encoder = encoder_of(finished(kind))
    export_encoder(finished(kind), tmp_path / "whole")
    export_encoder(finished(kind), tmp_path / "half", half=True)
    whole, half = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "half"))
    assert {value.dtype for value in whole.values()} == {torch.float32}
    assert {value.dtype for value in half.values()} == {torch.float16}
    assert sum(v.nbytes for v in whole.values()) == 2 * sum(v.nbytes for v in half.values())
    torch.testing.assert_close(
        computed(tmp_path / "half", encoder), expected(encoder), rtol=0, atol=1e-2
    )


def test_an_encoder_exported_in_half_precision_is_trained_in_float32(
    finished: Finished, tmp_path: Path
) -> None:
    export_encoder(finished("full"), tmp_path, half=True)
    encoder = build_encoder(EncoderOptions(source=str(tmp_path)))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_last_weights_on_request(finished: Finished, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished("full"), run)
    last = run / "checkpoints/last.safetensors"
    save_file({name: torch.zeros_like(value) for name, value in load_file(last).items()}, last)
    export_encoder(run, tmp_path / "best")
    export_encoder(run, tmp_path / "last", weights="last")
    assert any(value.any() for value in load_file(tmp_path / "best" / WEIGHTS).values())
    assert not any(value.any() for value in load_file(tmp_path / "last" / WEIGHTS).values())


def test_a_pretraining_run_exports_what_it_leaves_in_its_own_folder(
    finished: Finished, tmp_path: Path
) -> None:
    run = finished("pretrain")
    export_encoder(run, tmp_path)
    one, other = (load_file(folder / WEIGHTS) for folder in (run / "encoder", tmp_path))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_run_itself_stays_as_it_is(finished: Finished, tmp_path: Path) -> None:
    run = finished("lora")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    export_encoder(run, tmp_path, half=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_card_of_facts_is_written(finished: Finished, tmp_path: Path, phone_corpus: Path) -> None:
    run = finished("pretrain")
    export_encoder(run, tmp_path)
    found = facts(tmp_path)
    num_values = sum(value.numel() for value in load_file(tmp_path / WEIGHTS).values())
    assert found["parameters"] == f"{num_values:,}"
    assert found["started from"] == "random weights (wav2vec2-bert)"
    assert "objective both" in found["task"] and "num_clusters 8" in found["task"]
    assert found["trained on"] == f"{phone_corpus}/fine-tune.jsonl"
    assert found["audio alone of"] == "nothing"
    assert found["utterances"] == "16"
    assert found["hours heard"] == "0.0, repetitions included, in 2 updates"
    assert found["on tune, at update 2"].startswith("loss ")
    assert "monitor" not in found["on tune, at update 2"]
    assert found["command"].startswith("`") and found["command"].endswith("`")


def test_the_figures_of_a_card_are_those_of_its_weights(finished: Finished, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(finished("full"), run_dir)
    log, metrics = run_dir / "log.csv", run_dir / "metrics.json"
    log.write_text("update,metric,value\n1,val_loss,3.5\n1,val_f1,0.5\n2,val_loss,4.5\n")
    written = json.loads(metrics.read_text())
    written["run"]["training"]["best_update"] = 1
    metrics.write_text(json.dumps(written))
    export_encoder(run_dir, tmp_path / "best")
    export_encoder(run_dir, tmp_path / "last", weights="last")
    assert facts(tmp_path / "best")["on tune, at update 1"] == "loss 3.500, f1 0.500"
    assert facts(tmp_path / "last")["on tune, at update 2"] == "loss 4.500"


def test_manifests_that_come_several_times_are_counted(finished: Finished, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(finished("full"), run_dir)
    config = run_dir / "config.yaml"
    values = yaml.safe_load(config.read_text())
    values["data"] |= {"root": "data/a", "also_train": ["b.jsonl", "data/a/fine-tune.jsonl"]}
    config.write_text(yaml.safe_dump(values))
    export_encoder(run_dir, tmp_path / "out")
    assert facts(tmp_path / "out")["trained on"] == "2 x data/a/fine-tune.jsonl, b.jsonl"


def test_the_text_around_the_facts_is_kept(finished: Finished, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# Mine\n\n<!-- facts -->\n- old: 1\n<!-- /facts -->\n\nLicence.\n")
    for kind in ("pretrain", "full"):
        export_encoder(finished(kind), tmp_path)
    text = card.read_text()
    assert text.startswith("# Mine\n\n<!-- facts -->\n- parameters: ")
    assert text.endswith("\n<!-- /facts -->\n\nLicence.\n")
    assert "old" not in text and "num_clusters" not in text
    assert "target tagged" in facts(tmp_path)["task"]


def test_a_card_without_marks_gets_the_facts_at_its_end(finished: Finished, tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("# Mine\n")
    export_encoder(finished("full"), tmp_path)
    first = card.read_text()
    assert first.startswith("# Mine\n\n<!-- facts -->\n- parameters: ")
    export_encoder(finished("full"), tmp_path)
    assert card.read_text() == first


def test_other_files_of_the_folder_are_left_alone(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "config.json").write_text("of another encoder")
    export_encoder(finished("full"), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    found = {path.name for path in tmp_path.iterdir()}
    written = {"README.md", "config.json", WEIGHTS, "preprocessor_config.json"}
    assert found == {"notes.txt", *written}
    assert build_encoder(EncoderOptions(source=str(tmp_path))).num_layers == 2


@pytest.mark.parametrize("gone", ["config.yaml", "metrics.json", "encoder.json"])
def test_a_run_that_is_not_finished_is_refused(
    finished: Finished, tmp_path: Path, gone: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished("full"), run)
    (run / gone).unlink()
    with pytest.raises(ValueError, match=rf"run (is not a finished run: it )?has no {gone}"):
        export_encoder(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_named(finished: Finished, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished("full"), run)
    (run / "checkpoints/best.safetensors").unlink()
    with pytest.raises((ValueError, OSError), match=r"best\.safetensors"):
        export_encoder(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named(
    finished: Finished, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=str(tmp_path / place)):
        export_encoder(finished("full"), tmp_path / place)


@pytest.mark.parametrize("damage", ["log.csv gone", "log.csv cut", "metrics.json empty"])
def test_a_run_that_was_copied_in_part_is_refused_before_anything_is_written(
    finished: Finished, tmp_path: Path, damage: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished("full"), run)
    if damage == "log.csv gone":
        (run / "log.csv").unlink()
    elif damage == "log.csv cut":
        (run / "log.csv").write_text("update,metric,value\n1,val_loss,\n")
    else:
        (run / "metrics.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run is incomplete: .* copy it whole, or train it again"):
        export_encoder(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_that_is_cut_short_is_no_checkpoint(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    export_encoder(finished("truncate"), old)
    replace, calls = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            export_encoder(finished("full"), old)
    with pytest.raises(ValueError, match=r"old has no config\.json"):  # never half old, half new
        build_encoder(EncoderOptions(source=str(old)))
    with monkeypatch.context() as patch:
        patch.setattr(
            "slue_ner.models.encoder.saving.write_json", lambda *_: (_ for _ in ()).throw(OSError)
        )
        with pytest.raises(OSError, match=str(new)):
            export_encoder(finished("full"), new)
    assert not new.exists()
    assert not [path for path in tmp_path.rglob(".*")]


def test_a_processor_of_another_checkpoint_is_not_read_in_place_of_ours(
    finished: Finished, tmp_path: Path
) -> None:
    (tmp_path / "processor_config.json").write_text('{"feature_extractor": {"do_normalize": true}}')
    with pytest.raises(ValueError, match=r"holds processor_config\.json of another"):
        export_encoder(finished("full"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["processor_config.json"]


def test_a_run_that_hears_nothing_has_no_encoder(tmp_path: Path, text_overrides: list[str]) -> None:
    values = compose_config([*text_overrides, QUICK, "trainer.validate_every=2"])
    run_experiment(values, tmp_path / "run", console=Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="run finds entities in text and has no speech encoder"):
        export_encoder(tmp_path / "run", tmp_path / "out")


@pytest.mark.parametrize(
    ("kind", "way_out"), [("full", "`slue-ner export .* FOLDER`"), ("pretrain", "give .*/encoder")]
)
def test_a_run_folder_in_place_of_its_encoder_says_how_to_get_that(
    finished: Finished, kind: str, way_out: str
) -> None:
    with pytest.raises(ValueError, match=f"looks like a run folder; {way_out}"):
        build_encoder(EncoderOptions(source=str(finished(kind))))


@pytest.mark.parametrize("content", ["{}", "[]", '{"options": {"lost": 1}}'])
def test_a_damaged_blueprint_is_named(finished: Finished, tmp_path: Path, content: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished("full"), run)
    (run / "encoder.json").write_text(content)
    with pytest.raises(ValueError, match=r"encoder\.json describes no encoder .* copy the run"):
        encoder_of(run)


@pytest.mark.parametrize("kind", ["full", "pretrain"])
def test_symbols_that_were_edited_afterwards_are_refused(
    finished: Finished, tmp_path: Path, kind: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished(kind), run)
    path = run / "vocabulary.json"
    record = json.loads(path.read_text())
    record["symbols"][3:5] = record["symbols"][4:2:-1]  # two characters change places
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="trained with other symbols than the vocabulary"):
        encoder_of(run)
