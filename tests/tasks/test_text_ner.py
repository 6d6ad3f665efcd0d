from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from slue_ner.cli.compose import compose_config
from slue_ner.core.labels import COMBINED, RAW
from slue_ner.core.records import read_manifest, write_manifest, write_predictions
from slue_ner.core.types import EntitySpan, Prediction
from slue_ner.inference.tagging import tag_words
from slue_ner.models.taggers.text_tagger import TextTagger
from slue_ner.tasks.registry import run_config
from slue_ner.tasks.run import Run
from slue_ner.tasks.text_task import TextModule
from slue_ner.text.windows import Window
from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.fit import fit
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.signals import StopRequest


@dataclass
class Watched:
    """What a run did: the ids of every batch it was trained on, and what it printed."""

    folder: Path
    batches: list[tuple[str, ...]] = field(default_factory=list)
    printed: str = ""
    figures: dict = field(default_factory=dict)

    def weights(self, name="last"):
        return load_file(self.folder / "checkpoints" / f"{name}.safetensors")

    def log(self):
        return (self.folder / "log.csv").read_text().split()[1:]

    def logged(self, metric):
        rows = [row.split(",") for row in self.log()]
        return [float(value) for _, name, value in rows if name == metric]


@pytest.fixture
def train(text_overrides, monkeypatch):
    """``train(folder, "seed=1", stop_after=3)``: a fit, asked to stop within a batch if wanted."""

    def run(folder, *overrides, stop_after=None):
        watched = Watched(folder)
        requests = []
        created, step = StopRequest.__init__, TextModule.training_step

        def note(self):
            created(self)
            requests.append(self)

        def watch(self, batch, batch_idx):
            watched.batches.append(batch.ids)
            if len(watched.batches) == stop_after:
                requests[-1].receive(15, None)
            return step(self, batch, batch_idx)

        output = io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(StopRequest, "__init__", note)
            patched.setattr(TextModule, "training_step", watch)
            config = run_config(compose_config([*text_overrides, *overrides]))
            try:
                console = Console(file=output, width=200)
                watched.figures = fit(config, folder, console=console).figures
            finally:
                watched.printed = output.getvalue()
        return watched

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def tagger_of(folder, text_overrides, *overrides, weights="best"):
    config = run_config(compose_config([*text_overrides, *overrides]))
    return Run(RunFolder(folder), config).predictor(weights=weights).tagger


LEARN = ("trainer.max_updates=40", "trainer.validate_every=20")


@pytest.mark.parametrize("kind", ["small", "bert"])
def test_a_tagger_learns_and_finds_entities(
    train, tmp_path, text_overrides, text_sources, kind, capfd
):
    options = [*LEARN, "optim.lr=0.03"]
    if kind == "bert":
        options = [*LEARN, "optim.lr=0.005", f"task.source={text_sources[kind]}"]
    watched = train(tmp_path, *options)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert watched.logged("val_f1")[-1] == 1.0
    assert watched.figures["words"] > 0
    tagger = tagger_of(tmp_path, text_overrides, *options)
    found = tag_words(tagger, [["bo", "in", "rome"], [], ["york"]])
    assert [[(e.label, e.phrase, e.words) for e in entities] for entities in found[:2]] == [
        [("PERSON", "bo", (0, 1)), ("PLACE", "rome", (2, 3))],
        [],
    ]
    assert all(0 < entity.score <= 1 for entity in found[0])
    raw = tag_words(tagger, [["bo", "in", "rome"]], labels=RAW)
    assert [entity.label for entity in raw[0]] == ["PERSON", "GPE"]


