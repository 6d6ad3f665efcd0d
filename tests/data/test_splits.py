import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slue_ner.core.types import Utterance
from slue_ner.data.corpora.splits import hold_out_tune, with_dev, with_tune


def utterance(id_: str, speaker: str | None = None) -> Utterance:
    return Utterance(id_, "fine-tune", None, None, 16_000, "", speaker=speaker)


def ids(utterances: list[Utterance]) -> list[str]:
    return [utterance.id for utterance in utterances]


def corpus(sizes: list[int]) -> list[Utterance]:
    return [utterance(f"{s}-{i}", f"spk{s}") for s, n in enumerate(sizes) for i in range(n)]


def test_speakers_stay_whole_and_a_tenth_is_held_out() -> None:
    stay, held_out = hold_out_tune(corpus([20] * 90), share=0.1, seed=0)
    assert (len(stay), len(held_out)) == (1_620, 180)
    assert not {u.speaker for u in stay} & {u.speaker for u in held_out}


def test_what_is_held_out_says_so() -> None:
    stay, held_out = hold_out_tune(corpus([1, 1]))
    assert [u.split for u in stay + held_out] == ["fine-tune", "tune"]


def test_a_debate_stays_whole_where_speakers_are_unknown() -> None:
    debates = ("20131007-0900-PLENARY-19-en", "20140203-0900-PLENARY-7-en")
    data = [utterance(f"{debate}_20131007-21:26:04_{i}") for debate in debates for i in range(5)]
    _, held_out = hold_out_tune(data, share=0.2)
    assert len({u.id.split("_")[0] for u in held_out}) == 1
    assert len(held_out) == 5


def test_ids_that_are_no_debates_stand_for_themselves() -> None:
    _, held_out = hold_out_tune([utterance(f"clip_{i:03}") for i in range(50)])
    assert len(held_out) == 5


def test_input_order_does_not_matter_but_the_seed_does() -> None:
    data = corpus([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
    shuffled = random.Random(1).sample(data, len(data))
    first = set(ids(hold_out_tune(data, seed=1)[1]))
    assert first == set(ids(hold_out_tune(shuffled, seed=1)[1]))
    assert any(first != set(ids(hold_out_tune(data, seed=seed)[1])) for seed in range(2, 6))


def test_both_parts_keep_the_input_order() -> None:
    data = random.Random(1).sample(corpus([2] * 20), 40)
    stay, held_out = hold_out_tune(data, share=0.5)
    order = {id_: position for position, id_ in enumerate(ids(data))}
    for part in (stay, held_out):
        assert ids(part) == sorted(ids(part), key=order.__getitem__)


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=8),
    st.floats(0.01, 0.99),
    st.integers(0, 3),
)
def test_no_choice_of_whole_groups_is_closer_to_the_share(
    sizes: list[int], share: float, seed: int
) -> None:
    stay, held_out = hold_out_tune(corpus(sizes), share=share, seed=seed)
    target = max(1, round(share * sum(sizes)))
    best = min(
        abs(sum(chosen) - target)
        for count in range(1, len(sizes))
        for chosen in combinations(sizes, count)
    )
    assert abs(len(held_out) - target) == best
    assert stay and held_out
    assert sorted(ids(stay + held_out)) == sorted(ids(corpus(sizes)))


def test_two_groups_are_enough_however_small_the_share() -> None:
    stay, held_out = hold_out_tune(corpus([3, 50]), share=0.001)
    assert (len(stay), len(held_out)) == (50, 3)


def test_one_speaker_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="all 4 utterances belong to speaker spk0"):
        hold_out_tune(corpus([4]))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 10.0])
def test_a_share_outside_0_and_1_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        hold_out_tune(corpus([1, 1]), share=share)


def test_one_speaker_alone_is_split_by_utterance_with_a_note() -> None:
    splits, notes = with_tune({"fine-tune": corpus([10])}, share=0.1, seed=0)
    assert [len(splits["fine-tune"]), len(splits["tune"])] == [9, 1]
    assert notes == ["tune shares its speaker with fine-tune: all of fine-tune is speaker spk0"]


def test_a_tune_split_that_is_there_is_kept() -> None:
    given_splits = {"fine-tune": corpus([2]), "tune": [replace(utterance("t"), split="tune")]}
    assert with_tune(given_splits, share=0.1, seed=0) == (given_splits, [])


def test_share_0_holds_nothing_out() -> None:
    assert with_tune({"fine-tune": corpus([2, 2])}, share=0, seed=0)[0].keys() == {"fine-tune"}


def test_a_single_utterance_has_no_tune_and_says_so() -> None:
    splits, notes = with_tune({"fine-tune": corpus([1])}, share=0.1, seed=0)
    assert splits.keys() == {"fine-tune"}
    assert "single utterance" in notes[0]


def test_dev_is_held_out_as_tune_is() -> None:
    splits, notes = with_dev({"fine-tune": corpus([2] * 10)}, share=0.1, seed=0)
    assert [len(splits["fine-tune"]), len(splits["dev"])] == [18, 2]
    assert {u.split for u in splits["dev"]} == {"dev"}
    assert notes == []


def test_two_utterances_are_left_for_fine_tune_and_tune() -> None:
    splits, notes = with_dev({"fine-tune": corpus([2])}, share=0.1, seed=0)
    assert splits.keys() == {"fine-tune"}
    assert notes == ["there is no dev split: fine-tune has two utterances"]
