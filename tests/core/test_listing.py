import pytest

from slue_ner.core.listing import refuse, shown


def test_ids_beyond_the_first_few_are_counted():
    assert shown(["a", "b", "c"], 3) == "a, b, c"
    assert shown(["a", "b", "c", "d"], 2, between="; ") == "a; b and 2 more"


def test_a_single_problem_is_the_error_and_several_are_a_list():
    refuse([], "utterances")
    with pytest.raises(ValueError, match=r"^a: too short$"):
        refuse(["a: too short"], "utterances")
    with pytest.raises(ValueError, match=r"^2 of 9 lines cannot be used:\n  a: one\n  b: two$"):
        refuse(["a: one", "b: two"], "of 9 lines")


def test_twenty_problems_are_listed():
    with pytest.raises(ValueError, match=r"\n  19\n  and 3 more$"):
        refuse([str(number) for number in range(23)], "utterances")
