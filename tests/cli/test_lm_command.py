"""``slue-ner lm``: from manifests and plain text to models and perplexities."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from slue_ner.core.labels import COMBINED
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.types import EntitySpan, Utterance
from slue_ner.decoding.lm.ngram_file import read_model
from slue_ner.inference.language_models import SentenceOptions, read_sentences
from slue_ner.tasks.ctc_task import target_ids
from slue_ner.text.vocabulary import Vocabulary

TEXT = "the eu budget\n\nthe budget\nnaïve\tbudget \r\n"


PACKED = gzip.compress(b"a b c\n" * 99, mtime=0)  # equal in every process


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Manifests of each split, two utterances, and ``text.txt``."""
    for split in ("fine-tune", "dev", "test"):
        entity = EntitySpan("ORG", "eu", 4, 6)
        write_manifest(
            tmp_path / f"{split}.jsonl",
            [
                Utterance("a", split, None, None, 16_000, "the eu budget", entities=(entity,)),
                Utterance("b", split, None, None, 16_000, "a budget"),
            ],
        )
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def training(folder, source="fine-tune.jsonl", *more, output="lm.arpa", order=2):
    path = source if source == "-" else str(folder / source)
    return ("lm", "train", path, "--order", str(order), "--output", str(folder / output), *more)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), {"the", "#", "eu", "]", "budget", "a"}),
        (("--labels", "raw"), {"the", "`", "eu", "]", "budget", "a"}),
        (("--target", "plain"), {"the", "eu", "budget", "a"}),
        (("--unit", "characters"), set("the|#|eu|]|budget|a|")),
        (("--unit", "characters", "--target", "plain"), set("the|eu|budget|a|")),
    ],
)
def test_a_manifest_is_learnt_in_the_form_of_the_recogniser(slue_ner, corpus, options, words):
    ended = slue_ner(*training(corpus, "fine-tune.jsonl", *options))
    assert (ended.status, ended.err) == (0, "")
    assert set(read_model(corpus / "lm.arpa").words[3:]) == words


def test_characters_are_the_symbols_that_ctc_training_writes(corpus):
    manifest = corpus / "fine-tune.jsonl"
    utterances = read_manifest(manifest)
    vocabulary = Vocabulary.build((utterance.text for utterance in utterances), COMBINED)
    sentences = read_sentences([str(manifest)], SentenceOptions(unit="characters"))
    for utterance, symbols in zip(utterances, sentences, strict=True):
        assert vocabulary.encode(symbols) == target_ids(utterance, vocabulary)


def test_texts_whose_entities_are_not_known_are_for_plain_models(corpus):
    path = corpus / "unlabelled.jsonl"
    (first, *_) = read_manifest(corpus / "fine-tune.jsonl")
    write_manifest(path, [dataclasses.replace(first, split="unlabelled", entities=())])
    with pytest.raises(ValueError, match="are not known, so they teach none"):
        list(read_sentences([str(path)], SentenceOptions()))
    (sentence,) = read_sentences([str(path)], SentenceOptions(target="plain"))
    assert sentence == first.text.split()


def test_what_was_learnt_is_told(slue_ner, corpus):
    ended = slue_ner(*training(corpus, "text.txt", output="lm.arpa.gz"))
    assert ended.status == 0
    lines = ended.out.splitlines()
    assert lines[0] == "4 sentences, 7 words"
    assert lines[1].startswith("note: the text is too short or too regular to estimate")
    assert "1-grams: 7" in lines  # the eu budget naïve <s> </s> <unk>
    # <s> the, the eu, eu budget, budget </s>, <s> </s>, the budget, <s> naïve, naïve budget
    assert "2-grams: 8" in lines
    assert lines[-1].startswith(f"{corpus / 'lm.arpa.gz'}: 0.0 MB in ")


def test_sources_of_all_kinds_add_up(slue_ner, corpus, monkeypatch):
    with gzip.open(corpus / "packed.gz", "wt", encoding="utf-8") as file:
        file.write("packed budget")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("łódź budget\n".encode())))
    sources = [str(corpus / name) for name in ("fine-tune.jsonl", "text.txt", "packed.gz")]
    model = corpus / "lm.arpa"
    ended = slue_ner("lm", "train", *sources, "-", "--order", "2", "--output", str(model))
    assert ended.status == 0, ended.err
    assert ended.out.startswith("8 sentences, 18 words")  # 2 + 4 + 1 + 1; 7 + 7 + 2 + 2
    assert {"packed", "łódź", "naïve", "#"} <= set(read_model(model).words)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.ngram"])
