import io
import subprocess
import sys

import pytest
from rich.console import Console

from slue_ner.core.types import EntitySpan, Word
from slue_ner.evaluation.bootstrap import BootstrapOptions
from slue_ner.evaluation.score import score
from slue_ner.evaluation.table import render

INTERVALS = BootstrapOptions(resamples=50)


def test_the_score_object_of_a_hand_worked_corpus(make_reference, make_prediction):
    references = [
        make_reference(
            "the [ORG eu] in [GPE brussels]", id="a", speaker="1", asr_text="the eu in brussels"
        ),
        make_reference(
            "[PERSON barroso] 's tower [FAC big ben]",
            id="b",
            speaker="2",
            asr_text="barroso's tower big ben",
        ),
    ]
    predictions = [
        make_prediction("the [ORG eu] in [PLACE brussel]", id="a", num_repairs=1),
        make_prediction("[PERSON barroso] 's tower [LAW big ben]", id="b"),
    ]
    found = score(references, predictions, intervals=INTERVALS, seen_phrases={"eu"}).to_json()
    bounds = found.pop("intervals")
    # gold: ORG, PLACE, PERSON (FAC is dropped); predicted: ORG, PLACE (misspelt), PERSON, LAW
    two_thirds = {"precision": 0.5, "recall": 2 / 3, "f1": 4 / 7, "tp": 2, "pred": 4, "gold": 3}
    all_gold = {"precision": 0.75, "recall": 1.0, "f1": 6 / 7, "tp": 3, "pred": 4, "gold": 3}
    right = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "tp": 1, "pred": 1, "gold": 1}
    wrong = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "tp": 0, "pred": 1, "gold": 1}
    spurious = {**wrong, "gold": 0}
    assert found == {
        "schema": 1,
        "labels": "combined",
        "num_utterances": 2,
        "num_missing": 0,
        "num_errors": 0,
        "num_repairs": 1,
        "num_speakers": 2,
        "wer": 1 / 9,  # brussel in 4 words, nothing in 5
        "cer": 1 / 42,  # 18 + 24 characters
        "wer_asr": 1 / 8,  # barroso 's is one word there
        "ner": {
            "micro": two_thirds,
            "macro": {"precision": 0.5, "recall": 0.5, "f1": 0.5},
            "per_label": {"LAW": spurious, "ORG": right, "PERSON": right, "PLACE": wrong},
        },
        "ner_label": {
            "micro": all_gold,
            "macro": {"precision": 0.75, "recall": 0.75, "f1": 0.75},
            "per_label": {"LAW": spurious, "ORG": right, "PERSON": right, "PLACE": right},
        },
        "ner_position": {"micro": two_thirds},
        "ner_tolerant": {"micro": all_gold},  # brussel: 1 edit in 8
        "ner_seen": {"micro": right},
        "ner_unseen": {
            "micro": {"precision": 1 / 3, "recall": 0.5, "f1": 0.4, "tp": 1, "pred": 3, "gold": 2}
        },
        "interval_method": {"level": 0.95, "unit": "speaker", "resamples": 50, "seed": 0},
        "clusters": {"speaker": 2, "debate": 0, "utterance": 0},
        "not_computed": {"nel": "none of the 2 references has word times"},
    }
    assert list(bounds) == [
        *("wer", "cer", "wer_asr", "ner.micro.precision", "ner.micro.recall", "ner.micro.f1"),
        *("ner_label.micro.f1", "ner_position.micro.f1", "ner_tolerant.micro.f1"),
        *("ner_seen.micro.f1", "ner_unseen.micro.f1"),
    ]
    assert bounds["wer"] == [0.0, 0.25]  # speaker 2 twice, speaker 1 twice


def test_what_cannot_be_computed_is_absent_and_the_reason_is_given(make_reference, make_prediction):
    references = [make_reference("", id=id) for id in "abcd"]
    predictions = [make_prediction("", id=id) for id in "abcd"]
    found = score(references, predictions).to_json()
    for absent in ("wer", "cer", "wer_asr", "num_speakers", "intervals", "interval_method"):
        assert absent not in found
    assert "macro" not in found["ner"]
    assert found["not_computed"] == {
        "wer": "the references have no words",
        "cer": "the references have no words",
        "wer_asr": "4 references have no asr_text: a, b, c and 1 more",
        "num_speakers": "4 references have no speaker: a, b, c and 1 more",
        "ner.macro": "no label occurs in references or predictions",
        "ner_label.macro": "no label occurs in references or predictions",
        "nel": "none of the 4 references has word times",
    }


def test_labels_choose_the_set_both_sides_are_scored_in(make_reference, make_prediction):
    references = [make_reference("the [GPE eu] at the [FAC berlaymont]")]
    predictions = [make_prediction("the [LOC eu] at the [FAC berlaymont]")]
    found = {
        labels: score(references, predictions, labels=labels).entities["ner"].per_label
        for labels in ("combined", "raw", "as-is")
    }
    assert {label: count.tp for label, count in found["combined"].items()} == {"PLACE": 1}
    assert {label: count.tp for label, count in found["raw"].items()} == {
        "FAC": 1,
        "GPE": 0,
        "LOC": 0,
    }
    assert found["as-is"] == found["raw"]


