from slue_ner.core.types import EntitySpan, Prediction, Utterance, Word
from slue_ner.text.recognised import foreign_note, in_ner_form

WORDS = (
    Word("The", 0, 1),
    Word("", 1, 2),
    Word("EU\u2019s", 2, 3),
    Word(",", 3, 4),
    Word("Rome.", 4, 5),
)


def test_words_and_entities_of_a_prediction_get_the_rules_of_a_ctm():
    entities = (
        EntitySpan("ORG", "EU\u2019s", words=(2, 3)),
        EntitySpan("GPE", "Rome.", words=(4, 5)),
    )
    formed = in_ner_form(Prediction("a", "The EU\u2019s , Rome.", words=WORDS, entities=entities))
    assert formed.text == "the eu 's rome"
    assert [word.text for word in formed.words] == ["the", "", "eu", "'s", "rome"]
    assert formed.entities == (
        EntitySpan("ORG", "eu 's", words=(2, 4)),
        EntitySpan("GPE", "rome", words=(4, 5)),
    )


def test_a_prediction_of_text_alone_keeps_it():
    formed = in_ner_form(Prediction("a", "Don't go, EU."))
    assert formed.text == "don 't go eu" and formed.words is None


def reference(text: str) -> Utterance:
    return Utterance("a", "dev", None, None, 16_000, text)


def test_capitals_and_punctuation_that_no_reference_has_get_a_note():
    predictions = [Prediction("a", "The eu."), Prediction("b", "rome"), Prediction("c", "rome!")]
    note = foreign_note(predictions, [reference("the eu")], flag="--ner-form")
    assert note == (
        "of 3 predictions, capital letters in 1 and punctuation in 2, which no reference has: such "
        "words count as other words, first a: 'The eu.'; --ner-form reads them by the rules of a "
        ".ctm"
    )
    assert foreign_note(predictions, [reference("The eu!")], flag="--ner-form") is None
    assert foreign_note([predictions[1]], [reference("the eu")], flag="--ner-form") is None