def test_a_run_leaves_what_a_tagger_is_made_of_and_no_pickle(train, tmp_path, text_sources):
    train(tmp_path, f"task.source={text_sources['bert']}")
    names = {path.name for path in (tmp_path / "tagger").iterdir()}
    assert {"config.json", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    found = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert found == {"last.ckpt", "best.safetensors", "last.safetensors"}


@pytest.mark.parametrize("stop_after", [2, 3])
@pytest.mark.parametrize("kind", ["small", "bert"])
def test_a_resumed_run_ends_with_the_same_weights(train, tmp_path, text_sources, kind, stop_after):
    options = ["task.noise=0.1"]
    if kind == "bert":
        options.append(f"task.source={text_sources[kind]}")
    whole = train(tmp_path / "whole", *options)
    with pytest.raises(StopRequestedError, match=f"stopped at update {stop_after};"):
        train(tmp_path / "cut", *options, stop_after=stop_after)
    rest = train(tmp_path / "cut", *options)
    assert rest.batches == whole.batches[stop_after:] and len(whole.batches) == 6
    assert rest.log() == whole.log()
    for name, tensor in rest.weights().items():
        assert torch.equal(tensor, whole.weights()[name]), name


def test_a_seed_decides_everything_random(train, tmp_path):
    one, two, three = (
        train(tmp_path / name, f"seed={seed}").weights()["head.weight"]
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    )
    assert torch.equal(one, two) and not torch.equal(one, three)


def test_labels_stay_combined_where_raw_ones_are_not_known(
    train, tmp_path, tiny_corpus, text_overrides
):
    for split in ("fine-tune", "tune"):
        utterances = read_manifest(tiny_corpus / f"{split}.jsonl")
        write_manifest(tmp_path / f"data/{split}.jsonl", map(with_combined_labels, utterances))
    root = f"data.root={tmp_path}/data"
    assert "7 combined labels" in train(tmp_path / "run", root).printed
    tagger = tagger_of(tmp_path / "run", text_overrides, root)
    assert tagger.tags[1:] == tuple(f"{kind}-{name}" for name in COMBINED.labels for kind in "BI")
    with pytest.raises(ValueError, match="is a combined one and cannot be turned back"):
        with torch.no_grad():
            tagger.head.bias[tagger.tags.index("B-PLACE")] = 99.0
        tag_words(tagger, [["rome"]], labels=RAW)


def with_combined_labels(utterance):
    entities = [replace(e, label=COMBINED.convert(e.label)) for e in utterance.entities]
    return replace(utterance, entities=tuple(entities), audio=None, num_samples=None)


def test_recognised_text_is_trained_on_beside_gold_text(train, tmp_path, tiny_corpus):
    utterances = read_manifest(tiny_corpus / "fine-tune.jsonl")
    predictions = [Prediction(u.id, u.text.replace("rome", "roam")) for u in utterances[2:]]
    predictions[0] = Prediction(utterances[2].id, "")
    predictions[1] = Prediction(utterances[3].id, "in")  # loses both entities
    write_predictions(tmp_path / "asr.jsonl", predictions)
    watched = train(tmp_path / "run", f"task.asr_text={tmp_path}/asr.jsonl")
    assert "asr.jsonl: 13 recognised sentences beside the gold ones; 3 have no words there, 2 " in (
        watched.printed
    )
    # 16 sentences of 3 words and 2 entities, 12 more, and "in"
    assert "29 sentences, 85 words, 56 entities" in watched.printed


def test_predictions_of_other_utterances_are_refused(train, tmp_path):
    write_predictions(tmp_path / "asr.jsonl", [Prediction("other", "ana in rome")])
    with pytest.raises(ValueError, match=r"none of the 1 predictions of task.asr_text has the id"):
        train(tmp_path / "run", f"task.asr_text={tmp_path}/asr.jsonl")


def test_utterances_without_words_are_left_out_and_listed(train, tmp_path, tiny_corpus):
    for split in ("fine-tune", "tune"):
        utterances = read_manifest(tiny_corpus / f"{split}.jsonl")
        utterances[0] = replace(utterances[0], text="", entities=())
        write_manifest(tmp_path / f"data/{split}.jsonl", utterances)
    watched = train(tmp_path / "run", f"data.root={tmp_path}/data")
    assert "left out of training, no words: 1 utterances (fine-tune_00)" in watched.printed
    assert watched.figures["num_train_sentences"] == 15
    json.dumps(watched.figures, allow_nan=False)


def test_a_tune_split_without_words_is_refused_before_training(train, tmp_path, tiny_corpus):
    write_manifest(
        tmp_path / "data/fine-tune.jsonl", read_manifest(tiny_corpus / "fine-tune.jsonl")
    )
    utterances = read_manifest(tiny_corpus / "tune.jsonl")
    silent = [replace(utterance, text="", entities=()) for utterance in utterances]
    write_manifest(tmp_path / "data/tune.jsonl", silent)
    with pytest.raises(ValueError, match=r"data.tune=tune holds 0 utterances with words"):
        train(tmp_path / "run", f"data.root={tmp_path}/data")


def test_scores_are_the_geometric_mean_of_the_tags_probabilities():
    class Fixed(TextTagger):
        tags = ("O", "B-GPE", "I-GPE", "B-FAC")
        padding = {"probabilities": 0}  # noqa: RUF012

        def encode(self, words):
            window = Window(0, len(words), tuple(range(len(words))))
            return [(window, {"probabilities": [int(word) for word in words]})]

        def forward(self, inputs):
            table = torch.tensor(
                [[0.7, 0.1, 0.1, 0.1], [0.1, 0.8, 0.1, 0.0], [0.3, 0.1, 0.5, 0.1], [0, 0, 0, 1.0]]
            )
            return table[inputs["probabilities"]].log()

    # O, B-GPE, I-GPE, B-FAC: FAC is dropped from the combined set
    (found,) = tag_words(Fixed(), [["0", "1", "2", "3"]])
    assert found == [
        EntitySpan("PLACE", "1 2", words=(1, 3), score=pytest.approx((0.8 * 0.5) ** 0.5))
    ]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.batch_size=0", "task.batch_size must be at least 1, got 0"),
        ("task.noise=1.5", r"task.noise is a probability in \[0, 1\), got 1.5"),
        ("task.small.hidden_size=0", "task.small.hidden_size must be at least 1, got 0"),
        ("task.small.unknown_word=2", r"task.small.unknown_word is a probability in \[0, 1\]"),
        ("task.revision=main", "task.revision=main is of a hub id; set task.source, too"),
        ("+task.nois=0.5", "task.nois is unknown; did you mean 'noise'"),
    ],
)
def test_a_wrong_value_is_refused_by_name(text_overrides, override, message):
    with pytest.raises(ValueError, match=message):
        run_config(compose_config([*text_overrides, override]))


