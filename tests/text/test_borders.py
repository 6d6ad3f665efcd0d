import pytest

from slue_ner.text.borders import find_words
from slue_ner.text.normalize import ner_form

HINDI = "\u0930\u093e\u092e\u093e \u0914\u0930 \u0930\u093e\u092e"  # rama aur ram
PERSIAN = "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627 \u06a9\u062a\u0627\u0628"  # books, book


@pytest.mark.parametrize(
    ("text", "phrase", "place"),
    [
        (HINDI, "\u0930\u093e\u092e", (8, 11)),
        ("jose\u0301 met jose", "jose", (10, 14)),
        ("\u0643\u062a\u0628\u064f\u0648\u0627 \u0643\u062a\u0628", "\u0643\u062a\u0628", (7, 10)),
        (PERSIAN, "\u06a9\u062a\u0627\u0628", (8, 12)),
        ("twofold or two", "two", (11, 14)),
        ("the EU's view", "eu", (4, 6)),
        ("a brussels-based body", "brussels", (2, 10)),
        ("in new  york", "New York", (3, 12)),
        ("romans", "roman", None),
    ],
)
def test_a_phrase_is_found_as_whole_words_marks_included(text, phrase, place):
    assert find_words(phrase, text, 0) == place


CHINESE = "\u6211\u5728\u5317\u4eac"  # I am in Beijing


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        (CHINESE, 2, 2),
        ("\u79c1\u306f\u6771\u4eac\u306b", 2, 2),  # Japanese
        (
            "\u0e09\u0e31\u0e19\u0e2d\u0e22\u0e39\u0e48\u0e01\u0e23\u0e38\u0e07\u0e40\u0e17\u0e1e",
            6,
            8,
        ),
        ("\u1781\u17d2\u1789\u17bb\u17c6\u1793\u17c5", 5, 2),  # Khmer
        ("\u6211\u5728\uff0c\u5317\u4eac", 3, 2),  # behind a wide comma
        ("\u6211\u5728,\u5317\u4eac", 3, 2),  # behind one that the NER form leaves out
        ("\u5728EU\u5de5\u4f5c", 1, 2),
    ],
)
def test_no_space_is_put_into_a_script_without_spaces(text, start, length):
    with pytest.raises(ValueError, match=r"entity GPE .* put a space into .* without spaces"):
        ner_form(text, [("GPE", start, length)])


@pytest.mark.parametrize(
    "text", ["\u05d1\u05e8\u05d5\u05de\u05d0", "\u0628\u0631\u0648\u0645\u0627"]
)
def test_a_prefix_is_not_cut_off_its_name(text):
    with pytest.raises(ValueError, match=r"would cut the word .* in two"):
        ner_form(text, [("GPE", 1, 4)])


def test_text_with_spaces_between_its_words_is_kept():
    text = "\u6211 \u5728 \u5317\u4eac"
    formed, (entity,) = ner_form(text, [("GPE", 4, 2)])
    assert formed == text and (entity.start_char, entity.end_char) == (4, 6)
    assert ner_form(CHINESE, [])[0] == CHINESE


@pytest.mark.parametrize(
    ("text", "formed"),
    [("the eu's view", "the eu 's view"), ("the eu-wide view", "the eu -wide view")],
)
def test_an_entity_ends_at_an_apostrophe_or_a_hyphen(text, formed):
    assert ner_form(text, [("ORG", 4, 2)], whole_words=True)[0] == formed


def test_a_word_is_cut_as_in_slues_official_code_unless_whole_words_are_asked_for():
    assert ner_form("in romania", [("GPE", 3, 4)])[0] == "in roma nia"
    with pytest.raises(ValueError, match="ends inside a word: it would cut the word 'romania'"):
        ner_form("in romania", [("GPE", 3, 4)], whole_words=True)
