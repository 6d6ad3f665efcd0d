"""Golden losses: what 20 updates of every kind of run write down, from saved checkpoints.

A change of the house must not change a bit of them on one machine:

    python tests/golden_losses.py /tmp/before.json      # on the commit before
    python tests/golden_losses.py /tmp/after.json       # on the commit after
    cmp /tmp/before.json /tmp/after.json

In ``tests/golden/losses.json`` they are in float64 (``--double``), which other machines reach to
a relative 1e-6. ``tests/tasks/test_golden_losses.py`` compares.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import DoublePrecision
from text_models import save_bert
from timed_corpus import write_timed_corpus
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
from whisper_folders import save as save_whisper

from slue_ner.cli.main import main
from slue_ner.core.records import read_manifest, write_predictions
from slue_ner.core.types import Prediction

SPEECH = ("data.batch_seconds=4", "encoder=checkpoint")
RUN = (
    *("trainer.max_updates=20", "trainer.validate_every=10", "trainer.log_every=1"),
    *("trainer.accelerator=cpu", "trainer.num_threads=1", "trainer.keep=all"),
)
_SMALL_TAGGER = ("word_size=6", "character_size=4", "filters=8", "hidden_size=8")
CASES: dict[str, tuple[str, ...]] = {
    "ctc_plain": (*SPEECH, "encoder.source={wav2vec2}", "task=ctc_plain", "optim.lr=1e-3"),
    "ctc_tagged": (*SPEECH, "encoder.source={wav2vec2}", "optim.lr=1e-3"),
    "whisper": (*SPEECH, "encoder.source={whisper}", "optim.lr=1e-3", "head=conv", "head.size=8"),
    "reinit": (*SPEECH, "encoder.source={wav2vec2}", "adaptation=reinit"),
    "lora": (*SPEECH, "encoder.source={wav2vec2}", "adaptation=lora"),
    "frozen": (
        *(*SPEECH, "encoder.source={wav2vec2}", "adaptation=frozen_weighted_sum"),
        "state_cache.dtype=float32",
    ),
    "augmented": (*SPEECH, "encoder.source={wav2vec2}", "augment=recording", "optim.lr=1e-3"),
    "frames": (*SPEECH, "encoder.source={wav2vec2}", "task=frames_joint", "optim.lr=1e-3"),
    "pretrain": (
        *(*SPEECH, "encoder.source={wav2vec2}", "task=pretrain", "task.num_clusters=8"),
        *("task.fit_frames=300", "+encoder.mask_time_prob=0.5", "+encoder.mask_time_length=4"),
    ),
    "text_ner": ("task=text_ner", "task.source={bert}", "task.batch_size=4"),
    "text_ner_small": (
        *("task=text_ner", "task.batch_size=4"),
        *(f"task.small.{size}" for size in _SMALL_TAGGER),
    ),
}


def save_wav2vec2(folder: Path) -> Path:
    """A tiny wav2vec 2.0 of seed 0 as the hub has them, dropout included."""
    sizes: dict[str, Any] = {
        **{"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2},
        **{"intermediate_size": 48, "num_conv_pos_embeddings": 8},
        **{"conv_dim": [16, 16, 16], "conv_kernel": [10, 3, 3], "conv_stride": [5, 8, 8]},
        "num_conv_pos_embedding_groups": 4,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Wav2Vec2Model(Wav2Vec2Config(**sizes)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def record(root: Path, cases: list[str], *, double: bool) -> dict[str, Any]:
    """What each case leaves behind: every logged value; in single precision the weights, too."""
    sources = {
        "wav2vec2": save_wav2vec2(root / "wav2vec2"),
        "whisper": save_whisper("encoder", root / "whisper"),
        "bert": save_bert(root / "bert"),
    }
    data = write_timed_corpus(root / "data")
    found: dict[str, Any] = {}
    for name in cases:
        overrides = [override.format(**sources) for override in CASES[name]]
        run_dir = root / "runs" / name
        where = [f"data.root={data}", f"name={name}", f"run_dir={run_dir}"]
        evaluate = [] if name == "pretrain" else ["data.evaluate=[dev]"]
        _train([*where, *evaluate, *overrides, *RUN], double=double)
        rows = [row.split(",") for row in (run_dir / "log.csv").read_text().splitlines()[1:]]
        found[name] = {"log": [[int(at), metric, float(value)] for at, metric, value in rows]}
        if not double:
            metrics = json.loads((run_dir / "metrics.json").read_text())
            for scores in metrics["splits"].values():
                del scores["evaluation_seconds"]
            found[name]["weights"] = {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted((run_dir / "checkpoints").glob("*.safetensors"))
            }
            found[name]["splits"] = metrics["splits"]
            found[name]["predictions"] = {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                for path in sorted((run_dir / "predictions").glob("*.jsonl"))
            }
    found["score"] = _score(data / "dev.jsonl", root)
    return found


def _score(manifest: Path, root: Path) -> dict[str, Any]:
    """The score object of predictions with a late start, a wrong word and a wrong type in turn."""
    predictions = []
    for number, utterance in enumerate(read_manifest(manifest)):
        late = 0.03 * number
        words = tuple(replace(w, start=w.start + late) for w in utterance.words or ())
        entities = tuple(
            replace(e, start=words[k].start, end=words[k].end, start_char=None, end_char=None)
            for e, k in zip(utterance.entities, (0, 2), strict=True)
        )
        if number == 1:
            entities = (replace(entities[0], label="LAW"), *entities[1:])
        if number == 2:
            words = (words[0], replace(words[1], text="on"), words[2])
        text = " ".join(word.text for word in words)
        predictions.append(Prediction(utterance.id, text, words=words, entities=entities))
    write_predictions(root / "predictions.jsonl", predictions)
    files = ["--references", str(manifest), "--predictions", str(root / "predictions.jsonl")]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["score", *files, "--json", str(root / "score.json")]) == 0
    scores: dict[str, Any] = json.loads((root / "score.json").read_text())
    scores.pop("scored")
    return scores


def _train(overrides: list[str], *, double: bool) -> None:
    with contextlib.ExitStack() as stack:
        if double:
            stack.enter_context(_in_double())
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(["train", *overrides])
    if status:
        raise SystemExit(f"train {' '.join(overrides)}: status {status}\n{said.getvalue()}")


@contextlib.contextmanager
def _in_double() -> Any:
    """Lightning in double precision, and no ``.float()`` that would round to single.

    Evaluation runs in single precision afterwards and is not recorded.
    """
    trained, rounded, converted = (
        pl.Trainer.__init__,
        torch.Tensor.float,
        DoublePrecision.convert_input,
    )

    def doubled(self: pl.Trainer, *args: Any, **options: Any) -> None:
        trained(self, *args, **{**options, "precision": "64-true"})

    def fit(self: pl.Trainer, *args: Any, **options: Any) -> Any:
        torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]
        try:
            return fitted(self, *args, **options)
        finally:
            torch.Tensor.float = rounded  # type: ignore[method-assign]

    fitted = pl.Trainer.fit
    pl.Trainer.__init__, pl.Trainer.fit = doubled, fit  # type: ignore[method-assign]
    DoublePrecision.convert_input = lambda self, batch: _doubled(batch)  # type: ignore
    try:
        yield
    finally:
        pl.Trainer.__init__, pl.Trainer.fit = trained, fitted  # type: ignore[method-assign]
        DoublePrecision.convert_input = converted  # type: ignore[method-assign]


def _doubled(batch: Any) -> Any:
    """A batch with its single-precision tensors in double; Lightning refuses frozen dataclasses."""
    tensors = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    single = {name: t for name, t in tensors.items() if getattr(t, "dtype", 0) == torch.float32}
    return dataclasses.replace(batch, **{name: t.double() for name, t in single.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--double", action="store_true", help="in float64, without weights")
    parser.add_argument("--cases", nargs="*", default=list(CASES))
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with tempfile.TemporaryDirectory() as folder:
        recorded = record(Path(folder), options.cases, double=options.double)
    text = json.dumps(recorded, indent=None if options.double else 1)
    options.output.write_text(text.replace("]], ", "]],\n") + "\n")
    sys.exit(0)
