"""Entities of sentences, by a trained tagger."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from slue_ner.core.labels import COMBINED, LabelSet
from slue_ner.core.types import EntitySpan
from slue_ner.data.loading.text_batch import Sentence, SentenceDataset, TextBatch, text_pass
from slue_ner.models.spacy_tagger import SpacyTagger
from slue_ner.models.text_tagger import TextTagger
from slue_ner.text.bio import OUTSIDE, from_bio

WordTagger = TextTagger | SpacyTagger
Progress = Callable[[int, int], None]

_Tagged = tuple[list[str], list[float] | None]
"""The tags of a sentence's words, and how sure the tagger is of each, where it says so."""


def tag_words(
    tagger: WordTagger,
    sentences: Sequence[Sequence[str]],
    *,
    labels: LabelSet = COMBINED,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> list[list[EntitySpan]]:
    """Find the entities of sentences.

    Tags are read as entities first, then labels are mapped: an entity whose label ``labels``
    drops is left out.

    Args:
        tagger: a trained model; it is moved to ``device`` and put in eval mode.
        sentences: their words, in SLUE's NER form; a sentence may have none.
        labels: what entities are called in the result.
        batch_size: sentences a batch; changes speed and memory, not results.
        device: where to run; spaCy stays on the CPU.
        progress: called with sentences done and in all.

    Returns:
        For each sentence its entities in order, with ``words`` as a range of the sentence and
        the geometric mean of their tags' probabilities as ``score``, which spaCy does not tell.
    """
    if isinstance(tagger, SpacyTagger):
        tagged = _by_spacy(tagger, sentences, batch_size=batch_size, progress=progress)
    else:
        tagged = _by_model(
            tagger, sentences, batch_size=batch_size, device=device, progress=progress
        )
    found: list[list[EntitySpan]] = []
    for words, (tags, sure) in zip(sentences, tagged, strict=True):
        entities: list[EntitySpan] = []
        for entity in from_bio(words, tagger.in_bio(tags)):
            assert entity.label is not None and entity.words is not None
            label = labels.convert(entity.label)
            if label is not None:
                score = None if sure is None else _geometric_mean(sure[slice(*entity.words)])
                entities.append(replace(entity, label=label, score=score))
        found.append(entities)
    return found


@torch.inference_mode()
def _by_model(
    tagger: TextTagger,
    sentences: Sequence[Sequence[str]],
    *,
    batch_size: int,
    device: torch.device | str,
    progress: Progress | None,
) -> list[_Tagged]:
    """The most probable tags."""
    tagger = tagger.to(device).eval()
    there = [Sentence(str(i), tuple(words)) for i, words in enumerate(sentences) if words]
    dataset = SentenceDataset(there, encode=tagger.encode, tags=(OUTSIDE,))  # nothing to learn
    tags: list[list[str]] = [[""] * len(words) for words in sentences]
    probabilities: list[list[float]] = [[0.0] * len(words) for words in sentences]
    done = len(sentences) - len(there)
    for batch in text_pass(dataset, padding=tagger.padding, batch_size=batch_size):
        logits = tagger(batch.to(device).inputs)
        best, ids = logits.float().softmax(dim=-1).max(dim=-1)  # (B, W)
        read_tags(batch, ids, tags=tags, names=tagger.tags)
        for id, window, row in zip(batch.ids, batch.windows, best.tolist(), strict=True):
            for word in window.owned:
                probabilities[int(id)][word] = row[word - window.first]
        done += len(set(batch.ids))
        if progress is not None:
            progress(done, len(sentences))
    return list(zip(tags, probabilities, strict=True))


def _by_spacy(
    tagger: SpacyTagger,
    sentences: Sequence[Sequence[str]],
    *,
    batch_size: int,
    progress: Progress | None,
) -> list[_Tagged]:
    """The tags of a pipeline."""
    tagged: list[_Tagged] = [([], None) for _ in sentences]
    there = [i for i, words in enumerate(sentences) if words]
    read = tagger.tag([sentences[i] for i in there], batch_size=batch_size)
    for done, (i, tags) in enumerate(zip(there, read, strict=True), start=1):
        tagged[i] = tags, None
        if progress is not None:
            progress(len(sentences) - len(there) + done, len(sentences))
    return tagged


def read_tags(
    batch: TextBatch, ids: Tensor, *, tags: Sequence[list[str]], names: Sequence[str]
) -> None:
    """Write the tags of a batch's words where they belong.

    Args:
        batch: its ids are numbers of sentences.
        ids: of the best tags, ``(B, W)``.
        tags: of every word of every sentence; changed.
        names: of the tags.
    """
    for id, window, row in zip(batch.ids, batch.windows, ids.tolist(), strict=True):
        for word in window.owned:
            tags[int(id)][word] = names[row[word - window.first]]


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(max(value, 1e-30)) for value in values) / len(values))