def test_raw_labels_asked_for_where_there_are_none_name_the_utterance(
    make_reference, make_prediction
):
    prediction = make_prediction("the [PLACE eu]", id="dev_7")
    with pytest.raises(ValueError, match="prediction dev_7: label 'PLACE' is a combined one"):
        score([make_reference("the [GPE eu]", id="dev_7")], [prediction], labels="raw")
    with pytest.raises(ValueError, match="utterance dev_7: label 'PLACE' is a combined one"):
        reference = make_reference("the [PLACE eu]", id="dev_7")
        score([reference], [make_prediction("eu", id="dev_7")], labels="raw")


def test_a_failed_prediction_scores_as_missed(make_reference, make_prediction):
    failed = make_prediction("the [ORG eu]", error="CUDA error")
    found = score([make_reference("the [ORG eu]")], [failed])
    assert found.num_errors == 1
    assert found.error_rates["wer"] == 1.0
    micro = found.entities["ner"].micro
    assert (micro.tp, micro.pred, micro.gold) == (0, 0, 1)


def test_a_recogniser_has_no_entity_score(make_reference, make_prediction):
    words = (Word("the", 0.0, 0.5), Word("eu", 0.5, 1.0))
    spans = (EntitySpan("ORG", "eu", 4, 6, words=(1, 2)),)
    references = [
        make_reference("the [ORG eu]", id=id, speaker=id, words=words, entities=spans)
        for id in "abc"
    ]
    predictions = [make_prediction("the e u", id=id, entities=None) for id in "ab"]
    predictions.append(make_prediction("", id="c", error="no such audio file"))
    scores = score(
        references, predictions, intervals=BootstrapOptions(resamples=20), seen_phrases=["eu"]
    )
    found = scores.to_json()
    absent = ["ner", "ner_label", "ner_position", "ner_tolerant", "ner_seen", "ner_unseen", "nel"]
    assert not {*absent} & found.keys()
    assert list(found["intervals"]) == ["wer", "cer"]
    assert found["wer"] == 1.0  # 2 edits of 2 words, 2 of 2, 2 of 2
    reason = "the predictions have entities null: a recogniser alone finds none"
    assert {name: found["not_computed"].get(name) for name in absent} == dict.fromkeys(
        absent, reason
    )
    assert {path.split(".")[0] for path in found["not_computed"]} == {*absent, "wer_asr"}
    file = io.StringIO()
    render(scores, Console(file=file, width=80))
    assert "f1" not in file.getvalue().split("not computed")[0]


def test_a_system_that_found_nothing_scores_zero(make_reference, make_prediction):
    found = score([make_reference("the [ORG eu]")], [make_prediction("the eu")])
    assert found.entities["ner"].micro.f1 == 0.0


def test_entities_known_of_some_predictions_alone_are_refused(make_reference, make_prediction):
    references = [make_reference("the [ORG eu]", id=id) for id in "abc"]
    predictions = [make_prediction("the [ORG eu]", id=id) for id in "ab"]
    predictions.append(make_prediction("the eu", id="c", entities=None))
    message = r"1 predictions \(c\) have entities null, that is not known, and the other 2 have"
    with pytest.raises(ValueError, match=message):
        score(references, predictions)


def test_a_missing_prediction_scores_as_missed_when_allowed(make_reference):
    found = score([make_reference("the [ORG eu]")], [], missing_as_empty=True)
    assert found.num_missing == 1
    assert found.entities["ner"].micro.fn == 1
    with pytest.raises(ValueError, match=r"1 ids \(a\) have a reference but no prediction"):
        score([make_reference("the [ORG eu]")], [])


def test_scoring_loads_neither_torch_nor_rich():
    program = (
        "import sys, slue_ner.evaluation.score\n"
        "print({'torch', 'transformers', 'rich', 'scipy'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


def test_one_unknown_speaker_changes_an_interval_little(make_reference, make_prediction):
    """Twenty speakers, each understood always or never: an utterance is no unit of its own."""

    def bounds(unknown):
        references = [
            make_reference(
                "in [GPE rome]", id=f"{s}_{k}", speaker=None if (s, k) in unknown else f"s{s}"
            )
            for s in range(20)
            for k in range(10)
        ]
        heard = [f"in [PLACE {'rome' if s % 2 else 'home'}]" for s in range(20) for _ in range(10)]
        predictions = [make_prediction(h, id=r.id) for h, r in zip(heard, references, strict=True)]
        found = score(references, predictions, intervals=BootstrapOptions()).to_json()
        return found["intervals"]["ner.micro.f1"], found["clusters"]

    (low, high), known = bounds(set())
    (one_low, one_high), one_unknown = bounds({(3, 4)})
    assert known == {"speaker": 20, "debate": 0, "utterance": 0}
    assert one_unknown == {"speaker": 20, "debate": 0, "utterance": 1}
    # of a mean of 20 speakers: sd 0.5 / sqrt(20) = 0.11; of 200 utterances it would be 0.035
    assert 0.3 < high - low < 0.6 and 0.3 < one_high - one_low < 0.6
