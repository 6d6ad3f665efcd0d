"""Text NER: a tagger of words, trained on gold text and perhaps on what a recogniser wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from rich.console import Console
from seqeval.metrics import f1_score
from torch import Tensor
from torch.nn import functional

from slue_ner.core.labels import RAW, LabelSet, label_set_for
from slue_ner.core.listing import counted
from slue_ner.core.records import read_predictions
from slue_ner.core.run_files import TAGGER_FOLDER
from slue_ner.core.types import Prediction, Utterance
from slue_ner.data.corpora.dataset import check_labelled
from slue_ner.data.loading.text_batch import (
    IGNORED,
    Sentence,
    SentenceDataset,
    TextBatch,
    sentence_of,
    text_loader,
    text_pass,
)
from slue_ner.evaluation.projection import project
from slue_ner.inference.tagging import TextPredictor, read_tags
from slue_ner.models.adaptation.strategy import AdaptationReport
from slue_ner.models.encoder.speech_encoder import SpeechEncoder
from slue_ner.models.taggers.small_tagger import STRUCTURE_FILE, SmallTagger, SmallTaggerOptions
from slue_ner.models.taggers.text_tagger import TextTagger, bio_tags
from slue_ner.models.taggers.transformer_tagger import pretrained_tagger, tagger_from_structure
from slue_ner.text.apostrophes import split_possessive
from slue_ner.text.bio import to_bio
from slue_ner.training.module import TrainingModule
from slue_ner.training.progress import Throughput, WordThroughput
from slue_ner.training.ranks import gather
from slue_ner.training.run_folder import RunFolder
from slue_ner.training.task import Built, Loaders, RunConfig, Task, TrainingData


@dataclass(kw_only=True)
class TextNER(Task):
    """Text NER: a tagger trained on gold text, chosen by entity F1 on the tune split.

    Attributes:
        source: hub id or folder of a pre-trained text model; ``None`` trains a small one from
            random weights.
        revision: branch, tag or commit of a hub id.
        batch_size: sentences a batch, a device.
        max_tokens: longest window of a pre-trained model in sub-tokens.
        noise: probability that a letter or a gap between words is spoiled in training.
        asr_text: predictions file of a recogniser on the training data, whose words are trained
            on beside the gold ones; ``None`` for gold text alone.
        small: sizes of the small tagger.
    """

    config_type: ClassVar[type[RunConfig]] = RunConfig
    instead: ClassVar[str] = (
        "finds entities in text and hears nothing; use it with --pipeline cascade --text-ner "
        "{run} behind a recogniser"
    )

    source: str | None
    revision: str | None
    batch_size: int
    max_tokens: int
    noise: float
    asr_text: str | None
    small: SmallTaggerOptions

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"task.batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.noise < 1:
            raise ValueError(f"task.noise is a probability in [0, 1), got {self.noise}")
        if self.revision is not None and self.source is None:
            raise ValueError(
                f"task.revision={self.revision} is of a hub id; set task.source, too, or leave it "
                "out"
            )

    def inputs(self) -> dict[str, Path]:
        """As ``Task.inputs``."""
        return {} if self.asr_text is None else {"task.asr_text": Path(self.asr_text)}

    def build(self, config: RunConfig, data: TrainingData) -> Built:
        """As ``Task.build``."""
        check_labelled(data.train)
        labels = _labels([*data.train, *data.tune])
        train = [sentence_of(utterance, labels) for utterance in data.train]
        if not any(sentence.entities for sentence in train):
            raise ValueError(
                f"none of the {len(train)} utterances of {config.data.train} has an entity, so "
                "there is nothing to learn; give labelled data"
            )
        notes = []
        silent = [sentence.id for sentence in train if not sentence.words]
        if silent:
            notes.append(f"left out of training, no words: {counted(silent)}")
        train = [sentence for sentence in train if sentence.words]
        if self.asr_text is not None:
            made = asr_sentences(train, read_predictions(Path(self.asr_text)))
            train += made.sentences
            notes.append(f"{self.asr_text}: {made}")
        tune = [sentence for u in data.tune if (sentence := sentence_of(u, labels)).words]
        tune = [Sentence(str(i), s.words, s.entities) for i, s in enumerate(tune)]
        if len(tune) < data.num_ranks:
            raise ValueError(
                f"data.tune={config.data.tune} holds {len(tune)} utterances with words, too few to "
                f"choose a checkpoint on with {data.num_ranks} devices; name another split"
            )
        tagger = self._tagger(train, bio_tags(labels))
        report = _report(tagger)
        notes.append(
            f"{tagger.name}: {report.num_trainable:,} values; {len(train)} sentences, "
            f"{sum(len(s.words) for s in train):,} words, "
            f"{sum(len(s.entities) for s in train):,} entities, "
            f"{len(labels.labels)} {labels.name} labels"
        )
        module = TextModule(
            tagger, tune=tune, optim=config.optim, max_updates=config.trainer.max_updates
        )
        return Built(
            module=module,
            batches=TextBatches(module, train, self, seed=config.seed),
            report=report,
            files={TAGGER_FOLDER: tagger.save_structure},
            notes=notes,
            figures={
                "tagger": tagger.name,
                "num_train_sentences": len(train),
                "left_out": {"no words": len(silent)} if silent else {},
                "model_parameters": report.num_total,
            },
        )

    def restore(
        self, config: RunConfig, folder: RunFolder, *, weights: str = "best"
    ) -> TextPredictor:
        """As ``Task.restore``."""
        structure = folder.tagger()
        tagger: TextTagger
        if (structure / STRUCTURE_FILE).is_file():
            tagger = SmallTagger.from_structure(structure)
        else:
            tagger = tagger_from_structure(
                structure, name=str(self.source), max_tokens=self.max_tokens
            )
        folder.load_into(tagger, weights=weights)
        return TextPredictor(tagger.eval(), batch_size=self.batch_size)

    def restore_encoder(
        self, config: RunConfig, folder: RunFolder, *, weights: str = "best"
    ) -> SpeechEncoder:
        """There is none."""
        raise ValueError(
            f"{folder.path} finds entities in text and has no speech encoder to export"
        )

    def _tagger(self, train: Sequence[Sentence], tags: tuple[str, ...]) -> TextTagger:
        """A tagger at the start of training."""
        tagger: TextTagger
        if self.source is None:
            words = [sentence.words for sentence in train]
            tagger = SmallTagger.build(words, tags=tags, options=self.small)
        else:
            tagger = pretrained_tagger(
                self.source, revision=self.revision, tags=tags, max_tokens=self.max_tokens
            )
        return tagger.train()


class TextModule(TrainingModule):
    """Trains a ``TextTagger``; the best weights have the highest seqeval F1 on tune.

    Args:
        model: the tagger.
        tune: sentences of the validation loader, their ids being their numbers.
        common: as ``TrainingModule``.
    """

    model: TextTagger
    maximize = True

    def __init__(self, model: TextTagger, *, tune: Sequence[Sentence], **common: Any) -> None:
        super().__init__(model, what="task=text_ner", **common)
        self.tune = tune
        self._has_pretrained = any(model.is_pretrained(name) for name in self._trainable)
        self._tags = self._no_tags()
        self._tune_loss = [0.0, 0.0]  # summed loss, words

    def is_encoder(self, name: str) -> bool:
        """The small tagger is all encoder, and the layer on top of a pre-trained model the head."""
        return self.model.is_pretrained(name) or not self._has_pretrained

    def losses(self, batch: TextBatch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the words, and the sum over each window's."""
        losses = self._word_losses(self.model(batch.inputs), batch)  # (B, W)
        return losses.sum() / (batch.tags != IGNORED).sum().clamp(min=1), losses.sum(dim=1)

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        """Tag one batch of the tune split."""
        logits = self.model(batch.inputs)
        losses = self._word_losses(logits, batch)
        self.check_finite(batch.ids, losses.sum(dim=1).isfinite())
        self._tune_loss[0] += float(losses.sum())
        self._tune_loss[1] += float((batch.tags != IGNORED).sum())
        read_tags(batch, logits.argmax(dim=-1), tags=self._tags, names=self.model.tags)

    def on_validation_epoch_end(self) -> None:
        """Score the whole tune split and log ``val_monitor``."""
        parts = gather(self._tags)
        found = [
            [max(tags) for tags in zip(*of_ranks, strict=True)]  # unread words are empty
            for of_ranks in zip(*parts, strict=True)
        ]
        losses = gather(self._tune_loss)
        loss, num_words = (sum(part[i] for part in losses) for i in range(2))
        self._tags, self._tune_loss = self._no_tags(), [0.0, 0.0]
        gold = [to_bio(len(sentence.words), sentence.entities) for sentence in self.tune]
        f1 = float(f1_score(gold, found, zero_division=0))
        metrics = {
            "step": float(self.global_step),
            "val_loss": loss / max(1.0, num_words),
            "val_f1": f1,
            "val_monitor": f1,
        }
        self.log_dict(metrics, sync_dist=True)  # equal on every rank; saying so is required

    def _no_tags(self) -> list[list[str]]:
        return [[""] * len(sentence.words) for sentence in self.tune]

    def _word_losses(self, logits: Tensor, batch: TextBatch) -> Tensor:
        """Cross-entropy of every word, ``(B, W)`` float32; 0 where no tag is asked for."""
        with torch.autocast(logits.device.type, enabled=False):
            return functional.cross_entropy(
                logits.float().transpose(1, 2),  # (B, K, W)
                batch.tags,
                ignore_index=IGNORED,
                reduction="none",
            )