@pytest.mark.parametrize(
    ("sources", "options", "labels"),
    [
        (("fine-tune.jsonl",), (), "combined"),
        (("fine-tune.jsonl", "text.txt"), ("--labels", "raw"), "raw"),
        (("fine-tune.jsonl",), ("--target", "plain"), None),
        (("tagged.txt",), (), None),  # nobody says in whose marks it is
    ],
)
def test_a_model_says_of_which_label_set_it_is(slue_ner, corpus, name, sources, options, labels):
    (corpus / "tagged.txt").write_text("the % eu ] budget\n")
    paths = [str(corpus / source) for source in sources]
    model = corpus / name
    ended = slue_ner("lm", "train", *paths, "--order", "2", "--output", str(model), *options)
    assert ended.status == 0, ended.err
    assert read_model(model).labels == labels


def test_manifests_are_scored_in_the_labels_of_the_model(slue_ner, corpus):
    assert slue_ner(*training(corpus, "fine-tune.jsonl", "--labels", "raw")).status == 0
    score = ("lm", "score", str(corpus / "lm.arpa"), str(corpus / "dev.jsonl"))
    ended = slue_ner(*score)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert "lm.arpa has entity marks of raw labels; score with --labels raw" in ended.err
    assert slue_ner(*score, "--labels", "raw").status == 0


def test_what_of_a_model_is_not_used_is_told(slue_ner, corpus):
    assert slue_ner(*training(corpus, "text.txt")).status == 0
    model = corpus / "lm.arpa"
    model.write_text(model.read_text().replace("\tthe eu\n", "\tthe eu\t-0.5\n"))
    score = ("lm", "score", str(model), str(corpus / "text.txt"))
    ended = slue_ner(*score)
    assert ended.status == 0
    assert "note: " in ended.out and "1 of the longest n-grams have back-off weights" in ended.out
    ended = slue_ner(*score, "--json", "-")
    assert "1 of the longest n-grams" in ended.err and json.loads(ended.out)["num_sentences"] == 4


def test_cut_offs_leave_out_what_is_rare(slue_ner, corpus):
    ended = slue_ner(*training(corpus, "text.txt", "--cut-offs", "0,1"))
    assert ended.status == 0
    assert "2-grams: 2\n" in ended.out  # <s> the, budget </s>


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz", "lm.ngram"])
def test_perplexity_counts_words_and_ends(slue_ner, corpus, name):
    (corpus / "aab.txt").write_text("a a b\n")
    assert slue_ner(*training(corpus, "aab.txt", output=name, order=1)).status == 0
    (corpus / "held_out.txt").write_text("a x\n")
    score = ("lm", "score", str(corpus / name), str(corpus / "held_out.txt"))
    # a, b, </s> occur 2, 1, 1 times and 1, 0.5, 0.5 of them is taken; a half goes to four words
    a, end, unknown = 1 / 4 + 1 / 8, 1 / 8 + 1 / 8, 1 / 8
    ended = slue_ner(*score, "--json", "-")
    assert ended.status == 0
    found = json.loads(ended.out)
    assert (found["num_sentences"], found["num_words"], found["num_unknown"]) == (1, 2, 1)
    assert found["perplexity"] == pytest.approx((a * end * unknown) ** (-1 / 3), rel=1e-5)
    assert found["perplexity_of_known"] == pytest.approx((a * end) ** (-1 / 2), rel=1e-5)
    ended = slue_ner(*score, "--json", str(corpus / "score.json"))
    assert ended.out.splitlines() == [
        "1 sentences, 2 words",
        "unknown words: 1 (50.00 %)",
        f"perplexity: {(a * end * unknown) ** (-1 / 3):.4f}",
        f"perplexity without unknown words: {(a * end) ** (-1 / 2):.4f}",
    ]
    assert json.loads((corpus / "score.json").read_text()) == found


def test_a_test_split_may_be_scored_but_not_learnt(slue_ner, corpus):
    ended = slue_ner(*training(corpus, "test.jsonl"))
    assert ended.status == 1
    assert "utterance a is of the split test, which no language model may be" in ended.err
    assert not (corpus / "lm.arpa").exists()
    assert slue_ner(*training(corpus)).status == 0
    assert slue_ner("lm", "score", str(corpus / "lm.arpa"), str(corpus / "test.jsonl")).status == 0


