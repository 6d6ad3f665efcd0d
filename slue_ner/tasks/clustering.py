"""Fit the clusters of masked prediction, choosing a teacher's layer by phone purity."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file, save_file
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor

from slue_ner.core.files import atomic_path, read_json, write_json
from slue_ner.core.run_files import CENTROIDS_FILE, CLUSTERS_FILE
from slue_ner.core.time import FrameGrid
from slue_ner.core.types import Utterance
from slue_ner.data.loading.batch import Batch
from slue_ner.data.loading.passes import run_over
from slue_ner.evaluation.purity import Purity, purity
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.pretrain_model import MFCC, Clusters, TeacherStates, nearest_centroid

NO_PHONE = ""
"""What is heard where the manifest has no phone: a pause."""

_BATCH_SECONDS = 60.0
_PURITY_SECONDS = 1_800.0


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What is clustered; as in the options of ``task=pretrain``."""

    teacher: str | None
    teacher_layer: int | None
    num_clusters: int
    fit_frames: int


def fit_clusters(
    run_dir: Path,
    options: ClusterOptions,
    *,
    train: Sequence[Utterance],
    tune: Sequence[Utterance],
    grid: FrameGrid,
    seed: int,
    console: Console,
) -> None:
    """Cluster frames of the training audio and write the centroids into the run folder.

    With phones in the tune split, the purity of every candidate layer is written beside them.

    Args:
        run_dir: receives ``clusters.safetensors`` and ``clusters.json``; when they are there
            already nothing is done.
        options: teacher, layer and number of clusters.
        train: what to fit on; a random part of ``options.fit_frames`` frames.
        tune: with phones, to measure purity on.
        grid: of the encoder in training.
        seed: of the sample and of k-means.
        console: where the purities go.

    Raises:
        ValueError: for too little audio, or a layer left to a purity that cannot be measured.
    """
    if (run_dir / CLUSTERS_FILE).is_file():
        return
    timed = [utterance for utterance in tune if utterance.phones]
    layers: list[int | None] = [options.teacher_layer]
    if options.teacher is not None and options.teacher_layer is None:
        if not timed:
            raise ValueError(
                "task.teacher_layer cannot be chosen by phone purity, the tune split has no "
                "phones; name a layer"
            )
        layers = list(range(build_encoder(EncoderOptions(source=options.teacher)).num_layers + 1))
    features = _features(options, grid, layers)
    sample = _sample(train, options.fit_frames, grid, seed)
    frames = _collect(features, sample, grid)
    if len(frames[0]) < options.num_clusters:
        raise ValueError(
            f"task.num_clusters={options.num_clusters} is more than the {len(frames[0])} frames "
            "there are to cluster; use fewer clusters"
        )
    centroids = [_k_means(part, options.num_clusters, seed) for part in frames]
    purities = _purities(features, centroids, timed, grid) if timed else []
    for layer, found in zip(layers, purities, strict=False):
        name = "MFCC" if options.teacher is None else f"layer {layer}"
        console.print(
            f"clusters of {name}: phone purity {found.phone:.3f}, cluster purity "
            f"{found.cluster:.3f}, PNMI {found.pnmi:.3f}",
            highlight=False,
        )
    best = max(range(len(purities)), key=lambda i: purities[i].phone) if len(layers) > 1 else 0
    with atomic_path(run_dir / CENTROIDS_FILE) as path:
        save_file({"centroids": centroids[best]}, path)
    record: dict[str, Any] = {
        "teacher": options.teacher,
        "layer": layers[best],
        "num_clusters": options.num_clusters,
        "fitted_frames": len(frames[0]),
        "purity": {
            str(layer): asdict(found) for layer, found in zip(layers, purities, strict=False)
        },
    }
    write_json(run_dir / CLUSTERS_FILE, record)


def load_clusters(run_dir: Path, options: ClusterOptions, *, grid: FrameGrid) -> Clusters:
    """The clusters that ``fit_clusters`` wrote."""
    layer = read_json(run_dir / CLUSTERS_FILE)["layer"]
    centroids = load_file(run_dir / CENTROIDS_FILE)["centroids"]
    return Clusters(_features(options, grid, [layer]), centroids)


