"""Emissions decoded with a language model, from the command line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import yaml

from slue_ner.cli.config_groups import config_folder
from slue_ner.core.labels import COMBINED
from slue_ner.core.records import read_predictions, write_manifest
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.decoding.beam.scoring_rules import BeamOptions
from slue_ner.decoding.emissions import EmissionsWriter
from slue_ner.inference.beam_decoding import read_ctc_decoding, read_hot_words
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.run_folder import RunFolder

VOCABULARY = Vocabulary.build(["the eu budgetv"], COMBINED)


def emitted(written: str) -> np.ndarray:
    """Log-probabilities of words with marks, three frames a symbol; ``_`` is u or, rather, v."""
    rows = []
    for symbol in [s for word in written.split() for s in (*word, "|")]:
        row = np.full(len(VOCABULARY), 1e-4)
        if symbol == "_":
            row[VOCABULARY.encode("uv")] = 0.4, 0.6
        else:
            row[VOCABULARY.encode(symbol)] = 1.0
        blank = np.full(len(VOCABULARY), 1e-4)
        blank[0] = 1.0
        rows += [row, row, blank]
    emissions = np.array(rows)
    return np.log(emissions / emissions.sum(axis=1, keepdims=True)).astype(np.float32)


def emit(folder: Path, written: str) -> None:
    """Store these words as what the run emits for both utterances."""
    with EmissionsWriter(
        folder / "emissions",
        kind="ctc",
        symbols=VOCABULARY.symbols,
        grid=FrameGrid(),
        model_hash=RunFolder(folder / "run").weights_hash(),
    ) as writer:
        for id in "ab":
            writer.add(id, emitted(written))


@pytest.fixture
def folder(tmp_path):
    """A run that emits ``the % e_ ] budget`` for two utterances, without its model."""
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.safetensors").write_bytes(b"weights")
    VOCABULARY.save(run / "vocabulary.json")
    spans = (EntitySpan("PLACE", "eu", 4, 6),)
    text = "the eu budget"
    manifest = [
        Utterance(id, "tune", None, 16_000, 16_000, text, speaker=id, entities=spans) for id in "ab"
    ]
    write_manifest(tmp_path / "tune.jsonl", manifest)
    emit(tmp_path, "the % e_ ] budget")
    return tmp_path


@pytest.fixture
def lm(slue_ner, folder):
    """``lm("--order", "3")``: a model of the manifest's tagged text."""

    def train(*more, name="lm.ngram"):
        ended = slue_ner(
            *("lm", "train", str(folder / "tune.jsonl"), "--output", str(folder / name)),
            *(("--order", "3") if "--order" not in more else ()),
            *more,
        )
        assert ended.status == 0, ended.err
        return str(folder / name)

    return train


@pytest.fixture
def decode(slue_ner, folder):
    """``decode("--lm", file)``: how it ended, and the predictions."""

    def run(*more):
        output = folder / "out.jsonl"
        output.unlink(missing_ok=True)
        ended = slue_ner(
            *("predict", str(folder / "run"), "--manifest", str(folder / "tune.jsonl")),
            *("--emissions-from", str(folder / "emissions"), "--output", str(output), *more),
        )
        return ended, read_predictions(output) if output.exists() else None

    return run


def texts(predictions):
    return [prediction.text for prediction in predictions]


def test_a_language_model_writes_the_word_that_greedy_decoding_misses(decode, lm):
    _, greedy = decode()
    assert texts(greedy) == ["the ev budget"] * 2
    ended, searched = decode("--lm", lm())
    assert (ended.status, ended.err) == (0, "")
    assert texts(searched) == ["the eu budget"] * 2
    for prediction in searched:
        (entity,) = prediction.entities
        assert (entity.label, entity.phrase, prediction.num_repairs) == ("PLACE", "eu", 0)
        # 13 symbols and delimiters are before e, in three frames each; u is emitted in two
        assert [t.symbol for t in prediction.tokens] == list("the|%|eu|]|budget|")
        assert (entity.start, entity.end) == (pytest.approx(0.36), pytest.approx(0.46))


def test_an_arpa_file_packed_or_not_decodes_as_the_mapped_one_does(decode, lm):
    _, mapped = decode("--lm", lm())
    for name in ("lm.arpa", "lm.arpa.gz"):
        _, again = decode("--lm", lm(name=name))
        assert again == mapped


def test_tuned_weights_are_written_and_used_again(slue_ner, decode, lm, folder):
    ended = slue_ner(
        *("tune", "decoding", str(folder / "run"), "--references", str(folder / "tune.jsonl")),
        *("--emissions", str(folder / "emissions"), "--lm", lm()),
        *("--output", str(folder / "decoding.yaml"), "--threads", "1"),
    )
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[-1].startswith("best of ")
    written = yaml.safe_load((folder / "decoding.yaml").read_text())
    assert written["lm"] == "lm.ngram"
    assert written["tuned_on"] == "2 utterances of tune.jsonl"
    assert (written["tuned_by"], written["f1"], written["wer"]) == ("f1", 1.0, 0.0)
    assert written["beam_size"] == 10  # the smallest of those that are equally good
    ended, predictions = decode("--decoding", str(folder / "decoding.yaml"))
    assert (ended.status, texts(predictions)) == (0, ["the eu budget"] * 2)


