"""One model and one set of utterances for every contestant of a speed benchmark."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers_loop import ExtractedFeatures, PaddingCollator, peer_model, stock_extractor
from whisper_peer import WhisperCTC, WhisperFeatures, collate_whisper, whisper_extractor

from slue_ner.cli.compose import compose_config
from slue_ner.core.labels import label_set
from slue_ner.core.records import read_manifest, write_manifest
from slue_ner.core.run_files import VOCABULARY_FILE
from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch, Example, UtteranceDataset, collate
from slue_ner.data.loading.buckets import BucketStream
from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.encoder.building import encoder_from_blueprint
from slue_ner.tasks.ctc_task import ctc_losses, ctc_model, select, target_ids
from slue_ner.tasks.registry import run_config
from slue_ner.text.vocabulary import Vocabulary
from slue_ner.training.fit import fit
from slue_ner.training.speech import SpeechConfig, adapted_encoder


@dataclass(frozen=True)
class Race:
    """What all contestants share: the config, the model at its start and the utterances.

    Attributes:
        folder: holds the manifests; run folders are made in it.
        epochs: passes over the utterances in one round.
        batch_size: utterances of the peers' batches: our mean.
    """

    folder: Path
    config: SpeechConfig
    model: CTCModel
    vocabulary: Vocabulary
    utterances: Sequence[Utterance]
    epochs: int
    batch_size: int

    @property
    def audio_seconds(self) -> float:
        """Real audio that each contestant trains on in one round."""
        return self.epochs * sum(utterance.duration for utterance in self.utterances)

    def num_batches(self, epoch: int) -> int:
        """Our batches of one epoch."""
        return _num_batches(self.utterances, self.config, epoch)

    def examples(self) -> UtteranceDataset:
        """The utterances as waveforms and targets."""
        return UtteranceDataset(
            self.utterances,
            target=lambda utterance: target_ids(utterance, self.vocabulary),
            min_samples=self.model.encoder.grid.window,
        )


def prepare(
    root: Path,
    folder: Path,
    *,
    encoder: str,
    num_utterances: int,
    epochs: int,
    overrides: Sequence[str] = (),
    grouped: bool = False,
) -> Race:
    """A random part of the training split of ``root``, as a data set of its own in ``folder``.

    Args:
        root: the whole data set.
        folder: empty.
        encoder: name of a config.
        num_utterances: how many, at most.
        epochs: of a round.
        overrides: of the config.
        grouped: draw whole batches of transformers' grouping by length of all utterances; few
            drawn one by one differ so much in length that no grouping could be good.
    """
    common = [f"encoder={encoder}", f"data.root={folder}", "trainer.accelerator=cpu"]
    config = run_config(compose_config([*common, *overrides]))
    everything = read_manifest(root / "fine-tune.jsonl")
    labels = label_set(config.task.labels)
    vocabulary = Vocabulary.build((utterance.text for utterance in everything), labels)
    torch.manual_seed(config.seed)
    encoder, _ = adapted_encoder(config)
    model = ctc_model(config, encoder, vocabulary)
    kept, _ = select(everything, vocabulary, model.grid, max_seconds=None)
    if grouped:
        batch_size = round(len(kept) / _num_batches(kept, config))
        chosen = _whole_batches(kept, batch_size, num_batches=num_utterances // batch_size)
    else:
        chosen = random.Random(0).sample(kept, min(num_utterances, len(kept)))
        batch_size = round(len(chosen) / _num_batches(chosen, config))
    write_manifest(folder / "fine-tune.jsonl", chosen)
    write_manifest(folder / "tune.jsonl", [min(chosen, key=lambda u: u.duration)])
    return Race(folder, config, model, vocabulary, chosen, epochs, batch_size)


def _whole_batches(
    utterances: Sequence[Utterance], batch_size: int, *, num_batches: int
) -> list[Utterance]:
    """Utterances of some random batches of those that ``group_by_length`` makes of all."""
    lengths = [utterance.num_samples or 0 for utterance in utterances]
    order = get_length_grouped_indices(
        lengths, batch_size, generator=torch.Generator().manual_seed(0)
    )
    starts = range(0, len(order) - batch_size + 1, batch_size)
    chosen = random.Random(0).sample(starts, min(num_batches, len(starts)))
    return [utterances[index] for first in chosen for index in order[first : first + batch_size]]


def _num_batches(utterances: Sequence[Utterance], config: SpeechConfig, epoch: int = 0) -> int:
    durations = [utterance.duration for utterance in utterances]
    return len(BucketStream(durations, config.data.batch_seconds, config.seed).epoch(epoch))


def whisper_base(folder: Path | None) -> list[str]:
    """Overrides of ``encoder=whisper_base``: a folder's weights, or random ones of its shape."""
    same = [f"+encoder.{name}=0" for name in ("dropout", "mask_time_prob", "mask_feature_prob")]
    if folder is not None:
        return [*same, f"encoder.source={folder.resolve()}"]
    sizes = "{d_model: 512, encoder_layers: 6, encoder_attention_heads: 8, encoder_ffn_dim: 2048}"
    return [
        *same,
        "encoder.source=null",
        "+encoder.family=whisper",
        f"+encoder.overrides={sizes}",
    ]


