from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console

from slue_ner.cli.compose import compose_config
from slue_ner.core.records import read_manifest, read_predictions
from slue_ner.core.types import EntitySpan, Prediction, TokenSpan, Utterance, Word
from slue_ner.core.validation import check_prediction
from slue_ner.evaluation.score import score
from slue_ner.inference import tagging as module
from slue_ner.inference.tagging import cascade, topline
from slue_ner.systems.experiment import run_experiment
from slue_ner.systems.text_taggers import text_tagger
from slue_ner.tasks.run import Run
from slue_ner.training import fit
from slue_ner.training.run_folder import claim_folder

PLACES = {"eu": "ORG", "rome": "PLACE", "york": "PLACE", "new": "PLACE"}


@pytest.fixture
def by_list(monkeypatch):
    """Text NER that knows four names; neighbours of one kind are one entity."""

    def tag(tagger, sentences, **_):
        found = []
        for words in sentences:
            entities = []
            for i, word in enumerate(words):
                label = PLACES.get(word)
                if label and entities and entities[-1].words[1] == i and label == "PLACE":
                    first = entities.pop().words[0]
                    span = (first, i + 1)
                elif label:
                    span = (i, i + 1)
                else:
                    continue
                entities.append(
                    EntitySpan(label, " ".join(words[slice(*span)]), words=span, score=0.5)
                )
            found.append(entities)
        return found

    monkeypatch.setattr(module, "tag_words", tag)


def test_entities_get_the_times_of_their_first_and_last_word(by_list):
    words = (
        *(Word("from", 0.1, 0.3), Word("", 0.3, 0.4), Word("new", 0.4, 0.6, score=0.9)),
        *(Word("", 0.6, 0.7), Word("york", 0.7, 1.0), Word("to", 1.0, 1.1), Word("eu's", 1.1, 1.5)),
    )
    tokens = (TokenSpan("f", 5, 6, 0.5),)
    asr = Prediction("one", "from new york to eu's", words=words, tokens=tokens, num_frames=80)
    (made,) = cascade([asr], None)
    check_prediction(made)
    assert made.text == "from new york to eu 's"
    assert made.words == (*words[:6], Word("eu", 1.1, 1.5), Word("'s", 1.5, 1.5))
    assert made.entities == (
        EntitySpan("PLACE", "new york", words=(2, 5), start=0.4, end=1.0, score=0.5),
        EntitySpan("ORG", "eu", words=(6, 7), start=1.1, end=1.5, score=0.5),
    )
    assert made.tokens == tokens and made.num_frames == 80


def test_without_word_times_entities_have_none(by_list):
    (made,) = cascade([Prediction("one", "the eu's budget in rome")], None)
    assert made.text == "the eu 's budget in rome" and made.words is None
    assert [(e.words, e.start) for e in made.entities] == [((1, 2), None), ((5, 6), None)]


def test_an_empty_or_failed_hypothesis_has_no_entity(by_list):
    empty = Prediction("one", "", words=())
    failed = Prediction("two", "rome", error="no such audio file")
    made = cascade([empty, failed], None)
    assert [prediction.entities for prediction in made] == [(), ()]
    assert made[1].error == "no such audio file"


@pytest.mark.parametrize(
    "words",
    [
        (),
        (Word("new york", 0.1, 0.9),),
        (Word("new", 0.1, 0.5), Word(" ", 0.5, 0.6), Word("york", 0.6, 0.9)),
        (Word("new", 0.1, 0.5),),
    ],
)
def test_words_that_do_not_spell_the_text_are_refused_by_name(by_list, words):
    with pytest.raises(ValueError, match=r"prediction one: its words are .* but its text is 'new "):
        cascade([Prediction("one", "new york", words=words)], None)


def test_words_out_of_order_are_refused_by_name(by_list):
    words = (Word("new", 0.5, 0.9), Word("york", 0.1, 0.5))
    with pytest.raises(ValueError, match=r"prediction one: its words are not in the order in"):
        cascade([Prediction("one", "new york", words=words)], None)


def test_nothing_but_the_possessive_is_normalised(by_list):
    (made,) = cascade([Prediction("one", "Don't go, members' 'tis")], None)
    assert made.text == "Don't go, members' 'tis"


def test_entities_of_the_recogniser_are_replaced(by_list):
    asr = Prediction("one", "rome", entities=(EntitySpan("ORG", "rome"),))
    assert [entity.label for entity in cascade([asr], None)[0].entities] == ["PLACE"]