@dataclass
class TextBatches:
    """Batches of sentences.

    Attributes:
        module: what is trained; its ``tune`` is validated on.
        train: sentences to train on.
        options: of the task.
        seed: of their order and their noise.
    """

    module: TextModule
    train: Sequence[Sentence]
    options: TextNER
    seed: int
    throughput: Throughput = field(default_factory=WordThroughput)

    @contextmanager
    def opened(
        self, run_dir: Path, *, rank: int, num_ranks: int, console: Console
    ) -> Iterator[Callable[[int], Loaders]]:
        """As ``Batches.opened``."""
        tagger = self.module.model
        reading: dict[str, Any] = {"encode": tagger.encode, "tags": tagger.tags}
        training = SentenceDataset(self.train, noise=self.options.noise, **reading)
        tuning = SentenceDataset(self.module.tune, **reading)
        batches: dict[str, Any] = {
            "padding": tagger.padding,
            "batch_size": self.options.batch_size,
            "rank": rank,
            "num_ranks": num_ranks,
        }
        yield lambda start: (
            text_loader(training, seed=self.seed, start=start, **batches),
            text_pass(tuning, **batches),
        )


@dataclass(frozen=True, slots=True)
class ASRSentences:
    """Recognised sentences with projected entities.

    Attributes:
        sentences: one for every recognised utterance with words; ids end in ``#asr``.
        num_unrecognised: gold sentences without a prediction, or with an empty one.
        num_lost: entities of which the recogniser left out every word.
    """

    sentences: list[Sentence]
    num_unrecognised: int
    num_lost: int

    def __str__(self) -> str:
        """What became of the gold sentences, in words."""
        return (
            f"{len(self.sentences)} recognised sentences beside the gold ones; "
            f"{self.num_unrecognised} have no words there, {self.num_lost} entities are lost"
        )


