"""Tiny pre-trained text models in the format of the hub or of spaCy, made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForTokenClassification,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForTokenClassification,
    RobertaModel,
)

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


_LETTERS = "abcdefghijklmnopqrstuvwxyz'"
_WORDS = ["in", "the", "met", "and", "from"]
PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS, *_LETTERS, *(f"##{c}" for c in _LETTERS))
"""Of the tiny BERT: a word that is not among them is read letter by letter."""


def save_bert(folder: Path, *, max_positions: int = 64) -> Path:
    """A BERT whose WordPiece vocabulary is letters, their continuations and a few words."""
    return _save_bert(BertModel(_bert_config(max_positions)), folder)


def save_bert_tagger(folder: Path, tags: Sequence[str]) -> Path:
    """A BERT with a head for ``tags``, which its random weights give all over the place."""
    config = _bert_config(64, initializer_range=1.0, **_named(tags))
    return _save_bert(BertForTokenClassification(config), folder)


def save_roberta_tagger(folder: Path, tags: Sequence[str]) -> Path:
    """A RoBERTa on bytes with a head, as ``save_bert_tagger``."""
    return save_roberta(
        folder, RobertaForTokenClassification, initializer_range=1.0, **_named(tags)
    )


def save_lookup_tagger(
    folder: Path, tags: Sequence[str], of_piece: Mapping[str, str], *, max_positions: int = 64
) -> Path:
    """A BERT that tags a word by its first piece and nothing else.

    It has no layers and one dimension for each piece.

    Args:
        folder: where to save it.
        tags: of its head, ``O`` among them.
        of_piece: a tag that is not ``O`` for some pieces.
        max_positions: tokens that it can read.
    """
    config = _bert_config(max_positions, **_named(tags))
    config.hidden_size, config.num_hidden_layers, config.num_attention_heads = len(PIECES), 0, 1
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        embeddings = model.bert.embeddings
        embeddings.word_embeddings.weight.copy_(torch.eye(len(PIECES)))
        embeddings.LayerNorm.weight.fill_(1.0)
        for i, piece in enumerate(PIECES):
            model.classifier.weight[tags.index(of_piece.get(piece, "O")), i] = 1.0
    return _save_bert(model, folder)


def save_spacy_package(nlp: Any, folder: Path) -> str:
    """A pipeline of spaCy as an installed package in ``folder``, which ``spacy package`` makes."""
    name, data = "xx_six", "xx_six-1.0"
    info = folder / f"{data}.dist-info"
    for path in (info, folder / name):
        path.mkdir()
    nlp.to_disk(folder / name / data)
    (folder / name / "__init__.py").write_text(
        "from pathlib import Path\n"
        "import spacy\n"
        "def load(**options):\n"
        f"    return spacy.load(Path(__file__).parent / {data!r}, **options)\n"
    )
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[spacy_models]\n{name} = {name}\n")
    return name


def _named(tags: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(tags)), "label2id": {tag: i for i, tag in enumerate(tags)}}


def _bert_config(max_positions: int, **options: Any) -> BertConfig:
    torch.manual_seed(0)
    return BertConfig(
        vocab_size=len(PIECES),
        max_position_embeddings=max_positions,
        pad_token_id=0,
        **SMALL,
        **options,
    )


def _save_bert(model: Any, folder: Path) -> Path:
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    return _save(model, tokenizer, named, folder, model.config.max_position_embeddings)


def save_roberta(
    folder: Path, model_class: Any = RobertaModel, *, max_positions: int = 64, **options: Any
) -> Path:
    """A RoBERTa on bytes, which counts positions from its padding id and sees spaces."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: i for i, piece in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    named = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "cls": "<s>"}
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(vocabulary),
        max_position_embeddings=max_positions,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **SMALL,
        **options,
    )
    return _save(model_class(config), tokenizer, named, folder, max_positions)


def _save(
    model: Any, tokenizer: Tokenizer, named: dict[str, str], folder: Path, max_positions: int
) -> Path:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_positions,
        **{f"{name}_token": piece for name, piece in named.items()},
    )
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