@pytest.mark.parametrize(
    ("content", "name", "options", "message"),
    [
        (None, "gone.txt", (), "gone.txt: no such file"),
        (None, "gone.jsonl", (), "gone.jsonl: no such file"),
        (b"", "in.txt", (), "there are no words to train a language model on"),
        (b"\n \n", "in.txt", (), "there are no words to train a language model on"),
        (b"", "in.jsonl", (), "there are no words to train a language model on"),
        (b"fine\n\xff\n", "in.txt", (), "in.txt:2: not UTF-8 text (invalid start byte)"),
        (b"a </s> b\n", "in.txt", (), "in.txt:1: holds </s>, which a language model keeps"),
        (b'{"schema": 1}\n', "in.jsonl", (), "in.jsonl:1: field 'id' is missing"),
        (b"a\n", "in.gz", (), "in.gz: not a packed file, or cut off"),
        (PACKED[:-9], "in.gz", (), "in.gz: not a packed file, or cut off"),
        (PACKED, "in.jsonl.gz", (), "manifests end in .jsonl and are not packed"),
        (b"a\n", "in.txt", ("--order", "0"), "order of a language model must be at least 1, got 0"),
        (b"a\n", "in.txt", ("--cut-offs", "1"), "cut-offs 1 should start with 0"),
        (b"a\n", "in.txt", ("--output", "lm.bin"), "lm.bin: a language model should end in .arpa"),
        (b"a\n", "in.txt", ("--output", "in.txt/lm.arpa"), "cannot write in.txt/lm.arpa"),
    ],
)
def test_what_cannot_be_learnt_is_one_sentence_and_leaves_nothing(
    slue_ner, tmp_path, monkeypatch, content, name, options, message
):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = set(tmp_path.iterdir())
    ended = slue_ner("lm", "train", name, "--order", "2", "--output", "lm.arpa", *options)
    assert ended.status == 1
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("unit", "scored", "text", "message"),
    [
        ("words", "characters", "a budget", "does not know '|', which ends a word in a model"),
        ("characters", "words", "a budget", "is a model of characters; score with --unit charac"),
        ("words", "words", "A BUDGET", "knows none of the 2 words of "),
        ("words", "words", "", "no sentences to score"),
    ],
)
def test_a_text_that_a_model_is_not_for_is_one_sentence(
    slue_ner, corpus, unit, scored, text, message
):
    assert slue_ner(*training(corpus, "fine-tune.jsonl", "--unit", unit)).status == 0
    (corpus / "other.txt").write_text(text)
    score = ("lm", "score", str(corpus / "lm.arpa"), str(corpus / "other.txt"))
    ended = slue_ner(*score, "--unit", scored)
    assert ended.status == 1
    assert message in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""


def test_long_texts_show_how_far_it_is(slue_ner, corpus, monkeypatch):
    monkeypatch.setattr("slue_ner.inference.language_models._TELL_EVERY", 3)
    ended = slue_ner(*training(corpus, "text.txt"))
    assert ended.out.splitlines()[:2] == ["3 words read", "7 words read"]


def test_slips_on_the_command_line_are_explained(slue_ner, corpus):
    ended = slue_ner(*training(corpus, "text.txt", "--cut-offs", "0,x"))
    assert ended.status == 2
    assert "'0,x' should be numbers such as 0,0,1" in ended.err


def test_utterances_with_marks_are_left_out_and_listed_at_once(slue_ner, corpus):
    given = read_manifest(corpus / "fine-tune.jsonl")
    marked = [
        dataclasses.replace(given[0], id=id, text=text, entities=())
        for id, text in (("x", "r & d"), ("y", "a|b c"), ("z", "from [ here"))
    ]
    write_manifest(corpus / "marked.jsonl", [*given, *marked])
    ended = slue_ner(*training(corpus, "marked.jsonl"))
    assert ended.status == 0
    assert f"2 of {len(given) + 3} utterances are left out" in ended.err
    assert "x ('&'); y ('a|b'); texts by word" in ended.err
    assert "[" in read_model(corpus / "lm.arpa").words


def test_plain_text_is_read_in_canonical_form(slue_ner, corpus):
    text = "\ufeffit\u2019s jose\u0301\u2028now\n"
    (corpus / "typed.txt").write_text(text, encoding="utf-8")
    ended = slue_ner(*training(corpus, "typed.txt", order=1))
    assert set(read_model(corpus / "lm.arpa").words[3:]) == {"it's", "jos\u00e9", "now"}
    assert "typed.txt: 1 text was brought to canonical form" in ended.err


def test_a_model_does_not_take_the_place_of_its_text(slue_ner, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the eu\n")
    ended = slue_ner("lm", "train", str(text), "--order", "2", "--output", str(text))
    assert (ended.status, ended.out) == (1, "")
    assert "text.txt would be overwritten; choose another output" in ended.err
    assert text.read_text() == "the eu\n"


def test_carriage_returns_inside_of_lines_are_spaces_with_a_note(tmp_path):
    (tmp_path / "mac.txt").write_bytes(b"in rome\rin york\rin kent\r\nin rome\r\n")
    notes: list[str] = []
    sentences = read_sentences([str(tmp_path / "mac.txt")], SentenceOptions(), note=notes.append)
    assert list(sentences) == [["in", "rome", "in", "york", "in", "kent"], ["in", "rome"]]
    (note,) = notes
    assert "carriage returns inside 1 of 2 lines are read as spaces, as KenLM does" in note
