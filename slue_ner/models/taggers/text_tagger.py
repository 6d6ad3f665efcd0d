"""What finds entities in text: words in, one logit a word and BIO tag out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from slue_ner.core.labels import LabelSet
from slue_ner.text.bio import OUTSIDE
from slue_ner.text.windows import Window

Features = Mapping[str, Sequence[Any]]


class TextTagger(nn.Module):
    """A model that tags words.

    Attributes:
        name: what a table calls it.
        tags: in the order of their ids; BIO of raw or combined labels unless ``in_bio`` says
            otherwise.
        padding: the features that ``encode`` gives, and what fills each up in a batch.
    """

    name: str
    tags: tuple[str, ...]
    padding: Mapping[str, int]

    def encode(self, words: Sequence[str]) -> list[tuple[Window, Features]]:
        """Windows over a sentence and what the model reads of each; none without words."""
        raise NotImplementedError

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Logits of every tag for every word.

        Args:
            inputs: the features of ``B`` windows, padded.

        Returns:
            ``(B, W, K)``; rows past a window's last word are meaningless.
        """
        raise NotImplementedError

    def in_bio(self, tags: Sequence[str]) -> Sequence[str]:
        """Tags that the model gave the words of a sentence, as BIO of raw or combined labels."""
        return tags

    def is_pretrained(self, name: str) -> bool:
        """Whether the parameter ``name`` came with a pre-trained model."""
        return False

    def save_structure(self, folder: Path) -> None:
        """Write everything but the weights, so that no hub is needed again."""
        raise NotImplementedError


def bio_tags(labels: LabelSet) -> tuple[str, ...]:
    """Outside, then beginning and inside of every label: 37 for the raw set."""
    return (OUTSIDE, *(f"{kind}-{label}" for label in labels.labels for kind in "BI"))
