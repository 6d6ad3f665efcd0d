import pytest

from slue_ner.core.labels import COMBINED, RAW
from slue_ner.core.types import EntitySpan, Utterance, Word
from slue_ner.text.marks import lost_words, survives, survives_everywhere, without_marks


def said(text: str, *phrases: str, **fields) -> Utterance:
    entities = tuple(
        EntitySpan("GPE", phrase, text.index(phrase), text.index(phrase) + len(phrase))
        for phrase in phrases
    )
    return Utterance("a", "dev", None, None, 16_000, text, entities=entities, **fields)


@pytest.mark.parametrize(
    ("text", "combined", "raw", "plain"),
    [
        ("in rome", True, True, True),
        ("profits & losses", False, False, True),
        ("from [ here", True, False, True),
        ("from ] here", False, False, True),
        ("at&t ]x", True, True, True),  # glued to letters a mark is a letter
        ("a|b", False, False, False),
        ("a | b", False, False, False),
    ],
)
def test_what_comes_back_from_symbols_survives(text, combined, raw, plain):
    utterance = said(text)
    found = [survives(utterance, labels) for labels in (COMBINED, RAW, None)]
    assert found == [combined, raw, plain]
    assert survives_everywhere(utterance) == (combined and raw)
    assert bool(lost_words(text)) != survives_everywhere(utterance)


def test_marks_are_taken_out_and_entities_follow():
    words = (Word("r&d", 0.0, 0.2), Word("&", 0.2, 0.3), Word("ab|cd", 0.3, 0.5), Word("x", 0.5, 1))
    given = said("r&d & ab|cd x", "ab|cd", "x", asr_text="r&d &, ab|cd x", words=words)
    cleaned, num_gone = without_marks(given)
    assert cleaned.text == "r&d ab cd x"
    assert cleaned.asr_text == "r&d ab cd x"
    assert cleaned.entities == (EntitySpan("GPE", "ab cd", 4, 9), EntitySpan("GPE", "x", 10, 11))
    assert cleaned.words == (
        Word("r&d", 0.0, 0.2),
        Word("", 0.2, 0.3),  # the mark is a silence now
        Word("ab", 0.3, 0.5),
        Word("cd", 0.5, 0.5),
        Word("x", 0.5, 1),
    )
    assert num_gone == 0 and survives_everywhere(cleaned)


def test_an_entity_of_marks_alone_is_gone_and_counted():
    cleaned, num_gone = without_marks(said("$ in rome", "$", "rome"))
    assert cleaned.text == "in rome" and num_gone == 1
    assert cleaned.entities == (EntitySpan("GPE", "rome", 3, 7),)


def test_word_ranges_move_behind_a_word_that_is_cut():
    words = (Word("a|b", 0, 1), Word("rome", 1, 2))
    given = said("a|b rome", words=words)
    entity = EntitySpan("GPE", "rome", 4, 8, words=(1, 2), start=1, end=2)
    cleaned, _ = without_marks(
        Utterance(**{**{f: getattr(given, f) for f in given.__slots__}, "entities": (entity,)})
    )
    assert cleaned.entities == (EntitySpan("GPE", "rome", 4, 8, words=(2, 3), start=1, end=2),)