def train_once(race: Race, run_dir: Path) -> dict[str, Any]:
    """Our training of ``race.epochs`` epochs; its figures for ``metrics.json``."""
    race.vocabulary.save(run_dir / VOCABULARY_FILE)
    updates = sum(race.num_batches(epoch) for epoch in range(race.epochs))
    trainer = replace(race.config.trainer, max_updates=updates, validate_every=updates)
    config = replace(race.config, trainer=trainer)
    figures = fit(config, run_dir, console=Console(quiet=True)).figures
    assert abs(figures["audio_seconds"] - race.audio_seconds) < 1e-3 * race.audio_seconds
    return figures


def losses(model: CTCModel, examples: Sequence[Example]) -> tuple[float, float]:
    """Mean loss per symbol of one batch, ours and the peer's, from the same weights.

    The utterances are cut to equal length, because the stock base-style model lets padding into
    its group norm and ours does not.

    Raises:
        ValueError: when they differ by more than 1e-4 of their value.
    """
    shortest = min(len(waveform_of(example)) for example in examples)
    cut = [replace(example, waveform=waveform_of(example)[:shortest]) for example in examples]
    batch = collate(cut)
    extractor = stock_extractor(model)
    rows = ExtractedFeatures(cut, extractor).rows
    stock = peer_model(model).eval()
    with torch.no_grad():
        peer = float(stock(**PaddingCollator(extractor)(rows)).loss)
    return _equal(_mean_loss(model, batch), peer, tolerance=1e-4)


def whisper_losses(
    model: CTCModel, examples: Sequence[Example], *, fill_up: bool
) -> tuple[float, float]:
    """As ``losses``, of a Whisper encoder and a batch with padding.

    Args:
        model: ours, which hears real lengths.
        examples: of different lengths.
        fill_up: both hear 30 s, ours by ``encoder.pad_to``.

    Raises:
        ValueError: when they differ by more than 1e-3 of their value.
    """
    ours = _filled_up(model) if fill_up else model
    features = WhisperFeatures(examples, whisper_extractor(model), fill_up=fill_up)
    stock = WhisperCTC(model, fill_up=fill_up).eval()
    with torch.no_grad():
        peer = float(stock(**collate_whisper(features.rows))["loss"])
    return _equal(_mean_loss(ours, collate(examples)), peer, tolerance=1e-3)


def _filled_up(model: CTCModel) -> CTCModel:
    """The same weights behind ``encoder.pad_to=30``."""
    blueprint = model.encoder.blueprint
    options = {**blueprint["options"], "pad_to": 30.0}
    encoder = encoder_from_blueprint({**blueprint, "options": options})
    encoder.load_state_dict(model.encoder.state_dict())
    return CTCModel(encoder, model.mixing, model.head)


def _mean_loss(model: CTCModel, batch: Batch) -> float:
    """Mean over utterances of the loss per symbol, which is "mean" of torch's CTC loss."""
    model.eval()
    with torch.no_grad():
        ours = ctc_losses(model(batch.waveforms, batch.num_samples), batch)
    return float((ours / batch.num_targets).mean())


def _equal(ours: float, peer: float, *, tolerance: float) -> tuple[float, float]:
    if not abs(ours - peer) <= tolerance * ours:
        raise ValueError(
            f"our loss is {ours} but the peer's is {peer} for the same batch and weights; the "
            "contestants do not train the same model"
        )
    return ours, peer


def waveform_of(example: Example) -> Tensor:
    """The waveform, ``(S,)``; every file of a race can be read."""
    assert example.waveform is not None, example.error
    return example.waveform
