"""A CTC checkpoint of transformers as a model of this program, with exact lengths."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCTC, AutoTokenizer

from slue_ner.models.ctc_model import CTCModel
from slue_ner.models.encoder.building import build_encoder
from slue_ner.models.encoder.hub_checkpoints import is_safe, quiet_transformers, weights_of
from slue_ner.models.encoder.options import EncoderOptions
from slue_ner.models.encoder.weight_files import reason
from slue_ner.models.heads import CTCHead
from slue_ner.models.mixing import LastLayer
from slue_ner.text.markup import DELIMITER
from slue_ner.text.vocabulary import BLANK, UNKNOWN, Vocabulary

_NEVER = -1e9
"""Bias of a symbol that is not to be written."""


def hub_ctc(source: str, *, revision: str | None = None) -> tuple[CTCModel, Vocabulary]:
    """Encoder and CTC head of a checkpoint (wav2vec 2.0, HuBERT, WavLM, data2vec, w2v-BERT).

    Its blank (the tokenizer's padding), its word delimiter and its letters are the symbols; other
    special tokens, the unknown one included, are never written.

    Args:
        source: folder or hub id.
        revision: branch, tag or commit of a hub id.

    Raises:
        ValueError: for a checkpoint without CTC head, or whose symbols are not letters with a
            delimiter between words.
    """
    encoder = build_encoder(EncoderOptions(source=source, revision=revision))
    weights = weights_of(source, revision=revision)
    try:
        with quiet_transformers():
            model, info = AutoModelForCTC.from_pretrained(
                source,
                revision=revision or "main",
                dtype=torch.float32,
                use_safetensors=is_safe(weights),
                weights_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            tokenizer: Any = AutoTokenizer.from_pretrained(
                source, revision=revision or "main", trust_remote_code=False
            )
    except Exception as error:  # tokenizers has no class of its own for a damaged file
        raise ValueError(
            f"{source} is no CTC recogniser with a tokenizer: {reason(error)}"
        ) from error
    if "lm_head.weight" in info["missing_keys"]:
        raise ValueError(
            f"{source} is an encoder without a CTC head and recognises nothing; train one with "
            f"`slue-ner train task=ctc_plain encoder.source={source}`"
        )
    symbols, rows = _symbols(tokenizer, len(model.lm_head.weight), source)
    head = CTCHead(encoder.hidden_size, vocabulary_size=len(symbols))
    with torch.no_grad():
        for index, row in enumerate(rows):
            if row is None:
                head.projection.weight[index] = 0.0
                head.projection.bias[index] = _NEVER
            else:
                head.projection.weight[index] = model.lm_head.weight[row]
                head.projection.bias[index] = model.lm_head.bias[row]
    return CTCModel(encoder, LastLayer(), head).eval(), Vocabulary(symbols, labels=None)


def _symbols(tokenizer: Any, size: int, source: str) -> tuple[tuple[str, ...], list[int | None]]:
    """Our symbols, and the row of the checkpoint's head that each comes from."""
    special_ids = set(tokenizer.all_special_ids)  # some stand behind the head, and are not written
    beyond = [i for i in tokenizer.get_vocab().values() if i >= size and i not in special_ids]
    if beyond:
        raise ValueError(
            f"{source}: its tokenizer has the symbol {max(beyond)} but the CTC head has {size} "
            "symbols; use a checkpoint with the tokenizer it was trained with"
        )
    written = {i for i in tokenizer.get_vocab().values() if i < size}  # the head may have more
    tokens = tokenizer.convert_ids_to_tokens(list(range(max(written, default=-1) + 1)))
    delimiter = getattr(tokenizer, "word_delimiter_token", None)
    blank = tokenizer.pad_token_id
    if delimiter not in tokens or blank is None:
        raise ValueError(
            f"{source} has no symbol between words, so its letters cannot be made words; use a "
            "checkpoint with a Wav2Vec2CTCTokenizer"
        )
    if blank >= len(tokens):
        raise ValueError(
            f"{source}: the blank (its tokenizer's padding) is symbol {blank} but the CTC head has "
            f"{size} symbols; use a checkpoint with the tokenizer it was trained with"
        )
    special = {*special_ids, blank, tokens.index(delimiter)}
    letters = [i for i in sorted(written - special) if tokens[i] != DELIMITER]
    rows: list[int | None] = [blank, None, tokens.index(delimiter), *letters]
    return (BLANK, UNKNOWN, DELIMITER, *(tokens[i] for i in letters)), rows
