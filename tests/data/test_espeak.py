"""Speaking words and knowing when they were said."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("espeakng_loader", reason="the [synth] extra is not installed")

from slue_ner.data.corpora.slue_tsv import read_slue_tsv
from slue_ner.data.synthesis.espeak import Speech, speak
from slue_ner.data.synthesis.voices import BASES, VARIANTS, Voice, draw_voices

VOICE = Voice("v0000", base="en", variant="f2")
REAL_TEXT = Path(__file__).resolve().parents[3] / "shared" / "text" / "slue-voxpopuli"


def check(speech: Speech, words: list[str]) -> None:
    duration = len(speech.waveform) / 16_000
    assert [word.text for word in speech.words] == words
    for timed in (speech.words, speech.phones):
        assert all(0 <= word.start < word.end <= duration for word in timed)
        assert all(a.end <= b.start + 1e-9 for a, b in pairwise(timed))


def test_every_word_has_its_own_time_although_espeak_merges_some() -> None:
    words = ["i", "am", "in", "the", "house", "of", "the", "union", "on", "the", "one", "hand"]

    speech = speak(words, VOICE)

    check(speech, words)
    assert not any(word.estimated for word in speech.words)


def test_a_possessive_and_its_noun_have_times_of_their_own() -> None:
    words = ["the", "eu", "'s", "budget", "don", "'t", "wait", "till", "two", "o", "'clock"]

    speech = speak(words, VOICE)

    check(speech, words)
    possessive, budget = speech.words[2:4]
    assert possessive.end == budget.start
    assert 0.02 < possessive.end - possessive.start < 0.2


def test_a_merged_word_ends_where_its_last_phone_ends() -> None:
    speech = speak(["in", "the"], VOICE)

    ends = [phone.end for phone in speech.phones]
    assert [phone.text[0] for phone in speech.phones] == ["I", "n", "D", "@"]
    assert speech.words[0].end == ends[1]
    assert speech.words[1].start == ends[1]


def test_speech_is_sixteen_kilohertz_and_starts_after_a_tenth_of_a_second() -> None:
    speech = speak(["strasbourg"], VOICE)

    assert speech.waveform.dtype == np.float32
    assert np.abs(speech.waveform).max() <= 1
    assert speech.words[0].start == pytest.approx(0.1)
    assert np.abs(speech.waveform[:1_500]).max() < 1e-3
    assert np.abs(speech.waveform[1_600:]).max() > 0.05


def test_word_times_follow_the_sound_and_not_only_the_order() -> None:
    # /s/ is noise and the stop closures of "kick" are silent: energy tells them apart
    speech = speak(["see", "kick"], VOICE)

    see, kick = speech.words
    square = speech.waveform**2
    closure = square[round(kick.start * 16_000) :][:320].mean()
    vowel = square[round((see.end - 0.06) * 16_000) :][:320].mean()
    assert closure < vowel / 20


def test_what_was_said_before_does_not_change_how_something_sounds() -> None:
    words = ["the", "commission", "must", "act"]
    voices = draw_voices({"all": 6}, seed=1)["all"]
    alone = [speak(words, voice) for voice in voices]

    speak(["some", "other", "words", "of", "another", "length"], VOICE)
    again = [speak(words, voice) for voice in reversed(voices)][::-1]

    for first, second in zip(alone, again, strict=True):
        np.testing.assert_array_equal(first.waveform, second.waveform)
        assert first.words == second.words


@pytest.mark.parametrize("base", BASES)
def test_every_accent_speaks(base: str) -> None:
    words = ["we", "thank", "the", "commission", "for", "the", "report"]

    check(speak(words, Voice("v", base=base)), words)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_audible_and_does_not_clip(variant: str) -> None:
    speech = speak(
        ["we", "thank", "the", "commission", "for", "the", "report"], Voice("v", variant=variant)
    )

    assert np.sqrt(np.mean(speech.waveform**2)) > 0.02
    assert np.mean(np.abs(speech.waveform) > 0.999) < 1e-3


def test_digits_and_letters_outside_ascii_get_one_time_a_word() -> None:
    words = ["jos\u00e9", "paid", "2012", "euros", "and", "x-ray", "films"]

    check(speak(words, VOICE), words)


def test_words_without_a_sound_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="nothing to say in '-'"):
        speak(["-"], VOICE)


@pytest.mark.parametrize("words", [[], [""], ["two words"], ["tab\t"]])
def test_input_that_is_not_words_is_refused(words: list[str]) -> None:
    with pytest.raises(ValueError, match="speak needs"):
        speak(words, VOICE)


def test_an_unknown_voice_is_named() -> None:
    with pytest.raises(ValueError, match=r"voice v7: espeak-ng has no voice 'en-moon\+m1'"):
        speak(["hello"], Voice("v7", base="en-moon"))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)

    with pytest.raises(ValueError, match=r"pip install slue-ner\[synth\]"):
        speak(["hello"], VOICE)


def test_real_parliament_sentences_are_timed_word_by_word() -> None:
    if not REAL_TEXT.is_dir():
        pytest.skip("the SLUE-VoxPopuli transcripts are not here")
    rows = read_slue_tsv(REAL_TEXT / "slue-voxpopuli_dev.tsv", split="dev")[::6]
    voices = draw_voices({"dev": 20}, seed=0)["dev"]
    num_words = num_estimated = 0

    for index, utterance in enumerate(rows):
        words = utterance.text.split(" ")
        speech = speak(words, voices[index % len(voices)])
        check(speech, words)
        num_words += len(words)
        num_estimated += sum(word.estimated for word in speech.words)

    assert num_words > 2_000
    assert num_estimated < 0.005 * num_words


def test_no_two_splits_share_a_kind_of_voice() -> None:
    voices = draw_voices({"fine-tune": 150, "tune": 10, "dev": 20, "test": 20}, seed=3)

    kinds = {split: {voice.kind for voice in drawn} for split, drawn in voices.items()}
    assert [len(drawn) for drawn in voices.values()] == [150, 10, 20, 20]
    assert sum(map(len, kinds.values())) == len(set().union(*kinds.values()))
    ids = [voice.id for drawn in voices.values() for voice in drawn]
    assert ids == [f"v{number:04d}" for number in range(200)]


def test_more_speakers_than_kinds_of_voices_stay_apart_from_the_test_split() -> None:
    voices = draw_voices({"fine-tune": 1_000, "test": 50}, seed=0)

    training = {voice.kind for voice in voices["fine-tune"]}
    assert training.isdisjoint({voice.kind for voice in voices["test"]})
    assert len(set(voices["fine-tune"])) == 1_000


def test_a_voice_outside_espeaks_scales_is_refused() -> None:
    with pytest.raises(ValueError, match="voice v1: pitch should be between 0 and 100, got 120"):
        Voice("v1", pitch=120)