def utterance(text, words):
    return Utterance("one", "dev", None, None, 16_000, text, words=words)


def test_gold_text_takes_words_and_times_from_the_manifest(by_list):
    words = (Word("the", 0.0, 0.2), Word("", 0.2, 0.5), Word("eu's", 0.5, 0.9))
    (made,) = topline([utterance("the eu 's", words)], None)
    assert made.text == "the eu 's"
    assert made.words == (*words[:2], Word("eu", 0.5, 0.9), Word("'s", 0.9, 0.9))
    assert made.entities == (EntitySpan("ORG", "eu", words=(2, 3), start=0.5, end=0.9, score=0.5),)


@pytest.mark.parametrize("words", [None, (Word("thee", 0.0, 0.2), Word("eu", 0.5, 0.9))])
def test_gold_text_without_fitting_word_times_has_none(by_list, words):
    (made,) = topline([utterance("the eu", words)], None)
    assert made.words is None
    assert [(e.words, e.start, e.end) for e in made.entities] == [((1, 2), None, None)]


@pytest.fixture
def run(text_overrides):
    """``run(folder, "seed=1")``: ``metrics.json`` and what was printed."""

    def start(folder, *overrides):
        output = io.StringIO()
        values = compose_config([*text_overrides, *overrides])
        console = Console(file=output, width=200)
        return run_experiment(values, folder, console=console), output.getvalue()

    return start


def test_a_text_run_reports_the_topline_and_the_oracle(run, tmp_path, timed_corpus, monkeypatch):
    options = (f"data.root={timed_corpus}", "trainer.max_updates=40", "optim.lr=0.03")
    metrics, _ = run(tmp_path, *options)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    dev = metrics["splits"]["dev"]
    assert dev["wer"] == 0.0 and dev["ner"]["micro"]["f1"] == 1.0
    assert dev["nel"]["frame_official"]["f1"] == 1.0
    assert metrics["run"]["training"]["tagger"] == "small tagger (from scratch)"
    assert "small tagger (from scratch)" in metrics["run"]["adaptation"]["strategy"]
    references = read_manifest(timed_corpus / "dev.jsonl")
    saved = read_predictions(tmp_path / "predictions/dev.jsonl")
    tagger = text_tagger(tmp_path)
    assert topline(references, tagger) == saved
    # the same tagger on perfect recognition is as good
    asr = [dataclasses.replace(prediction, entities=()) for prediction in saved]
    assert cascade(asr, tagger) == saved
    assert score(references, saved).to_json()["ner"]["micro"]["f1"] == 1.0
    monkeypatch.setattr(fit, "run_updates", None)  # calling it would raise
    again, printed = run(tmp_path, *options)
    assert again == metrics and "is finished already" in printed


def test_a_text_run_and_a_speech_run_are_not_taken_for_each_other(run, tmp_path, tiny_values):
    run(tmp_path / "text", "trainer.max_updates=1")
    with pytest.raises(ValueError, match=r"text finds entities in text and hears nothing; use it"):
        Run.open(tmp_path / "text").recogniser()
    claim_folder(tmp_path / "speech", tiny_values())
    with pytest.raises(ValueError, match=r"speech is no text NER; train one with"):
        text_tagger(tmp_path / "speech")
    with pytest.raises(ValueError, match=r"is not a run folder: it has no config.yaml"):
        Run.open(tmp_path)


def test_other_recognised_text_in_the_same_folder_is_refused(run, tmp_path, tiny_corpus):
    asr = tmp_path / "asr.jsonl"
    lines = (tiny_corpus / "fine-tune.jsonl").read_text().splitlines()
    rows = [{"schema": 1, "entities": [], "id": json.loads(line)["id"]} for line in lines]
    asr.write_text("".join(json.dumps({**row, "text": "ana in rome"}) + "\n" for row in rows))
    option = f"task.asr_text={asr}"
    run(tmp_path / "run", "trainer.max_updates=1", option)
    asr.write_text("".join(json.dumps({**row, "text": "bo in rome"}) + "\n" for row in rows))
    with pytest.raises(ValueError, match=r"asr.jsonl has changed since .* was started"):
        run(tmp_path / "run", "trainer.max_updates=1", option)
    with pytest.raises(ValueError, match=r"task.asr_text=gone.jsonl does not exist"):
        run(tmp_path / "other", "task.asr_text=gone.jsonl")
