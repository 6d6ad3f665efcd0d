"""The CTC vocabulary: symbols and ids, saved beside the checkpoint that was trained with it.

Ours, because transformers 5 drops ``|`` when it skips special tokens and collapses doubled
letters twice (huggingface/transformers#46552).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slue_ner.core.files import read_json, write_json
from slue_ner.core.labels import END_SYMBOL, LabelSet, label_set
from slue_ner.text.markup import DELIMITER

BLANK = "<blank>"
UNKNOWN = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """Symbols in the order of their ids; id 0 is the CTC blank, id 1 the unknown character.

    Attributes:
        symbols: every symbol the head can emit.
        labels: name of the label set whose marks are among the symbols; ``None`` for plain ASR.
            The same character means different types in different sets.
    """

    symbols: tuple[str, ...]
    labels: str | None

    def __post_init__(self) -> None:
        if self.symbols[:2] != (BLANK, UNKNOWN) or DELIMITER not in self.symbols:
            raise ValueError(f"a vocabulary starts with {BLANK}, {UNKNOWN} and holds {DELIMITER!r}")
        if len(set(self.symbols)) != len(self.symbols):
            repeated = [symbol for symbol, n in Counter(self.symbols).items() if n > 1]
            raise ValueError(f"vocabulary repeats the symbols {repeated}")
        if self.labels is not None:
            missing = sorted(set(label_set(self.labels).marks) - set(self.symbols))
            if missing:
                raise ValueError(f"vocabulary lacks the {self.labels} entity marks {missing}")
        object.__setattr__(self, "_ids", {symbol: i for i, symbol in enumerate(self.symbols)})

    @classmethod
    def build(cls, texts: Iterable[str], labels: LabelSet | None) -> Vocabulary:
        """Characters of the training texts by falling frequency, then all marks of ``labels``."""
        counts = Counter(character for text in texts for character in text)
        counts.pop(" ", None)
        marks = () if labels is None else labels.marks
        characters = sorted(set(counts) - {*marks, DELIMITER}, key=lambda c: (-counts[c], c))
        return cls(
            (BLANK, UNKNOWN, DELIMITER, *characters, *marks),
            None if labels is None else labels.name,
        )

    def __len__(self) -> int:
        """Number of symbols, blank and unknown included."""
        return len(self.symbols)

    @property
    def label_set(self) -> LabelSet | None:
        """The label set of the entity marks; ``None`` for plain ASR."""
        return None if self.labels is None else label_set(self.labels)

    @property
    def digest(self) -> str:
        """Tells this vocabulary from any other, of other symbols, order or label set."""
        meaning = json.dumps([self.labels, *self.symbols])
        return hashlib.sha256(meaning.encode()).hexdigest()

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """Ids of symbols; characters never seen in training become ``<unk>``."""
        ids: dict[str, int] = self.__dict__["_ids"]
        return [ids.get(symbol, 1) for symbol in symbols]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Symbols of ids, nothing collapsed and nothing dropped."""
        return [self.symbols[i] for i in ids]

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON; ``marks`` are for whoever reads it without this program."""
        labels = self.label_set
        marks = {} if labels is None else {char: label for label, char in labels.symbols.items()}
        meaning = {**marks, END_SYMBOL: "end of an entity"} if marks else {}
        write_json(
            path,
            {
                "schema": 1,
                "labels": self.labels,
                "marks": meaning,
                "symbols": list(self.symbols),
            },
        )

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what ``save`` wrote.

        Raises:
            ValueError: naming the file when it is missing or not a vocabulary.
        """
        if not path.is_file():
            raise ValueError(f"{path}: no such file; runs with a CTC head have one")
        record = read_json(path)
        try:
            return cls(tuple(record["symbols"]), record["labels"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a vocabulary file: {error}") from error
