"""Any ready recogniser behind one function: utterances in, words with times out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from slue_ner.core.records import read_predictions
from slue_ner.core.run_files import CONFIG_FILE
from slue_ner.core.time import Seconds
from slue_ner.core.types import Prediction, Progress, Utterance
from slue_ner.data.corpora.aligner_files import read_ctm
from slue_ner.inference.beam_decoding import CTCDecoding, note_truncated
from slue_ner.inference.transcribing import CTCPredictor, decode
from slue_ner.inference.whisper import recognise_with_whisper
from slue_ner.models.encoder.hub_checkpoints import check_exists, read_hub_config
from slue_ner.models.hub_ctc import hub_ctc
from slue_ner.tasks.run import Run
from slue_ner.text.apostrophes import plain_letters
from slue_ner.text.recognised import foreign_note, in_ner_form


def recognise(
    source: str | Path,
    utterances: Sequence[Utterance],
    *,
    weights: str = "best",
    batch_seconds: Seconds = 80.0,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    progress: Progress | None = None,
    decoding: CTCDecoding | None = None,
    note: Callable[[str], None] | None = None,
    ner_form: bool = False,
) -> list[Prediction]:
    """Transcribe every utterance; none is ever left out.

    Words of other tools are brought to SLUE's NER form once; a run of this program writes it
    already.

    Args:
        source: a run folder (``task=ctc_plain``); a CTC or Whisper checkpoint of transformers as
            a folder or hub id; or words made elsewhere, in a ``.ctm`` or a predictions
            ``.jsonl``, for which nothing is run.
        utterances: what to transcribe.
        weights: of a run, ``best`` or ``last``.
        batch_seconds: padded seconds of audio a batch.
        device: where to run.
        num_workers: loader processes.
        progress: called with utterances done and in all.
        decoding: beam search over the symbols of a CTC source; ``None`` decodes greedily.
        note: called with a sentence about whatever the search cannot use or find.
        ner_form: bring the words of a predictions ``.jsonl`` to the NER form too; one that this
            program wrote has it already.

    Returns:
        One prediction an utterance, in the same order, with entities ``None``; those that failed
        have ``error`` set.

    Raises:
        ValueError: for a source of another kind, or one that cannot be read, and for a
            ``decoding`` of a source that has no CTC emissions.
    """
    path = Path(source)
    if decoding is not None and path.suffix in (".ctm", ".jsonl"):
        raise ValueError(f"{source} holds words, which cannot be decoded again; leave --lm out")
    if ner_form and path.suffix != ".jsonl":
        raise ValueError(
            f"{source} is no predictions file; words of other sources are brought to the NER form "
            "where that is needed, so leave --ner-form out"
        )
    if path.suffix == ".ctm":
        return _from_ctm(path, utterances)
    if path.suffix == ".jsonl":
        return _from_predictions(path, utterances, ner_form=ner_form, note=note)
    loading: dict[str, Any] = {
        "batch_seconds": batch_seconds,
        "num_workers": num_workers,
        "device": device,
    }
    if (path / CONFIG_FILE).is_file():
        predictor = Run.open(path).recogniser(weights=weights)
        if predictor.vocabulary.labels is not None:
            raise ValueError(
                f"{source} writes entity marks and is no recogniser; train one with task=ctc_plain"
            )
        symbols = predictor.vocabulary.symbols
        return _transcribe(predictor, symbols, utterances, decoding, note, loading, progress)
    check_exists(path)
    config = read_hub_config(str(source))
    if config.get("model_type") == "whisper":
        if decoding is not None:
            raise ValueError(f"{source} is Whisper and has no CTC emissions; leave --lm out")
        found = recognise_with_whisper(str(source), utterances, device=device, progress=progress)
    else:
        model, vocabulary = hub_ctc(str(source))
        if note is not None and model.encoder.guess is not None:
            note(model.encoder.guess)
        predictor = CTCPredictor(model, vocabulary)
        letters = [plain_letters(symbol) for symbol in vocabulary.symbols]
        found = _transcribe(predictor, letters, utterances, decoding, note, loading, progress)
    return [in_ner_form(prediction) for prediction in found]


def _transcribe(
    predictor: CTCPredictor,
    symbols: Sequence[str],
    utterances: Sequence[Utterance],
    decoding: CTCDecoding | None,
    note: Callable[[str], None] | None,
    loading: dict[str, Any],
    progress: Progress | None,
) -> list[Prediction]:
    """Decode, with a search over ``symbols``: the model's, as language models spell them."""
    decoder = None if decoding is None else decoding.decoder(symbols, None, note=note)
    emitted = predictor.emit(utterances, **loading)
    predictions = decode(
        emitted,
        utterances,
        vocabulary=predictor.vocabulary,
        decoder=decoder,
        progress=progress,
    )
    note_truncated(decoder, note)
    return predictions


def _from_ctm(path: Path, utterances: Sequence[Utterance]) -> list[Prediction]:
    """Words in the order of their starts, which a CTM should have but need not have."""
    words = {id: sorted(of_id, key=lambda word: word.start) for id, of_id in read_ctm(path).items()}
    _check_ids(path, words, utterances)
    return [
        in_ner_form(Prediction(utterance.id, "", entities=None, words=tuple(words[utterance.id])))
        if utterance.id in words
        else _absent(path, utterance)
        for utterance in utterances
    ]


def _from_predictions(
    path: Path,
    utterances: Sequence[Utterance],
    *,
    ner_form: bool,
    note: Callable[[str], None] | None,
) -> list[Prediction]:
    read = read_predictions(path)
    if ner_form:
        read = [in_ner_form(prediction) for prediction in read]
    elif note is not None and (sentence := foreign_note(read, utterances, flag="--ner-form")):
        note(f"{path}: {sentence}")
    found = {prediction.id: prediction for prediction in read}
    _check_ids(path, found, utterances)
    return [
        _without_entities(found[utterance.id])
        if utterance.id in found
        else _absent(path, utterance)
        for utterance in utterances
    ]


def _without_entities(prediction: Prediction) -> Prediction:
    return replace(prediction, entities=None if prediction.error is None else ())


def _absent(path: Path, utterance: Utterance) -> Prediction:
    return Prediction(utterance.id, "", error=f"{path} has no words of {utterance.id}")


def _check_ids(path: Path, found: dict[str, Any], utterances: Sequence[Utterance]) -> None:
    if utterances and not any(utterance.id in found for utterance in utterances):
        raise ValueError(
            f"{path} has no words of any of the {len(utterances)} utterances, first "
            f"{utterances[0].id}; its ids must be those of the manifest"
        )
