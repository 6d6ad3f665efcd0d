"""Entities of sentences, by a trained tagger."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from slue_ner.core.labels import COMBINED, LabelSet
from slue_ner.core.types import EntitySpan
from slue_ner.data.text_batch import Sentence, SentenceDataset, TextBatch, text_pass
from slue_ner.models.text_tagger import TextTagger
from slue_ner.text.bio import from_bio


@torch.inference_mode()
def tag_words(
    tagger: TextTagger,
    sentences: Sequence[Sequence[str]],
    *,
    labels: LabelSet = COMBINED,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> list[list[EntitySpan]]:
    """Find the entities of sentences.

    Tags are read as entities first, then labels are mapped: an entity whose label ``labels``
    drops is left out.

    Args:
        tagger: a trained model; it is moved to ``device`` and put in eval mode.
        sentences: their words, in SLUE's NER form; a sentence may have none.
        labels: what entities are called in the result.
        batch_size: sentences a batch; changes speed and memory, not results.
        device: where to run.
        progress: called with sentences done and in all.

    Returns:
        For each sentence its entities in order, with ``words`` as a range of the sentence and
        the geometric mean of their tags' probabilities as ``score``.
    """
    tagger = tagger.to(device).eval()
    there = [Sentence(str(i), tuple(words)) for i, words in enumerate(sentences) if words]
    dataset = SentenceDataset(there, encode=tagger.encode, tags=tagger.tags)
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
    found: list[list[EntitySpan]] = []
    for words, of_words, sure in zip(sentences, tags, probabilities, strict=True):
        entities: list[EntitySpan] = []
        for entity in from_bio(words, of_words):
            assert entity.label is not None and entity.words is not None
            label = labels.convert(entity.label)
            if label is not None:
                score = _geometric_mean(sure[slice(*entity.words)])
                entities.append(replace(entity, label=label, score=score))
        found.append(entities)
    return found


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