def _features(
    options: ClusterOptions, grid: FrameGrid, layers: Sequence[int | None]
) -> MFCC | TeacherStates:
    if options.teacher is None:
        return MFCC(grid)
    teacher = build_encoder(EncoderOptions(source=options.teacher))
    return TeacherStates(teacher, grid=grid, layers=[x for x in layers if x is not None])


def _sample(
    utterances: Sequence[Utterance], num_frames: int, grid: FrameGrid, seed: int
) -> list[Utterance]:
    order = list(utterances)
    random.Random(f"clusters {seed}").shuffle(order)
    chosen: list[Utterance] = []
    while order and num_frames > 0:
        chosen.append(order.pop())
        num_frames -= grid.num_frames(chosen[-1].num_samples or 0)
    return chosen


def _collect(
    features: MFCC | TeacherStates, utterances: Sequence[Utterance], grid: FrameGrid
) -> list[NDArray[np.float32]]:
    """All real frames, ``(N, F)`` for every candidate."""
    parts: list[list[NDArray[np.float16]]] = []
    for batch, found in run_over(
        utterances, features, batch_seconds=_BATCH_SECONDS, min_samples=grid.window
    ):
        if found is not None:
            valid = _valid(batch, grid)
            parts.append([part[valid].half().numpy() for part in found])
    if not parts:
        raise ValueError("no training audio can be read to fit clusters on")
    return [np.concatenate(candidate).astype(np.float32) for candidate in zip(*parts, strict=True)]


def _k_means(frames: NDArray[np.float32], num_clusters: int, seed: int) -> Tensor:
    fitted = MiniBatchKMeans(
        num_clusters, batch_size=10_000, n_init=5, reassignment_ratio=0.0, random_state=seed
    ).fit(frames)
    return torch.from_numpy(fitted.cluster_centers_.astype(np.float32))


def _purities(
    features: MFCC | TeacherStates,
    centroids: Sequence[Tensor],
    tune: Sequence[Utterance],
    grid: FrameGrid,
) -> list[Purity]:
    """Purity of every candidate on tune."""
    known = {utterance.id: utterance for utterance in _first(tune, _PURITY_SECONDS)}
    names = sorted({phone.text for u in known.values() for phone in u.phones or ()})
    numbers = {name: i for i, name in enumerate([NO_PHONE, *names])}
    heard: list[NDArray[np.int64]] = []
    found: list[list[NDArray[np.int64]]] = [[] for _ in centroids]
    for batch, states in run_over(
        list(known.values()), features, batch_seconds=_BATCH_SECONDS, min_samples=grid.window
    ):
        if states is None:
            continue
        valid = _valid(batch, grid)
        for i, part in enumerate(states):
            found[i].append(nearest_centroid(part[valid], centroids[i]).numpy())
        for id, length in zip(batch.ids, batch.num_samples.tolist(), strict=True):
            heard.append(phone_numbers(known[id], numbers, grid, grid.num_frames(length)))
    if not heard:
        raise ValueError("no tune audio can be read to compare layers on")
    phones = np.concatenate(heard)
    return [purity(np.concatenate(part), phones) for part in found]


def phone_numbers(
    utterance: Utterance, numbers: dict[str, int], grid: FrameGrid, num_frames: int
) -> NDArray[np.int64]:
    """The phone in the middle of every frame, ``(T,)``; ``NO_PHONE``'s number in a pause."""
    phones = utterance.phones or ()
    middles = (np.arange(num_frames) + 0.5) * grid.frame_seconds
    starts = np.array([phone.start for phone in phones])
    ends = np.array([phone.end for phone in phones])
    names = np.array([numbers[phone.text] for phone in phones], dtype=np.int64)
    index = np.searchsorted(starts, middles, side="right") - 1
    inside = (index >= 0) & (middles < ends[np.maximum(index, 0)])
    return np.where(inside, names[np.maximum(index, 0)], numbers[NO_PHONE])


def _first(utterances: Sequence[Utterance], seconds: float) -> list[Utterance]:
    chosen: list[Utterance] = []
    for utterance in utterances:
        if seconds <= 0:
            break
        chosen.append(utterance)
        seconds -= utterance.duration
    return chosen


def _valid(batch: Batch, grid: FrameGrid) -> Tensor:
    num_frames = torch.tensor([grid.num_frames(n) for n in batch.num_samples.tolist()])
    total = grid.num_frames(batch.waveforms.shape[1])
    return torch.arange(total) < num_frames[:, None]
