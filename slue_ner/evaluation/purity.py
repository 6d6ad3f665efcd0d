"""How much of the phones a clustering of frames knows (HuBERT, arXiv:2106.07447, section IV.C)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Purity:
    """Agreement of clusters and phones over frames, all in [0, 1].

    Attributes:
        phone: share of frames whose phone is the most frequent one of their cluster.
        cluster: share of frames whose cluster is the most frequent one of their phone.
        pnmi: mutual information of phone and cluster over the entropy of the phones.
        num_frames: frames counted.
    """

    phone: float
    cluster: float
    pnmi: float
    num_frames: int


def purity(clusters: NDArray[np.int64], phones: NDArray[np.int64]) -> Purity:
    """Compare the cluster and the phone of every frame.

    Args:
        clusters: ``(N,)``, from 0.
        phones: ``(N,)``, from 0.

    Raises:
        ValueError: without a frame.
    """
    if not len(clusters):
        raise ValueError("purity needs at least one frame")
    counts = np.zeros((clusters.max() + 1, phones.max() + 1))
    np.add.at(counts, (clusters, phones), 1)
    joint = counts / counts.sum()
    of_cluster, of_phone = joint.sum(1), joint.sum(0)
    there = joint > 0
    information = joint[there] * np.log(joint[there] / np.outer(of_cluster, of_phone)[there])
    known = of_phone[of_phone > 0]
    entropy = -float((known * np.log(known)).sum())
    return Purity(
        phone=float(joint.max(1).sum()),
        cluster=float(joint.max(0).sum()),
        pnmi=float(information.sum()) / entropy if entropy else 0.0,
        num_frames=len(clusters),
    )
