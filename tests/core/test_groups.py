from __future__ import annotations

import pytest

from slue_ner.core.groups import Group, group_of, known_speaker, speaker_name
from slue_ner.core.types import Utterance

DEBATE = "20131007-0900-PLENARY-19-en"


def utterance(id: str, speaker: str | None = None) -> Utterance:
    return Utterance(id, "dev", None, None, 16_000, "eu", speaker=speaker)


def test_a_known_speaker_matters_more_than_the_debate() -> None:
    assert group_of(utterance(f"{DEBATE}_x_7", "1027")) == Group("speaker", "1027")


def test_an_unknown_speaker_is_grouped_by_the_debate_of_its_id() -> None:
    assert group_of(utterance(f"{DEBATE}_x_7")) == Group("debate", DEBATE)


def test_an_id_that_names_no_debate_stands_for_itself() -> None:
    assert group_of(utterance("clip_7")) == Group("utterance", "clip_7")


@pytest.mark.parametrize("missing", ["", " ", "None", "null", "nan"])
def test_the_trace_of_a_missing_name_is_no_speaker(missing: str) -> None:
    assert speaker_name(missing) is None
    assert known_speaker(utterance("clip_7", missing)) is None
    assert group_of(utterance("clip_7", missing)).kind == "utterance"


def test_speakers_that_are_numbers_have_their_digits_as_names() -> None:
    names = [speaker_name(value) for value in (1027, 0, float("nan"), None, "7")]
    assert names == ["1027", "0", None, None, "7"]


def test_a_speaker_called_like_a_debate_or_an_utterance_is_neither() -> None:
    groups = [
        utterance("a", DEBATE),
        utterance(f"{DEBATE}_x_7"),
        utterance("b", "clip_7"),
        utterance("clip_7"),
    ]
    assert len({group_of(u) for u in groups}) == len({str(group_of(u)) for u in groups}) == 4
