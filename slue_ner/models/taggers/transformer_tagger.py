"""Pre-trained text models that tag words (BERT, RoBERTa, DeBERTa and their kin).

One gets a head of ours and is trained; a token classifier with a head of its own is used as it is,
its types being called our labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

from slue_ner.models.encoder.hub_checkpoints import (
    is_safe,
    quiet_transformers,
    read_hub_config,
    weights_of,
)
from slue_ner.models.encoder.weight_files import UNREADABLE, reason
from slue_ner.models.taggers.text_tagger import Features, TextTagger
from slue_ner.text.label_map import LabelMap
from slue_ner.text.schemes import TagScheme
from slue_ner.text.windows import Window, windows


class TransformerTagger(TextTagger):
    """``AutoModelForTokenClassification``, asked for a word at its first sub-token.

    A sentence longer than the model can read is cut into overlapping windows; a word longer than
    a window is read by its beginning; a word that the tokenizer does not see is the unknown one.

    Args:
        model: of transformers.
        tokenizer: its fast tokenizer. One of bytes is given a space before every word, by which
            it knows words in mid-sentence.
        name: hub id or folder it came from.
        max_tokens: longest window in sub-tokens; less when the model reads less.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, max_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.tags = tuple(model.config.id2label[i] for i in range(model.config.num_labels))
        fill = tokenizer.pad_token_id
        self.padding = {"tokens": fill if fill is not None else 0, "mask": 0, "firsts": 0}
        self._backend = tokenizer.backend_tokenizer
        self._backend.no_truncation()
        self._backend.no_padding()
        backend = json.loads(self._backend.to_str())
        self._space = " " if "ByteLevel" in json.dumps(backend["pre_tokenizer"]) else ""
        self._check_vocabulary()
        self._before, self._after = self._frame()
        self.limit = min(max_tokens, _longest(model, tokenizer)) - len(self._before + self._after)
        if self.limit < 1:
            raise ValueError(
                f"task.max_tokens={max_tokens} leaves {name} no room for a word; give at least "
                f"{len(self._before + self._after) + 1}"
            )

    def encode(self, words: Sequence[str]) -> list[tuple[Window, Features]]:
        """As ``TextTagger.encode``."""
        if not words:
            return []
        pieces = [piece[: self.limit] for piece in self._pieces(words)]
        encoded: list[tuple[Window, Features]] = []
        for window in windows([len(piece) for piece in pieces], limit=self.limit):
            tokens, firsts = list(self._before), []
            for piece in pieces[window.first : window.last]:
                firsts.append(len(tokens))
                tokens += piece
            tokens += self._after
            features = {"tokens": tokens, "mask": [1] * len(tokens), "firsts": firsts}
            encoded.append((window, features))
        return encoded

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """As ``TextTagger.forward``.

        Args:
            inputs: ``tokens`` and ``mask``, ``(B, T)``, and ``firsts``, the first sub-token of
                each word, ``(B, W)``.
        """
        logits = self.model(input_ids=inputs["tokens"], attention_mask=inputs["mask"]).logits
        firsts = inputs["firsts"][:, :, None].expand(-1, -1, logits.shape[-1])
        of_words: Tensor = logits.gather(1, firsts)  # (B, W, K)
        return of_words

    def is_pretrained(self, name: str) -> bool:
        """Everything but the linear layer on top."""
        return name.startswith(f"model.{self.model.base_model_prefix}.")

    def save_structure(self, folder: Path) -> None:
        """Write config.json and the tokenizer's files."""
        with quiet_transformers():
            self.model.config.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def _check_vocabulary(self) -> None:
        """Refuse a tokenizer without its vocabulary, which transformers 5 loads all the same."""
        words = self._backend.get_vocab(with_added_tokens=False).values()
        before, after = self._frame()
        largest = max([*words, *before, *after], default=0)
        num_known = self.model.get_input_embeddings().weight.shape[0]
        if largest >= num_known:
            raise ValueError(
                f"the tokenizer of {self.name} has the symbol {largest} but the model has "
                f"{num_known}; give a model with the tokenizer it was trained with"
            )
        unknown = self.tokenizer.unk_token_id or 0
        if all(piece == [unknown] for piece in self._pieces(ascii_lowercase)):
            raise ValueError(
                f"the tokenizer of {self.name} knows no letter; are its vocabulary files there?"
            )

    def _pieces(self, words: Sequence[str]) -> list[list[int]]:
        """Ids of each word's sub-tokens."""
        pieces: list[list[int]] = [[] for _ in words]
        spaced = [f"{self._space}{word}" for word in words]
        encoding = self._backend.encode(spaced, is_pretokenized=True, add_special_tokens=False)
        for id, word in zip(encoding.ids, encoding.word_ids, strict=True):
            pieces[word].append(id)
        unknown = self.tokenizer.unk_token_id
        return [piece or [0 if unknown is None else unknown] for piece in pieces]

    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that stand before and after the words."""
        encoding = self._backend.encode([f"{self._space}a"], is_pretokenized=True)
        inside = [place for place, word in enumerate(encoding.word_ids) if word is not None]
        if not inside:
            return [], []
        return encoding.ids[: inside[0]], encoding.ids[inside[-1] + 1 :]


def pretrained_tagger(
    source: str, *, revision: str | None, tags: Sequence[str], max_tokens: int
) -> TransformerTagger:
    """A pre-trained text model with a new layer for ``tags``; errors as in ``read_tagger``."""
    names = dict(enumerate(tags))
    read = read_tagger(
        source,
        revision=revision,
        id2label=names,
        label2id={tag: i for i, tag in names.items()},
        num_labels=len(tags),
    )
    return TransformerTagger(read.model, read.tokenizer, name=source, max_tokens=max_tokens)


@dataclass(frozen=True)
class ReadTagger:
    """A checkpoint of transformers as read.

    Attributes:
        model: a token classifier in float32.
        tokenizer: a fast one.
        new: weights of the layer on top that the checkpoint lacks or has in another shape.
        left_out: weights of the checkpoint for which the model has no place.
    """

    model: Any
    tokenizer: Any
    new: tuple[str, ...]
    left_out: tuple[str, ...]


def read_tagger(source: str, *, revision: str | None = None, **options: Any) -> ReadTagger:
    """Read a text model with a layer on top that tags words.

    Nothing read here can run code: remote code is never trusted, and weights are safetensors or
    are unpickled with ``weights_only``.

    Args:
        source: folder or hub id.
        revision: branch, tag or commit of a hub id.
        options: of ``from_pretrained``.

    Raises:
        ValueError: for a source that cannot be had, is no text model or lacks a part of it.
    """
    known = read_hub_config(source, revision=revision)
    weights = weights_of(source, revision=revision)
    try:
        with quiet_transformers():
            model, info = AutoModelForTokenClassification.from_pretrained(
                source,
                revision=revision or "main",
                dtype=torch.float32,
                use_safetensors=is_safe(weights),
                weights_only=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **options,
            )
            tokenizer = _tokenizer(source, revision=revision or "main")
    except UNREADABLE as error:
        raise ValueError(
            f"{source} ({known.get('model_type')}) cannot be made a text tagger: "
            f"{reason(error)}; give a text encoder with all its weights and its tokenizer"
        ) from error
    prefix = f"{model.base_model_prefix}."
    mismatched = {key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]}
    lacking = sorted({*info["missing_keys"], *mismatched})
    missing = [name for name in lacking if name.startswith(prefix)]
    if missing:
        raise ValueError(
            f"{source} lacks {len(missing)} of the model's weights or has them in another shape, "
            f"first {missing[0]}; it is incomplete, or its config.json is another model's"
        )
    return ReadTagger(model, tokenizer, tuple(lacking), tuple(sorted(info["unexpected_keys"])))


def tagger_from_structure(folder: Path, *, name: str, max_tokens: int) -> TransformerTagger:
    """What ``save_structure`` wrote, with random weights.

    Raises:
        ValueError: naming the folder when it is damaged.
    """
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            model_class: Any = AutoModelForTokenClassification
            model = model_class.from_config(config, trust_remote_code=False)
            tokenizer = _tokenizer(str(folder))
    except UNREADABLE as error:
        raise ValueError(f"{folder} does not describe a text tagger: {reason(error)}") from error
    return TransformerTagger(model.float(), tokenizer, name=name, max_tokens=max_tokens)


def _tokenizer(source: str, **options: Any) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **options)
    except Exception as error:  # tokenizers has no class of its own for a damaged file
        if "tiktoken" in str(error):  # what transformers 5 tries where sentencepiece is not there
            raise ValueError(
                "its tokenizer is a SentencePiece model, to read which `pip install sentencepiece`"
            ) from error
        raise ValueError(f"its tokenizer cannot be read: {reason(error)}") from error
    if not tokenizer.is_fast:
        raise ValueError(
            f"{source} has no fast tokenizer, which alone tells the sub-tokens of a word"
        )
    return tokenizer


def _longest(model: Any, tokenizer: Any) -> int:
    """Sub-tokens that the model can read at once."""
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    for name, module in model.named_modules():
        # RoBERTa and its kin count positions from the padding id on
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None):
            positions -= module.padding_idx + 1
    return int(min(positions, tokenizer.model_max_length))


_MAX_TOKENS = 512  # as in configs/task/text_ner.yaml; more than SLUE's sentences need


class ReadyTagger(TransformerTagger):
    """A tagger whose tags are of any scheme and any types; a word's is that of its first piece.

    The other arguments are those of ``TransformerTagger``.

    Args:
        given: labels of its types, as for ``LabelMap``.
        where: what ``given`` was read from.
    """

    def __init__(
        self,
        model: object,
        tokenizer: object,
        *,
        name: str,
        max_tokens: int = _MAX_TOKENS,
        given: Mapping[str, str | None] | None = None,
        where: str = "",
    ) -> None:
        super().__init__(model, tokenizer, name=name, max_tokens=max_tokens)
        self.scheme = TagScheme(self.tags)
        self.label_map = LabelMap(self.scheme.types, name=name, given=given, where=where)

    def in_bio(self, tags: Sequence[str]) -> list[str]:
        """As ``TextTagger.in_bio``; what has no label is counted."""
        return self.label_map.relabel(self.scheme.to_bio(tags))


def ready_tagger(
    source: str,
    *,
    given: Mapping[str, str | None] | None = None,
    where: str = "",
    note: Callable[[str], None] | None = None,
) -> ReadyTagger:
    """A token-classification checkpoint with its own head.

    Args:
        source: folder or hub id.
        given: labels of its types, as for ``LabelMap``.
        where: what ``given`` was read from.
        note: told of weights that have no place in a token classifier.

    Raises:
        ValueError: as ``read_tagger`` and ``LabelMap``, and for a model that tags no words.
    """
    read = read_tagger(source)
    if read.new:
        raise ValueError(
            f"{source} has no layer that tags words ({read.new[0]} is missing or of another "
            f"shape) and finds no entities; train one with `slue-ner train task=text_ner "
            f"task.source={source}`"
        )
    tagger = ReadyTagger(read.model, read.tokenizer, name=source, given=given, where=where)
    beyond = [name for name in read.left_out if ".pooler." not in name]  # of sentences, not words
    if beyond and note is not None:
        note(
            f"{source} has weights for which a token classifier has no place ({len(beyond)}, first "
            f"{beyond[0]}); it works without them, which may be worse than what its authors ran"
        )
    return tagger.eval()
