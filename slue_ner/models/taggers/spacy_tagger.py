"""A pipeline of spaCy that finds entities in our words."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

from slue_ner.core.suggest import nearest
from slue_ner.text.bio import OUTSIDE
from slue_ner.text.label_map import LabelMap

_GROUP = "spacy_models"
"""Where every package that ``spacy package`` made registers its pipeline."""

_ENTITIES = "doc.ents"


class SpacyTagger:
    """A pipeline without its tokenizer: its tokens are our words.

    spaCy's tokenizer would cut them further (``don't``, ``twenty-one``), and entities could then
    begin or end within a word, which no record can say. Everything else runs as it does in spaCy,
    on the CPU.

    Args:
        nlp: a ``spacy.Language``.
        name: what it was loaded as.
        given: labels of its types, as for ``LabelMap``.
        where: what ``given`` was read from.

    Raises:
        ValueError: for a pipeline that finds no entities, and as ``LabelMap``.
    """

    def __init__(
        self,
        nlp: Any,
        *,
        name: str,
        given: Mapping[str, str | None] | None = None,
        where: str = "",
    ) -> None:
        finders = [pipe for pipe in nlp.pipe_names if _ENTITIES in nlp.get_pipe_meta(pipe).assigns]
        types = dict.fromkeys(type for pipe in finders for type in nlp.pipe_labels.get(pipe, ()))
        if not types:
            raise ValueError(
                f"{name} finds no entities: none of its components "
                f"({', '.join(nlp.pipe_names) or 'there are none'}) writes {_ENTITIES}; give a "
                "pipeline with a ner or an entity_ruler"
            )
        self.nlp = nlp
        self.name = name
        self.label_map = LabelMap(tuple(types), name=name, given=given, where=where)

    def tag(self, sentences: Sequence[Sequence[str]], *, batch_size: int) -> Iterator[list[str]]:
        """BIO tags of the pipeline's own types, one a word.

        Args:
            sentences: their words; none may be without.
            batch_size: sentences at once.
        """
        doc = importlib.import_module("spacy.tokens").Doc
        docs = (doc(self.nlp.vocab, words=list(words)) for words in sentences)
        for read in self.nlp.pipe(docs, batch_size=batch_size):
            yield [f"{t.ent_iob_}-{t.ent_type_}" if t.ent_type_ else OUTSIDE for t in read]

    def in_bio(self, tags: Sequence[str]) -> list[str]:
        """As ``TextTagger.in_bio``; what has no label is counted."""
        return self.label_map.relabel(tags)


def spacy_tagger(
    name: str, *, given: Mapping[str, str | None] | None = None, where: str = ""
) -> SpacyTagger:
    """An installed pipeline package, by its name.

    A folder is not taken: its config can call any registered function, and spaCy loads what that
    returns. Who installs a package has decided to run its code.

    Raises:
        ValueError: without spaCy, for a package that is not installed or does not load, and as
            ``SpacyTagger``.
    """
    try:
        spacy = importlib.import_module("spacy")
    except ImportError as error:
        raise ValueError(
            f"spacy:{name} needs spaCy, which cannot be imported ({error}); "
            "`pip install 'slue-ner[spacy]'`"
        ) from error
    installed = {point.name for point in entry_points(group=_GROUP)}
    if name not in installed:
        known = nearest(name, installed) if installed else "there is none"
        raise ValueError(
            f"spacy:{name} is no installed pipeline package (`python -m spacy download` installs "
            f"one, `python -m spacy package` makes one of a folder); {known}"
        )
    try:
        nlp = spacy.load(name)
    except Exception as error:  # whatever the code of a package raises
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"spacy:{name} cannot be loaded: {words}") from error
    return SpacyTagger(nlp, name=f"spacy:{name}", given=given, where=where)
