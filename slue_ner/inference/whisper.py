"""Whisper as a recogniser, with the word times that its cross-attention tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor, pipeline

from slue_ner.core.types import Prediction, Utterance, Word
from slue_ner.data.loading.audio import AudioError
from slue_ner.data.loading.batch import read_utterance
from slue_ner.models.encoder.hub_checkpoints import is_safe, quiet_transformers, weights_of
from slue_ner.models.encoder.weight_files import reason

_SAMPLE_RATE = 16_000
_SHORTEST = 320  # samples of one frame of the encoder; cross-attention aligns nothing shorter


@torch.inference_mode()
def recognise_with_whisper(
    source: str,
    utterances: Sequence[Utterance],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[Prediction]:
    """Transcribe English with a Whisper checkpoint, greedily, one utterance at a time.

    Audio longer than the 30 s that Whisper hears at once is read piece after piece.

    A word's times come from the alignment of cross-attention (the checkpoint must name its
    alignment heads), and are cut to the audio; words are as Whisper writes them.

    Args:
        source: folder or hub id.
        utterances: what to transcribe.
        device: where to run.
        progress: called with utterances done and in all.

    Raises:
        ValueError: for a checkpoint that cannot be read or knows no word times.
    """
    transcribe = _transcriber(source, device)
    predictions: list[Prediction] = []
    for utterance in utterances:
        predictions.append(_one(transcribe, utterance))
        if progress is not None:
            progress(len(predictions), len(utterances))
    return predictions


def _transcriber(source: str, device: torch.device | str) -> Callable[[Any], list[Any]]:
    weights = weights_of(source)
    try:
        with quiet_transformers():
            model: Any = WhisperForConditionalGeneration.from_pretrained(
                source,
                dtype=torch.float32,
                use_safetensors=is_safe(weights),
                weights_only=True,
            )
            processor: Any = WhisperProcessor.from_pretrained(source)
    except Exception as error:  # tokenizers has no class of its own for a damaged file
        raise ValueError(
            f"{source} is no Whisper checkpoint with a processor: {reason(error)}"
        ) from error
    largest = max(processor.tokenizer.get_vocab().values(), default=0)
    if largest >= (size := len(model.get_output_embeddings().weight)):
        raise ValueError(
            f"{source}: its tokenizer has the symbol {largest} but the model has {size}; use a "
            "checkpoint with the tokenizer it was trained with"
        )
    if getattr(model.generation_config, "alignment_heads", None) is None:
        raise ValueError(
            f"{source} names no alignment_heads in generation_config.json, so its words have no "
            "times; take them from the Whisper checkpoint that it was made from"
        )
    options = {}
    if getattr(model.generation_config, "is_multilingual", False):
        options = {"language": "en", "task": "transcribe"}
    model = model.to(device).eval()
    made: Any = pipeline(
        "automatic-speech-recognition",
        model=model,
        tokenizer=processor.tokenizer,
        feature_extractor=processor.feature_extractor,
        device=torch.device(device),
    )

    def transcribe(waveform: Any) -> list[Any]:
        with quiet_transformers():
            found: Any = made(
                {"raw": waveform, "sampling_rate": _SAMPLE_RATE},
                return_timestamps="word",
                generate_kwargs={"num_beams": 1, "do_sample": False, **options},
            )
        chunks: list[Any] = found["chunks"]
        return chunks

    return transcribe


def _one(transcribe: Callable[[Any], list[Any]], utterance: Utterance) -> Prediction:
    try:
        waveform = read_utterance(utterance, min_samples=_SHORTEST)
    except AudioError as error:
        return Prediction(utterance.id, "", error=str(error))
    try:
        chunks = transcribe(waveform)
    except RuntimeError as error:
        # transformers 5.23 joins the times of no segment at all where Whisper hears no speech
        if "non-empty list of Tensors" not in str(error):
            raise
        chunks = []
    words = _words(chunks, len(waveform) / _SAMPLE_RATE)
    text = " ".join(word.text for word in words)
    return Prediction(utterance.id, text, entities=None, words=words)


def _words(chunks: Sequence[Any], duration: float) -> tuple[Word, ...]:
    """Words in order, none reaching back into the one before or beyond the audio."""
    words: list[Word] = []
    end = 0.0
    for chunk in chunks:
        text = chunk["text"].strip()
        if not text:
            continue
        first, last = chunk["timestamp"]
        start = min(max(end, first if first is not None else end), duration)
        end = min(max(start, last if last is not None else start), duration)
        words.append(Word(text, start, end))
    return tuple(words)
