"""Text NER from a config to checkpoints in a run folder, and back to a tagger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch.utils.data import DataLoader

from slue_ner.core.labels import COMBINED, RAW, LabelSet
from slue_ner.core.records import read_predictions
from slue_ner.core.types import Utterance
from slue_ner.data.corpora.dataset import check_labelled
from slue_ner.data.loading.text_batch import (
    Sentence,
    SentenceDataset,
    sentence_of,
    text_loader,
    text_pass,
)
from slue_ner.models.adaptation.report import AdaptationReport
from slue_ner.models.small_tagger import STRUCTURE_FILE, SmallTagger
from slue_ner.models.text_tagger import TextTagger, bio_tags
from slue_ner.models.transformer_tagger import pretrained_tagger, tagger_from_structure
from slue_ner.tasks.asr_text import asr_sentences
from slue_ner.tasks.building import CHECKPOINTS
from slue_ner.tasks.checkpoint_files import BEST_WEIGHTS, LAST_WEIGHTS, load_weights
from slue_ner.tasks.reading import read_training, read_tuning
from slue_ner.tasks.text_config import TextConfig, TextNEROptions
from slue_ner.tasks.text_ner import TextNERTask
from slue_ner.tasks.updates import Fit, begin, listed, peak_memory, run_updates
from slue_ner.tasks.word_throughput import WordThroughput

TAGGER_FOLDER = "tagger"
"""Where a run keeps what its tagger is made of, weights aside."""

_FILES = {"best": BEST_WEIGHTS, "last": LAST_WEIGHTS}


def fit_text(config: TextConfig, run_dir: Path, *, console: Console) -> Fit:
    """Train, or go on training, until ``max_updates`` or early stopping.

    Args:
        config: the run.
        run_dir: receives the tagger's structure, log and checkpoints.
        console: where progress goes.

    Raises:
        ValueError: for data, config or a model that cannot be trained, in one sentence.
        StopRequestedError: after a signal, once the state is saved.
    """
    rank, num_ranks = begin(config)
    utterances = read_training(config.data)
    check_labelled(utterances)
    tuning = read_tuning(config.data, num_ranks=num_ranks)
    labels = _labels([*utterances, *tuning])
    train = [sentence_of(utterance, labels) for utterance in utterances]
    if not any(sentence.entities for sentence in train):
        raise ValueError(
            f"none of the {len(train)} utterances of {config.data.train} has an entity, so there "
            "is nothing to learn; give labelled data"
        )
    silent = [sentence.id for sentence in train if not sentence.words]
    if silent:
        console.print(f"left out of training, no words: {listed(silent)}", highlight=False)
    train = [sentence for sentence in train if sentence.words]
    if config.task.asr_text is not None:
        train += _recognised(train, Path(config.task.asr_text), console=console)
    tune = [sentence for u in tuning if (sentence := sentence_of(u, labels)).words]
    tune = [Sentence(str(i), s.words, s.entities) for i, s in enumerate(tune)]
    if len(tune) < num_ranks:
        raise ValueError(
            f"data.tune={config.data.tune} holds {len(tune)} utterances with words, too few to "
            f"choose a checkpoint on with {num_ranks} devices; name another split"
        )
    tagger = _tagger(config.task, train, labels, run_dir)
    task = TextNERTask(
        tagger, tune=tune, optim=config.optim, max_updates=config.trainer.max_updates
    )
    report = _report(tagger)
    console.print(
        f"{tagger.name}: {report.num_trainable:,} values; {len(train)} sentences, "
        f"{sum(len(s.words) for s in train):,} words, {sum(len(s.entities) for s in train):,} "
        f"entities, {len(labels.labels)} {labels.name} labels",
        highlight=False,
    )
    throughput = WordThroughput()
    ranks = {"rank": rank, "num_ranks": num_ranks}
    checkpoints = run_updates(
        config,
        task,
        run_dir,
        loaders=lambda start: _loaders(config, task, train, start=start, **ranks),
        num_ranks=num_ranks,
        throughput=throughput,
        console=console,
    )
    figures = {
        "updates": task.global_step,
        "best_update": checkpoints.best_update,
        "peak_memory_bytes": peak_memory(),
        "tagger": tagger.name,
        "num_train_sentences": len(train),
        "left_out": {"no words": len(silent)} if silent else {},
        "model_parameters": report.num_total,
        **throughput.summary(),
    }
    return Fit(figures, report)


def trained_tagger(config: TextConfig, run_dir: Path, *, weights: str = "best") -> TextTagger:
    """The tagger of a run folder; no hub is needed.

    Args:
        config: of the run.
        run_dir: the run folder.
        weights: ``best`` on tune, or ``last``.

    Raises:
        ValueError: naming the file that is missing or does not fit.
    """
    if not (run_dir / TAGGER_FOLDER).is_dir():
        raise ValueError(f"{run_dir} is not a finished run: it has no {TAGGER_FOLDER}")
    tagger = _tagger_again(config.task, run_dir)
    load_weights(tagger, run_dir / CHECKPOINTS / _FILES[weights])
    return tagger.eval()


def _tagger(
    options: TextNEROptions, train: Sequence[Sentence], labels: LabelSet, run_dir: Path
) -> TextTagger:
    """A tagger at the start of training, what it is made of being kept in the run folder."""
    tags = bio_tags(labels)
    tagger: TextTagger
    if options.source is None:
        words = [sentence.words for sentence in train]
        tagger = SmallTagger.build(words, tags=tags, options=options.small)
    else:
        tagger = pretrained_tagger(
            options.source, revision=options.revision, tags=tags, max_tokens=options.max_tokens
        )
    tagger.save_structure(run_dir / TAGGER_FOLDER)
    return tagger.train()


def _tagger_again(options: TextNEROptions, run_dir: Path) -> TextTagger:
    folder = run_dir / TAGGER_FOLDER
    if (folder / STRUCTURE_FILE).is_file():
        return SmallTagger.from_structure(folder)
    return tagger_from_structure(folder, name=str(options.source), max_tokens=options.max_tokens)


def _labels(utterances: Sequence[Utterance]) -> LabelSet:
    """Raw labels where all are known as such; hub data may know only the combined ones."""
    found = {entity.label for utterance in utterances for entity in utterance.entities}
    return RAW if found <= set(RAW.labels) else COMBINED


def _recognised(gold: Sequence[Sentence], path: Path, *, console: Console) -> list[Sentence]:
    made = asr_sentences(gold, read_predictions(path))
    console.print(
        f"{path}: {len(made.sentences)} recognised sentences beside the gold ones; "
        f"{made.num_unrecognised} have no words there, {made.num_lost} entities are lost",
        highlight=False,
    )
    return made.sentences


def _loaders(
    config: TextConfig,
    task: TextNERTask,
    train: Sequence[Sentence],
    *,
    start: int,
    **ranks: int,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    tagger, size = task.model, config.task.batch_size
    reading: dict[str, Any] = {"encode": tagger.encode, "tags": tagger.tags}
    batches: dict[str, Any] = {"padding": tagger.padding, "batch_size": size, **ranks}
    training = SentenceDataset(train, noise=config.task.noise, **reading)
    tuning = SentenceDataset(task.tune, **reading)
    return (
        text_loader(training, seed=config.seed, start=start, **batches),
        text_pass(tuning, **batches),
    )


def _report(tagger: TextTagger) -> AdaptationReport:
    sizes = {name: p.numel() for name, p in tagger.named_parameters() if p.requires_grad}
    return AdaptationReport(
        strategy=f"text NER: {tagger.name}",
        num_trainable=sum(sizes.values()),
        num_total=sum(p.numel() for p in tagger.parameters()),
        trainable=tuple(sizes),
    )
