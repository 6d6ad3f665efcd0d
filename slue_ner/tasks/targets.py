"""What a CTC head is trained to write, and which utterances it can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slue_ner.core.time import FrameGrid, Seconds
from slue_ner.core.types import Utterance
from slue_ner.decoding.ctc import min_frames
from slue_ner.text.marks import survives
from slue_ner.text.markup import target_words, to_symbols
from slue_ner.text.vocabulary import Vocabulary


@dataclass(kw_only=True)
class CTCOptions:
    """What the CTC head learns to write.

    Attributes:
        target: ``plain`` words (speech recognition) or ``tagged`` ones (end-to-end NER).
        labels: label set of the entity marks, ``combined`` or ``raw``; unused when plain.
        monitor: ``f1`` or ``wer`` on tune; decides which checkpoint is best.
    """

    target: str
    labels: str
    monitor: str

    def __post_init__(self) -> None:
        if self.target not in ("plain", "tagged"):
            raise ValueError(f"task.target={self.target!r} should be plain or tagged")
        if self.labels not in ("combined", "raw"):
            raise ValueError(f"task.labels={self.labels!r} should be combined or raw")
        if self.monitor not in ("f1", "wer"):
            raise ValueError(f"task.monitor={self.monitor!r} should be f1 or wer")
        if self.target == "plain" and self.monitor == "f1":
            raise ValueError("task.monitor=f1 needs task.target=tagged; use task.monitor=wer")


def target_ids(utterance: Utterance, vocabulary: Vocabulary) -> list[int]:
    """The symbol ids a CTC head is trained on, ``U`` of them."""
    return vocabulary.encode(to_symbols(target_words(utterance, vocabulary.label_set)))


LOST_IN_SYMBOLS = "entity marks or '|' among the words (`slue-ner prepare --marks`)"
"""Why an utterance is left out, in words for a user."""


def readable(
    utterances: Sequence[Utterance], vocabulary: Vocabulary
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances whose text comes back from its symbols, and the ids of others by reason."""
    kept = [u for u in utterances if survives(u, vocabulary.label_set)]
    ids = {utterance.id for utterance in kept}
    lost = [utterance.id for utterance in utterances if utterance.id not in ids]
    return kept, {LOST_IN_SYMBOLS: lost} if lost else {}


def select(
    utterances: Sequence[Utterance],
    vocabulary: Vocabulary,
    grid: FrameGrid,
    *,
    max_seconds: Seconds | None,
    speed: float = 1.0,
) -> tuple[list[Utterance], dict[str, list[str]]]:
    """The utterances that can be trained on, and the ids of the others by reason.

    CTC needs a frame for every target symbol and one more between equal neighbours; PyTorch's
    ``zero_infinity`` would hide an utterance with fewer as a loss of zero.

    Args:
        utterances: of the training split.
        vocabulary: of the run.
        grid: of the emissions.
        max_seconds: longest audio to train on; ``None`` for any.
        speed: fastest that augmentation may play it.
    """
    kept: list[Utterance] = []
    utterances, left_out = readable(utterances, vocabulary)
    for utterance in utterances:
        num_frames = grid.num_frames(int((utterance.num_samples or 0) / speed))
        target = target_ids(utterance, vocabulary)
        if not target:
            left_out.setdefault("no words", []).append(utterance.id)
        elif max_seconds is not None and utterance.duration > max_seconds:
            left_out.setdefault(f"longer than {max_seconds:g} s", []).append(utterance.id)
        elif min_frames(target) > num_frames:
            left_out.setdefault("more symbols than frames", []).append(utterance.id)
        else:
            kept.append(utterance)
    return kept, left_out
