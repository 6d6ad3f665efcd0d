"""A token classifier of transformers that is used as it is, its types being called our labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slue_ner.models.transformer_tagger import TransformerTagger, read_tagger
from slue_ner.text.label_map import LabelMap
from slue_ner.text.schemes import TagScheme

_MAX_TOKENS = 512  # as in configs/task/text_ner.yaml; more than SLUE's sentences need


class ReadyTagger(TransformerTagger):
    """A tagger whose tags are of any scheme and any types; a word's is that of its first piece.

    Args:
        model, tokenizer, name, max_tokens: as for ``TransformerTagger``.
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
