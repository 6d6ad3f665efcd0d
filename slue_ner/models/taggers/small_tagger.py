"""A small tagger that starts from nothing, for where no pre-trained text model is at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from slue_ner.core.files import read_json, write_json
from slue_ner.core.typed_config import from_mapping
from slue_ner.models.taggers.text_tagger import Features, TextTagger
from slue_ner.text.windows import Window

SMALL_TAGGER = "small tagger (from scratch)"
STRUCTURE_FILE = "small_tagger.json"

_PADDING, _UNKNOWN, _START, _END = range(4)
_NUM_SPECIAL = 4
_KERNEL = 3


@dataclass(kw_only=True)
class SmallTaggerOptions:
    """Sizes of the small tagger.

    Attributes:
        word_size, character_size: of the embeddings.
        filters: of the convolution over a word's characters.
        hidden_size: of the LSTM, each direction.
        dropout: of embeddings and LSTM outputs.
        unknown_word: probability with which a word of training is not looked up, so that its
            letters must do, as they must for names never seen.
        min_count: how often a word must occur in training to get an embedding.
    """

    word_size: int
    character_size: int
    filters: int
    hidden_size: int
    dropout: float
    unknown_word: float
    min_count: int

    def __post_init__(self) -> None:
        for name in ("word_size", "character_size", "filters", "hidden_size"):
            if (size := getattr(self, name)) < 1:
                raise ValueError(f"task.small.{name} must be at least 1, got {size}")
        for name in ("dropout", "unknown_word"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise ValueError(f"task.small.{name} is a probability in [0, 1], got {share}")


class SmallTagger(TextTagger):
    """Letters (convolution) and words (embedding) of a sentence, read by a bidirectional LSTM.

    Source: Ma and Hovy (arXiv:1603.01354), without their CRF.

    Args:
        words: those with an embedding.
        characters: those known.
        tags: BIO tags in the order of their ids.
        options: sizes.
    """

    name = SMALL_TAGGER

    def __init__(
        self,
        words: Sequence[str],
        characters: Sequence[str],
        *,
        tags: Sequence[str],
        options: SmallTaggerOptions,
    ) -> None:
        super().__init__()
        self.words, self.characters, self.tags = tuple(words), tuple(characters), tuple(tags)
        self.options = options
        self.padding = {"words": _PADDING, "characters": _PADDING}
        self._word_ids = {word: i for i, word in enumerate(words, start=_NUM_SPECIAL)}
        self._character_ids = {c: i for i, c in enumerate(characters, start=_NUM_SPECIAL)}
        self.word_embedding = nn.Embedding(_NUM_SPECIAL + len(words), options.word_size)
        self.character_embedding = nn.Embedding(
            _NUM_SPECIAL + len(characters), options.character_size
        )
        self.convolution = nn.Conv1d(
            options.character_size, options.filters, _KERNEL, padding=_KERNEL // 2
        )
        size = options.word_size + options.filters
        self.ahead = nn.LSTM(size, options.hidden_size, batch_first=True)
        self.back = nn.LSTM(size, options.hidden_size, batch_first=True)
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(2 * options.hidden_size, len(tags))

    @classmethod
    def build(
        cls,
        sentences: Iterable[Sequence[str]],
        *,
        tags: Sequence[str],
        options: SmallTaggerOptions,
    ) -> SmallTagger:
        """A tagger with random weights for the words and letters of the training sentences."""
        counts = Counter(word for words in sentences for word in words)
        known = sorted(w for w, count in counts.items() if count >= options.min_count)
        characters = sorted({character for word in counts for character in word})
        return cls(known, characters, tags=tags, options=options)

    def encode(self, words: Sequence[str]) -> list[tuple[Window, Features]]:
        """One window, whatever the length: an LSTM has no limit."""
        if not words:
            return []
        letters = [
            [_START, *(self._character_ids.get(c, _UNKNOWN) for c in word), _END] for word in words
        ]
        ids = [self._word_ids.get(word, _UNKNOWN) for word in words]
        window = Window(0, len(words), tuple(range(len(words))))
        return [(window, {"words": ids, "characters": letters})]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``TextTagger.forward``.

        Args:
            inputs: ``words``, ``(B, W)``, and ``characters``, ``(B, W, C)``.
        """
        words, characters = inputs["words"], inputs["characters"]
        if self.training and self.options.unknown_word:
            unknown = torch.rand(words.shape, device=words.device) < self.options.unknown_word
            looked_up = torch.where(unknown & (words != _PADDING), _UNKNOWN, words)
        else:
            looked_up = words
        embedded = torch.cat(
            [self.word_embedding(looked_up), self._read_letters(characters)], dim=-1
        )  # (B, W, D)
        logits: Tensor = self.head(self.dropout(self._read(self.dropout(embedded), words)))
        return logits

    def save_structure(self, folder: Path) -> None:
        """Write words, characters, tags and sizes as JSON."""
        record = {
            "schema": 1,
            "tags": list(self.tags),
            "options": asdict(self.options),
            "characters": list(self.characters),
            "words": list(self.words),
        }
        write_json(folder / STRUCTURE_FILE, record)

    @classmethod
    def from_structure(cls, folder: Path) -> SmallTagger:
        """What ``save_structure`` wrote, with random weights.

        Raises:
            ValueError: naming the file when it is not such a structure.
        """
        path = folder / STRUCTURE_FILE
        record = read_json(path)
        try:
            return cls(
                record["words"],
                record["characters"],
                tags=record["tags"],
                options=from_mapping(SmallTaggerOptions, record["options"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not describe a small tagger: {error}") from error

    def _read(self, embedded: Tensor, words: Tensor) -> Tensor:
        """States of both LSTMs, ``(B, W, 2 * hidden)``, whatever stands beyond a sentence.

        Two LSTMs, one on turned sentences, take a third of the time of a bidirectional one on
        packed sentences, which oneDNN does not speed up.
        """
        places = torch.arange(words.shape[1], device=words.device)
        lengths = (words != _PADDING).sum(dim=1, keepdim=True)
        turned = torch.where(places < lengths, lengths - 1 - places, places)[
            :, :, None
        ]  # (B, W, 1)
        ahead, _ = self.ahead(embedded)
        back, _ = self.back(embedded.gather(1, turned.expand_as(embedded)))
        return torch.cat([ahead, back.gather(1, turned.expand_as(back))], dim=-1)

    def _read_letters(self, characters: Tensor) -> Tensor:
        """The strongest answer of each filter anywhere in a word, ``(B, W, filters)``; else 0."""
        there = (characters != _PADDING).any(dim=-1)  # (B, W)
        letters = characters[there]  # (N, C): the work is in proportion to the words there are
        real = (letters != _PADDING)[:, None]  # (N, 1, C)
        embedded = self.character_embedding(letters).transpose(1, 2)
        answers = self.convolution(embedded * real)  # (N, filters, C)
        strongest = answers.masked_fill(~real, -torch.inf).amax(dim=-1)
        of_words: Tensor = strongest.new_zeros(*there.shape, strongest.shape[-1])
        of_words[there] = strongest
        return of_words
