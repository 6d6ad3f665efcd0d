from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slue_ner.cli.main import main
from slue_ner.core.records import (
    read_manifest,
    read_predictions,
    write_manifest,
    write_predictions,
)
from slue_ner.core.types import Word

LIGHT = """
import sys
import slue_ner.core.records, slue_ner.text.markup, slue_ner.evaluation.boundary_errors
from slue_ner.cli.main import main
try:
    main(["align", "--help"])
except SystemExit:
    pass
assert not {"numba", "torch"} & sys.modules.keys()
"""


@pytest.fixture(scope="module")
def run_dir(tiny_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two updates."""
    folder = tmp_path_factory.mktemp("align")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = ["trainer.max_updates=2", "trainer.validate_every=2", "name=tiny"]
        assert main(["train", *tiny_overrides, *settings]) == 0
    return folder / "runs/tiny"


def aligned(slue_ner, run_dir, manifest, output, *options, status=0):
    ended = slue_ner("align", str(run_dir), str(manifest), str(output), *options)
    assert ended.status == status, ended.err
    return ended.out


def test_texts_that_are_hardly_what_was_heard_are_counted(
    slue_ner, run_dir, tiny_corpus, tmp_path, monkeypatch
):
    manifest, output = tiny_corpus / "dev.jsonl", tmp_path / "dev.jsonl"
    monkeypatch.setattr("slue_ner.inference.aligning.MOST_COST", -1.0)
    out = aligned(slue_ner, run_dir, manifest, output)
    assert "note: 4 of them got times for a text that is hardly what the model hears" in out
    monkeypatch.setattr("slue_ner.inference.aligning.MOST_COST", 1e9)
    assert "note: " not in aligned(slue_ner, run_dir, manifest, output)


def test_a_manifest_gets_word_times_beside_other_audio(slue_ner, run_dir, tiny_corpus, tmp_path):
    manifest, output = tiny_corpus / "dev.jsonl", tmp_path / "deep/er/dev.jsonl"
    out = aligned(slue_ner, run_dir, manifest, output)
    assert f"4 of 4 aligned -> {output}" in out
    assert "aligning: 4 of 4" in out
    for before, after in zip(read_manifest(manifest), read_manifest(output), strict=True):
        assert [word.text for word in after.words] == before.text.split()
        assert after.audio.resolve() == before.audio
        assert [entity.words for entity in after.entities] == [(0, 1), (2, 3)]
        assert after.entities[0].start == after.words[0].start
        assert after.entities[1].end == after.words[2].end <= after.duration


def test_utterances_without_times_are_counted_and_named(slue_ner, run_dir, tiny_corpus, tmp_path):
    first, second, *rest = read_manifest(tiny_corpus / "dev.jsonl")
    first = replace(first, text=first.text + " and so on" * 20)
    second = replace(second, audio=Path("/nowhere.wav"))
    write_manifest(tmp_path / "in.jsonl", [first, second, *rest])
    out = aligned(slue_ner, run_dir, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    assert "2 of 4 aligned" in out
    assert "2 left without times:\n" in out
    assert f"{first.id}: " in out and "frames, the audio has" in out
    assert "nowhere.wav" in out
    records = read_manifest(tmp_path / "out.jsonl")
    assert [record.words is None for record in records] == [True, True, False, False]


def test_words_that_the_model_cannot_spell_are_counted(slue_ner, run_dir, tiny_corpus, tmp_path):
    first = read_manifest(tiny_corpus / "dev.jsonl")[0]
    shouted = replace(first, text=first.text.upper(), entities=())
    write_manifest(tmp_path / "in.jsonl", [shouted])
    out = aligned(slue_ner, run_dir, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    words = shouted.text.split()
    assert f"{len(words)} of {len(words)} words have no symbol of the model's vocabulary" in out
    assert f"first: {words[0]!r}" in out
    (record,) = read_manifest(tmp_path / "out.jsonl")
    assert all(word.estimated for word in record.words)


def test_predictions_keep_their_words_and_get_other_times(slue_ner, run_dir, tiny_corpus, tmp_path):
    predictions = read_predictions(run_dir / "predictions/dev.jsonl")
    spoken = [replace(p, text="in rome", words=None, entities=()) for p in predictions]
    write_predictions(tmp_path / "p.jsonl", spoken)
    manifest, output = tiny_corpus / "dev.jsonl", tmp_path / "timed.jsonl"
    out = aligned(slue_ner, run_dir, manifest, output, "--predictions", str(tmp_path / "p.jsonl"))
    assert "4 of 4 aligned" in out
    for record in read_predictions(output):
        assert [word.text for word in record.words] == ["in", "rome"]


def test_stored_emissions_serve_in_place_of_the_audio(slue_ner, run_dir, tiny_corpus, tmp_path):
    from slue_ner.decoding.emissions import EmissionsWriter
    from slue_ner.tasks.run import Run

    manifest = tiny_corpus / "dev.jsonl"
    run = Run.open(run_dir)
    loaded = run.recogniser()
    for name, model_hash in (("e", run.folder.weights_hash()), ("other", "another model")):
        with EmissionsWriter(
            tmp_path / name,
            kind="ctc",
            symbols=loaded.vocabulary.symbols,
            grid=loaded.model.grid,
            model_hash=model_hash,
        ) as writer:
            for id, rows in loaded.emit(read_manifest(manifest), batch_seconds=4).items():
                writer.add(id, rows)
    aligned(slue_ner, run_dir, manifest, tmp_path / "a.jsonl")
    aligned(slue_ner, run_dir, manifest, tmp_path / "b.jsonl", "--emissions", str(tmp_path / "e"))
    compared = slue_ner("align", "--compare", str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))
    assert "median 0.0 ms" in compared.out
    arguments = (str(run_dir), str(manifest), str(tmp_path / "c.jsonl"))
    ended = slue_ner("align", *arguments, "--emissions", str(tmp_path / "other"))
    assert ended.status == 1
    assert "emissions of another model" in ended.err
    shard = next((tmp_path / "e").glob("*.npy"))
    rows = np.load(shard)
    rows[0] = np.nan
    np.save(shard, rows)
    ended = slue_ner("align", *arguments, "--emissions", str(tmp_path / "e"))
    assert ended.status == 1 and "e is damaged" in ended.err  # and not four texts without times
    assert not (tmp_path / "c.jsonl").exists()


def test_priors_come_from_the_split_the_run_was_tuned_on(slue_ner, run_dir, tiny_corpus, tmp_path):
    manifest, output = tiny_corpus / "dev.jsonl", tmp_path / "out.jsonl"
    aligned(slue_ner, run_dir, manifest, output, "--priors", "0.5")
    tune = str(tiny_corpus / "tune.jsonl")
    again = tmp_path / "again.jsonl"
    aligned(slue_ner, run_dir, manifest, again, "--priors", "0.5", "--priors-from", tune)
    assert again.read_text() == output.read_text()
    arguments = (str(run_dir), str(manifest), str(output), "--priors", "0.5")
    ended = slue_ner("align", *arguments, "--priors-from", str(tmp_path / "gone.jsonl"))
    assert ended.status == 1
    assert "gone.jsonl is not there to estimate priors on; give --priors-from" in ended.err


def test_an_offset_moves_all_times(slue_ner, run_dir, tiny_corpus, tmp_path):
    manifest, plain, moved = tiny_corpus / "dev.jsonl", tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    aligned(slue_ner, run_dir, manifest, plain)
    aligned(slue_ner, run_dir, manifest, moved, "--offset", "-0.02")
    for before, after in zip(read_manifest(plain), read_manifest(moved), strict=True):
        for word, earlier in zip(before.words, after.words, strict=True):
            assert earlier.end == pytest.approx(word.end - 0.02)


def test_times_move_by_what_the_training_of_the_run_measured_unless_told_otherwise(
    slue_ner, run_dir, tiny_corpus, tmp_path
):
    manifest, copied = tiny_corpus / "dev.jsonl", tmp_path / "run"
    shutil.copytree(run_dir, copied)
    outputs = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
    (copied / "localizer.yaml").write_text("align_offset: -0.02\nalign_ms: 12.3\ntuned_on: tune\n")
    out = aligned(slue_ner, copied, manifest, outputs[0])
    assert f"word times by {copied}/localizer.yaml: -0.02 s (median error 12 ms on tune)" in out
    out = aligned(slue_ner, copied, manifest, outputs[1], "--offset", "0")
    assert "localizer" not in out
    (copied / "localizer.yaml").unlink()
    out = aligned(slue_ner, copied, manifest, outputs[2])
    assert f"word times are as the model emits them, which may be late: there is no {copied}" in out
    moved, plain, old = (read_manifest(path) for path in outputs)
    assert old == plain
    for after, before in zip(moved, plain, strict=True):
        for earlier, word in zip(after.words, before.words, strict=True):
            assert earlier.end == pytest.approx(word.end - 0.02)


def test_a_score_that_nothing_reaches_leaves_all_without_times(
    slue_ner, run_dir, tiny_corpus, tmp_path
):
    output = tmp_path / "out.jsonl"
    dev = tiny_corpus / "dev.jsonl"
    out = aligned(slue_ner, run_dir, dev, output, "--min-score", "1.1", status=1)
    assert "0 of 4 aligned" in out
    assert "4 left without times:\n" in out and out.count("which is below 1.1") == 4
    assert all(record.words is None for record in read_manifest(output))


def test_two_alignments_are_compared(slue_ner, tiny_corpus, tmp_path):
    first = read_manifest(tiny_corpus / "dev.jsonl")[0]
    for name, shift in (("reference", 0.0), ("found", 0.03)):
        texts = first.text.split()
        words = tuple(Word(w, 0.1 * i + shift, 0.1 * i + 0.1) for i, w in enumerate(texts))
        write_manifest(tmp_path / f"{name}.jsonl", [replace(first, words=words, entities=())])
    paths = str(tmp_path / "reference.jsonl"), str(tmp_path / "found.jsonl")
    ended = slue_ner("align", "--compare", *paths)
    assert ended.status == 0
    # starts 30 ms late, ends right
    assert "median 15.0 ms, 50.0% within 20, 100.0% within 50" in ended.out
    assert "3 words compared, 0 not found" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "manifest"), "give RUN MANIFEST OUT, or --compare REFERENCE FOUND"),
        (("run", "same", "same"), "same would be overwritten; choose another output"),
        (("run", "gone.jsonl", "out"), "gone.jsonl: no such file"),
        (("run", "m", "out", "--priors-from", "t"), "--priors-from has no effect without --priors"),
        (("run", "m", "out", "--into", "page"), "--into writes what --compare finds"),
        (("--compare", "gone.jsonl", "gone.jsonl"), "gone.jsonl: no such file"),
    ],
)
def test_a_slip_in_aligning_is_answered_in_one_sentence(slue_ner, arguments, message):
    ended = slue_ner("align", *arguments)
    assert ended.status == 1
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_records_and_help_do_not_load_the_compiler():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "slue-ner align" in done.stdout


def test_a_comparison_is_written_into_a_page_with_its_command(slue_ner, tiny_corpus, tmp_path):
    first = read_manifest(tiny_corpus / "dev.jsonl")[0]
    words = tuple(Word(word, 0.1 * i, 0.1 * i + 0.1) for i, word in enumerate(first.text.split()))
    timed = str(tmp_path / "timed.jsonl")
    write_manifest(Path(timed), [replace(first, words=words, entities=())])
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- alignment -->\nold\n<!-- /alignment -->\nafter\n")
    ended = slue_ner("align", "--compare", timed, timed, "--into", str(page))
    assert ended.status == 0
    before, _, line, *rest = page.read_text().splitlines()
    assert (before, rest) == ("before", ["<!-- /alignment -->", "after"])
    assert line == f"{ended.out.strip()}: `slue-ner align --compare {timed} {timed}`"