def asr_sentences(gold: Sequence[Sentence], predictions: Sequence[Prediction]) -> ASRSentences:
    """The words of ``predictions`` with the entities of ``gold``, joined by id.

    A recogniser knows the text that it was trained on better than any other, so what it makes
    of the training data has fewer errors than what the cascade will read; predictions by a
    recogniser that has not seen these utterances are better still.

    Args:
        gold: what was said.
        predictions: what was recognised, in any order; those of other utterances are passed over.

    Raises:
        ValueError: when no prediction has the id of a gold sentence.
    """
    recognised = {prediction.id: prediction for prediction in predictions}
    if not any(sentence.id in recognised for sentence in gold):
        raise ValueError(
            f"none of the {len(predictions)} predictions of task.asr_text has the id of a training "
            "utterance; run `slue-ner predict` on the training manifest"
        )
    sentences: list[Sentence] = []
    num_unrecognised = num_lost = 0
    for sentence in gold:
        prediction = recognised.get(sentence.id)
        text = "" if prediction is None or prediction.error else prediction.text
        words = [piece for word in text.split() for piece in split_possessive(word)]
        if not words:
            num_unrecognised += 1
            continue
        entities = project(sentence.entities, reference=sentence.words, hypothesis=words)
        num_lost += len(sentence.entities) - len(entities)
        sentences.append(Sentence(f"{sentence.id}#asr", tuple(words), entities))
    return ASRSentences(sentences, num_unrecognised, num_lost)


def _labels(utterances: Sequence[Utterance]) -> LabelSet:
    """Raw labels where all are known as such; hub data may know only the combined ones."""
    found = {entity.label for utterance in utterances for entity in utterance.entities}
    return RAW if found <= set(RAW.labels) else label_set_for(filter(None, found))


def _report(tagger: TextTagger) -> AdaptationReport:
    sizes = {name: p.numel() for name, p in tagger.named_parameters() if p.requires_grad}
    return AdaptationReport(
        strategy=f"text NER: {tagger.name}",
        num_trainable=sum(sizes.values()),
        num_total=sum(p.numel() for p in tagger.parameters()),
        trainable=tuple(sizes),
    )