@pytest.mark.parametrize(
    "override",
    ["encoder=small", "adaptation.freeze_updates=1", "augment=recording", "data.batch_seconds=9"],
)
def test_what_has_no_part_in_text_is_refused_in_one_sentence(text_overrides, override):
    with pytest.raises(ValueError, match=r"has no part in task=text_ner, which hears nothing"):
        compose_config([*text_overrides, override])


def test_the_stored_config_has_no_speech_groups(text_overrides):
    values = compose_config(text_overrides)
    assert set(values) == {
        *("name", "run_dir", "seed", "task", "data", "optim", "trainer", "logger"),
    }
    assert values["optim"]["schedule"] == "linear"


def test_text_without_an_entity_has_nothing_to_teach(train, tmp_path, text_overrides, tiny_corpus):
    silent = [replace(u, entities=()) for u in read_manifest(tiny_corpus / "fine-tune.jsonl")]
    write_manifest(tmp_path / "data/fine-tune.jsonl", silent)
    for split in ("tune", "dev"):
        write_manifest(tmp_path / f"data/{split}.jsonl", read_manifest(tiny_corpus / "tune.jsonl"))
    with pytest.raises(ValueError, match="none of the 16 utterances of fine-tune has an entity"):
        train(tmp_path / "run", f"data.root={tmp_path / 'data'}")
