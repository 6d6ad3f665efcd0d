"""Text NER on words: of sentences, of what a recogniser wrote, of what was really said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from slue_ner.core.labels import LabelSet, label_set_for
from slue_ner.core.types import EntitySpan, Prediction, Progress, Utterance, Word
from slue_ner.data.loading.text_batch import Sentence, SentenceDataset, TextBatch, text_pass
from slue_ner.models.taggers.spacy_tagger import SpacyTagger
from slue_ner.models.taggers.text_tagger import TextTagger
from slue_ner.text.apostrophes import match_words, split_possessive, split_possessives
from slue_ner.text.bio import OUTSIDE, from_bio

WordTagger = TextTagger | SpacyTagger
_Tagged = tuple[list[str], list[float] | None]
"""The tags of a sentence's words, and how sure the tagger is of each, where it says so."""


def tag_words(
    tagger: WordTagger,
    sentences: Sequence[Sequence[str]],
    *,
    labels: LabelSet | None = None,
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
        labels: what entities are called in the result; ``None`` for combined labels, or those of
            one's own that the tagger knows.
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
            label = (labels or label_set_for([entity.label])).convert(entity.label)
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


@dataclass(frozen=True)
class TextPredictor:
    """A trained tagger, for what was really said.

    Attributes:
        tagger: in eval mode.
        batch_size: sentences a batch; changes speed and memory, not results.
    """

    tagger: TextTagger
    batch_size: int = 32

    def predict(
        self, utterances: Sequence[Utterance], *, device: torch.device | str = "cpu"
    ) -> list[Prediction]:
        """The entities of the references' own words, see ``topline``."""
        return topline(utterances, self.tagger, batch_size=self.batch_size, device=device)


def cascade(
    predictions: Sequence[Prediction],
    tagger: WordTagger,
    *,
    labels: LabelSet | None = None,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> list[Prediction]:
    """Find entities in recognised words.

    A possessive ``'s`` becomes a word of its own, as in the text that taggers are trained on,
    and lasts an instant; nothing else is normalised. An entity lasts from the start of its first
    word to the end of its last; without word times it has none. Entities that the recogniser
    brought along are replaced; its tokens stay, so that words can be localized again.

    Args:
        predictions: of a recogniser.
        tagger: text NER.
        labels: what entities are called in the result; ``None`` for combined labels, or those of
            one's own that the tagger knows.
        batch_size: sentences a batch; changes speed and memory, not results.
        device: where to run; spaCy stays on the CPU.
        progress: called with utterances done and in all.

    Returns:
        One prediction each, in the same order; one with an error, or without words, has no
        entities.

    Raises:
        ValueError: naming a prediction whose words do not spell its text, or are out of order.
    """
    read = [_split(prediction) for prediction in predictions]
    found = tag_words(
        tagger,
        [[] if prediction.error else prediction.text.split() for prediction in read],
        labels=labels,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    return [
        replace(prediction, entities=placed(entities, prediction.words))
        for prediction, entities in zip(read, found, strict=True)
    ]


def topline(
    utterances: Sequence[Utterance],
    tagger: WordTagger,
    *,
    labels: LabelSet | None = None,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> list[Prediction]:
    """Find entities in what was really said: the topline, and the oracle of localization.

    Where the manifest has word times, words and entities get them; where these words do not
    spell the text (after cutting them where the text is cut, ``eu's`` into ``eu`` and ``'s``),
    there are no times.

    Args:
        utterances: their ``text`` is read; their entities are not.
        tagger: text NER.
        labels: what entities are called in the result; ``None`` for combined labels, or those of
            one's own that the tagger knows.
        batch_size: sentences a batch; changes speed and memory, not results.
        device: where to run; spaCy stays on the CPU.
        progress: called with utterances done and in all.
    """
    found = tag_words(
        tagger,
        [utterance.text.split() for utterance in utterances],
        labels=labels,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    predictions: list[Prediction] = []
    for utterance, entities in zip(utterances, found, strict=True):
        words = None
        if utterance.words is not None:
            words = match_words(utterance.words, utterance.text.split())
        predictions.append(
            Prediction(
                id=utterance.id,
                text=utterance.text,
                entities=placed(entities, words),
                words=words,
            )
        )
    return predictions


def placed(entities: Sequence[EntitySpan], words: Sequence[Word] | None) -> tuple[EntitySpan, ...]:
    """Entities over spoken words as entities over a record's words, with their times.

    Args:
        entities: their ``words`` count no silences.
        words: of the record, silences included; ``None`` leaves the entities as they are.
    """
    if words is None:
        return tuple(entities)
    spoken = [index for index, word in enumerate(words) if word.text]
    timed: list[EntitySpan] = []
    for entity in entities:
        assert entity.words is not None
        first, last = spoken[entity.words[0]], spoken[entity.words[1] - 1]
        start, end = words[first].start, words[last].end
        timed.append(replace(entity, words=(first, last + 1), start=start, end=end))
    return tuple(timed)


def _split(prediction: Prediction) -> Prediction:
    """A recogniser's prediction with possessives split off and no entities."""
    if prediction.words is None:
        pieces = [piece for word in prediction.text.split() for piece in split_possessive(word)]
        return replace(prediction, text=" ".join(pieces), entities=())
    spoken = [word.text for word in prediction.words if word.text]
    if spoken != prediction.text.split():
        raise ValueError(
            f"prediction {prediction.id}: its words are {spoken} but its text is "
            f"{prediction.text!r}; give every word of the text an entry of its own, or words: null "
            "where times are not known"
        )
    starts = [word.start for word in prediction.words]
    if starts != sorted(starts):
        raise ValueError(
            f"prediction {prediction.id}: its words are not in the order in which they start"
        )
    words = split_possessives(prediction.words)
    text = " ".join(word.text for word in words if word.text)
    return replace(prediction, text=text, words=words, entities=())
