"""``slue-ner prepare``: the kinds that bring word times."""

from __future__ import annotations

import json

import pytest

from slue_ner.core.records import read_manifest


@pytest.mark.parametrize("kind", ["slue-nel", "word-times"])
def test_a_kind_with_word_times_has_help(slue_ner, kind):
    ended = slue_ner("prepare", kind, "--help")
    assert ended.status == 0
    assert f"slue-ner prepare {kind}" in ended.out


def test_word_times_are_added_and_counted(slue_ner, tiny_corpus, tmp_path):
    utterance = read_manifest(tiny_corpus / "dev.jsonl")[0]
    words = [[word, 0.1 * i, 0.1 * i + 0.1] for i, word in enumerate(utterance.text.split())]
    times = tmp_path / "times.jsonl"
    times.write_text(json.dumps({"id": utterance.id, "words": words}))
    manifest = str(tiny_corpus / "dev.jsonl")
    ended = slue_ner("prepare", "word-times", manifest, str(tmp_path / "out"), "--from", str(times))
    assert ended.status == 0, ended.err
    assert "note: 1 of 4 utterances of dev got word times" in ended.out
    timed = read_manifest(tmp_path / "out" / "dev.jsonl")[0]
    assert timed.entities[0].start == 0.0


def test_a_missing_source_is_one_sentence(slue_ner, tmp_path):
    ended = slue_ner("prepare", "slue-nel", str(tmp_path / "gone"), str(tmp_path / "out"))
    assert ended.status == 1
    assert ended.err.count("\n") == 1 and "nor a data set's id" in ended.err


def test_a_word_in_brackets_is_printed_as_it_is(slue_ner, tiny_corpus, tmp_path):
    first, second, *_ = read_manifest(tiny_corpus / "dev.jsonl")
    right = [[word, 0.1 * i, 0.1 * i + 0.1] for i, word in enumerate(first.text.split())]
    lines = [{"id": first.id, "words": right}, {"id": second.id, "words": [["[blue]x", 0, 0.5]]}]
    times = tmp_path / "times.jsonl"
    times.write_text("\n".join(map(json.dumps, lines)))
    manifest = str(tiny_corpus / "dev.jsonl")
    ended = slue_ner("prepare", "word-times", manifest, str(tmp_path / "out"), "--from", str(times))
    assert ended.status == 0
    assert f"{second.id}: {times}: word 1 is '[blue]x' in the alignment" in ended.out


def test_times_that_fit_nothing_fail_and_write_nothing(slue_ner, tiny_corpus, tmp_path):
    first = read_manifest(tiny_corpus / "dev.jsonl")[0]
    times = tmp_path / "times.jsonl"
    times.write_text(json.dumps({"id": first.id, "words": [["on", 0, 0.5]]}))
    manifest = str(tiny_corpus / "dev.jsonl")
    ended = slue_ner("prepare", "word-times", manifest, str(tmp_path / "out"), "--from", str(times))
    assert ended.status == 1
    assert f"\n  {first.id}: {times}: word 1 is 'on' in the alignment" in ended.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("slue-voxpopuli", "{file}", "out"), "times.jsonl is a file; unpack it if it is an arch"),
        (("slue-voxpopuli", "{tsv}", "out", "--revision", "main"), "--revision is for a hub id; "),
        (("slue-voxpopuli", "a/b", "out", "--skip-missing-audio"), "leave --skip-missing-audio o"),
        (("synthetic", "out", "--tune-share", "0.2"), "--tune-share has no effect: a grammar's"),
        (("synthetic", "out", "--text", "{file}", "--fine-tune", "5"), "--fine-tune has no effect"),
    ],
)
def test_what_would_have_no_effect_is_refused(slue_ner, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    places = {"file": tmp_path / "times.jsonl", "tsv": tmp_path / "slue"}
    places["file"].touch()
    places["tsv"].mkdir()
    ended = slue_ner("prepare", *(argument.format(**places) for argument in arguments))
    assert ended.status == 1
    assert ended.err.count("\n") == 1 and message in ended.err
    assert not (tmp_path / "out").exists()