def test_tuning_tells_what_of_the_files_is_left_out(slue_ner, lm, folder):
    (folder / "words.txt").write_text("the\neu\nbudget\nqqq\n")
    ended = slue_ner(
        *("tune", "decoding", str(folder / "run"), "--references", str(folder / "tune.jsonl")),
        *("--emissions", str(folder / "emissions"), "--lm", lm(), "--threads", "1"),
        *("--lexicon", str(folder / "words.txt"), "--output", str(folder / "decoding.yaml")),
    )
    assert (ended.status, ended.err) == (0, "")
    assert "1 words of the lexicon" in ended.out and "first: 'qqq'" in ended.out


@pytest.mark.parametrize("name", ["lm.ngram", "lm.arpa"])
def test_a_model_of_raw_labels_is_refused_whatever_marks_it_has(decode, lm, folder, name):
    manifest = folder / "tune.jsonl"
    manifest.write_text(manifest.read_text().replace('"PLACE"', '"GPE"'))
    ended, predictions = decode("--lm", lm("--labels", "raw", name=name))
    refused(ended, name, "entity marks % of raw labels", "lm train --labels combined")
    assert predictions is None


def test_marks_that_fit_both_label_sets_are_told(decode, lm, folder):
    model = Path(lm(name="lm.arpa"))
    _, said = model.read_text().split("# labels: combined\n")
    model.write_text(said)
    ended, predictions = decode("--lm", str(model))
    assert (ended.status, texts(predictions)) == (0, ["the eu budget"] * 2)
    assert "does not say of which label set" in ended.out and "'# labels: combined'" in ended.out


def test_the_grammar_leaves_nothing_to_repair(decode, folder):
    emit(folder, "the % eu budget")
    _, greedy = decode()
    assert [p.num_repairs for p in greedy] == [1, 1]
    (folder / "free.yaml").write_text("grammar: false\n")
    (folder / "strict.yaml").write_text("grammar: true\n")
    _, free = decode("--decoding", str(folder / "free.yaml"))
    assert [p.num_repairs for p in free] == [1, 1]
    _, strict = decode("--decoding", str(folder / "strict.yaml"))
    assert [p.num_repairs for p in strict] == [0, 0]


def test_hot_words_are_favoured_without_any_model(decode, folder):
    (folder / "hot.txt").write_text("eu\t2\n\n")
    _, predictions = decode("--hot-words", str(folder / "hot.txt"))
    assert texts(predictions) == ["the eu budget"] * 2


@pytest.mark.parametrize("name", ["slue_paper", "slue_paper_asr"])
def test_the_published_settings_are_configs(name):
    options = read_ctc_decoding(config_folder() / "decoding" / f"{name}.yaml").options
    assert (options.beam_size, options.beam_threshold, options.num_symbols) == (500, 25, 100)
    assert options.lm_weight * np.log(10) == pytest.approx(2, abs=1e-3)
    assert options.word_score == (1 if name == "slue_paper" else -1)
    assert (options.unknown_score, options.merge, options.grammar) == (None, "max", False)


def test_a_published_setting_is_used_by_name(decode, lm):
    ended, predictions = decode("--decoding", "slue_paper", "--lm", lm())
    assert (ended.status, texts(predictions)) == (0, ["the eu budget"] * 2)


def refused(ended, *parts):
    assert ended.status == 1
    assert ended.err.count("\n") == 1, ended.err
    for part in parts:
        assert part in ended.err


def test_a_plain_model_is_refused_for_a_tagged_vocabulary(decode, lm):
    ended, predictions = decode("--lm", lm("--target", "plain"))
    refused(ended, "lm.ngram", "no ']'", "--target tagged")
    assert predictions is None


def test_a_model_over_the_wrong_unit_is_refused(decode, lm):
    characters = lm("--unit", "characters", name="characters.ngram")
    refused(decode("--lm", characters)[0], "over characters", "--unit words")
    refused(decode("--character-lm", lm())[0], "over words", "--unit characters")


def test_a_truncated_model_is_refused_with_its_line(decode, lm, folder):
    lines = Path(lm(name="lm.arpa")).read_text().splitlines()
    cut = folder / "cut.arpa"
    cut.write_text("\n".join(lines[:8]))
    refused(decode("--lm", str(cut))[0], f"{cut}:", "cut off")
    packed = folder / "cut.arpa.gz"
    packed.write_bytes(gzip.compress("\n".join(lines).encode())[:-20])
    refused(decode("--lm", str(packed))[0], str(packed))
    refused(decode("--lm", str(folder / "none.arpa"))[0], "none.arpa", "no such file")


def test_a_lexicon_that_the_model_cannot_spell_is_refused(decode, lm, folder):
    (folder / "words.txt").write_text("日本\n東京\n")
    ended, _ = decode("--lm", lm(), "--lexicon", str(folder / "words.txt"))
    refused(ended, "words.txt", "the lexicon is empty", "'日本'")
    (folder / "words.txt").write_text("\n")
    refused(decode("--lexicon", str(folder / "words.txt"))[0], "words.txt", "the lexicon is empty")


