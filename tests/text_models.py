"""Tiny pre-trained text models in the hub's format, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


def save_bert(folder: Path, *, max_positions: int = 64) -> Path:
    """A BERT whose WordPiece vocabulary is letters, their continuations and a few words."""
    letters = "abcdefghijklmnopqrstuvwxyz'"
    words = ["in", "the", "met", "and", "from"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, *letters, *(f"##{c}" for c in letters)]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    named = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces), max_position_embeddings=max_positions, pad_token_id=0, **SMALL
    )
    return _save(BertModel(config), tokenizer, named, folder, max_positions)


def save_roberta(folder: Path, *, max_positions: int = 64) -> Path:
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
    )
    return _save(RobertaModel(config), tokenizer, named, folder, max_positions)


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
