from slue_ner.core.types import EntitySpan
from slue_ner.evaluation.ner import partition, training_phrases


def test_training_phrases_are_those_of_every_label(make_reference):
    manifest = [
        make_reference("the [ORG eu] and the [ORG eu]"),
        make_reference("[FAC the berlaymont]"),
    ]
    assert training_phrases(manifest) == {"eu", "the berlaymont"}


def test_an_entity_is_seen_by_its_phrase_whatever_its_label():
    known, new, unknown = (EntitySpan("PLACE", phrase) for phrase in ("eu", "un", None))
    assert partition([known, new, unknown], seen_phrases={"eu"}) == ([known], [new, unknown])