@pytest.mark.parametrize(
    "content, message",
    [
        ("lm_weigth: 1\n", "did you mean 'lm_weight'?"),
        ("beam_size: many\n", "beam_size should be int"),
        ("beam_size: 0\n", "between 1 and"),
        ("merge: mean\n", "merge must be one of sum, max"),
        ("lm: [a]\n", "lm should be the name of a file"),
        ("- 1\n", "should hold a mapping"),
    ],
)
def test_a_malformed_decoding_is_refused_by_name(decode, folder, content, message):
    path = folder / "bad.yaml"
    path.write_text(content)
    refused(decode("--decoding", str(path))[0], str(path), message)


def test_what_would_have_no_effect_is_refused(decode, lm):
    characters = lm("--unit", "characters", name="characters.ngram")
    ended, _ = decode("--lm", lm(), "--character-lm", characters)
    refused(ended, "characters.ngram: beside a word model", "set unknown_score")
    refused(decode("--decoding", "slue_paper")[0], "slue_paper holds the weights", "with --lm")


def test_what_a_search_left_out_is_told(decode, folder):
    emit(folder, "the % eu budget")
    (folder / "words.txt").write_text("\ufeffthe\r\nqqq\r\neu\r\nbudget\r\n", encoding="utf-8")
    (folder / "narrow.yaml").write_text("beam_size: 1\n")
    ended, predictions = decode(
        *("--decoding", str(folder / "narrow.yaml"), "--lexicon", str(folder / "words.txt"))
    )
    assert texts(predictions) == ["the"] * 2
    assert "1 words of the lexicon" in ended.out and "first: 'qqq'" in ended.out
    assert "2 utterances were cut" in ended.out and "a wider one may help" in ended.out


def test_hot_words_and_lexicons_are_read_in_canonical_form(tmp_path):
    path = tmp_path / "hot.txt"
    path.write_text("\ufeffo\u2019brien\u2028spoke\t2\njose\u0301\n", encoding="utf-8")
    notes = []
    assert read_hot_words(path, note=notes.append) == {"o'brien spoke": 2.0, "jos\u00e9": 1.0}
    assert notes[0].startswith(f"{path}: 2 texts were brought to canonical form")


def test_an_unknown_decoding_gets_the_nearest_known_one(decode):
    refused(decode("--decoding", "slue_papper")[0], "did you mean 'slue_paper'?")


def test_a_malformed_hot_word_is_refused_by_line(decode, folder):
    hot = folder / "hot.txt"
    hot.write_text("eu\nbudget\tmuch\n")
    refused(decode("--hot-words", str(hot))[0], f"{hot}:2: 'much'")
    hot.write_text("日本\n")
    refused(decode("--hot-words", str(hot))[0], "hot phrase '日本'")


def test_nothing_is_tuned_on_test_or_without_a_model(slue_ner, folder, lm):
    tuning = (
        *("tune", "decoding", str(folder / "run"), "--references", str(folder / "tune.jsonl")),
        *("--emissions", str(folder / "emissions"), "--output", str(folder / "decoding.yaml")),
    )
    refused(slue_ner(*tuning), "nothing to tune")
    model = lm()
    manifest = folder / "tune.jsonl"
    manifest.write_text(manifest.read_text().replace('"split": "tune"', '"split": "test"'))
    refused(slue_ner(*tuning, "--lm", model), "of the split test")
    assert not (folder / "decoding.yaml").exists()


def test_utterances_without_emissions_are_told_and_never_all_of_them(slue_ner, decode, lm, folder):
    tuning = (
        *("tune", "decoding", str(folder / "run"), "--references", str(folder / "tune.jsonl")),
        *("--emissions", str(folder / "emissions"), "--output", str(folder / "decoding.yaml")),
        *("--lm", lm(), "--threads", "1"),
    )
    manifest = folder / "tune.jsonl"
    manifest.write_text(manifest.read_text().replace('"id": "b"', '"id": "c"'))
    ended = slue_ner(*tuning)
    assert ended.status == 0 and "1 of 2 references have no emissions" in ended.out
    written = yaml.safe_load((folder / "decoding.yaml").read_text())
    assert written["tuned_on"] == "1 utterances of tune.jsonl"
    manifest.write_text(manifest.read_text().replace('"id": "a"', '"id": "d"'))
    refused(slue_ner(*tuning), "no emissions of any of the 2 utterances, first d")
    ended, predictions = decode()
    refused(ended, "no emissions of any of the 2 utterances, first d", "--emissions")
    assert predictions is None


def test_what_is_decoded_by_default_stands_in_a_config():
    assert read_ctc_decoding(config_folder() / "decoding/default.yaml").options == BeamOptions()


def test_decodings_of_earlier_versions_are_read(tmp_path):
    (tmp_path / "old.yaml").write_text("beam: 7\nsymbols: 9\n")
    options = read_ctc_decoding(tmp_path / "old.yaml").options
    assert (options.beam_size, options.num_symbols) == (7, 9)
