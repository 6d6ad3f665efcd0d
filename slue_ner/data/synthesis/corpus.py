"""A spoken corpus made on the spot: sentences from a grammar, or anyone's labelled text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slue_ner.core.files import read_json, sha256, write_json
from slue_ner.core.types import Progress, Utterance
from slue_ner.data.corpora.dataset import (
    DATASET_FILE,
    SPLITS,
    PreparedDataset,
    SplitCounts,
    clear_dataset,
    write_dataset,
)
from slue_ner.data.corpora.labelled_text import labelled_splits
from slue_ner.data.synthesis.grammar import Sentence, write_sentences
from slue_ner.data.synthesis.random_words import RANDOM_WORDS, write_random_sentences
from slue_ner.data.synthesis.spoken import cast_voices, speak_scripts
from slue_ner.data.synthesis.voices import BASES
from slue_ner.text.normalize import asr_form, ner_form

OPTIONS_FILE = "synthetic.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticOptions:
    """What to make.

    Attributes:
        num_fine_tune, num_tune, num_dev, num_test: utterances per split; 0 leaves it out.
        num_voices: speakers in all; every split has its own.
        num_accents: of English, 1 to 8; fewer are easier to learn.
        preset: ``easy`` (compact vocabulary, short sentences), ``wide``, or ``words`` (random
            English words without entities, for pre-training).
        max_words: longest sentence; the preset's own when ``None``.
        seed: the same options give the same bytes.
        text: labelled files to speak instead of the grammar's sentences; the numbers of
            utterances, the preset and ``max_words`` then do not apply.
        tune_share: of the text's fine-tune to hold out as tune, unless it has a tune split.
        marks: what becomes of text that cannot be written as symbols, see ``resolve_marks``.
        num_workers: processes that speak; they do not change the result.
    """

    num_fine_tune: int = 3_000
    num_tune: int = 200
    num_dev: int = 200
    num_test: int = 400
    num_voices: int = 48
    num_accents: int = len(BASES)
    preset: str = "easy"
    max_words: int | None = None
    seed: int = 0
    text: tuple[Path, ...] = ()
    tune_share: float = 0.1
    marks: str = "keep"
    num_workers: int = 2

    def __post_init__(self) -> None:
        for name in ("num_fine_tune", "num_tune", "num_dev", "num_test"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it should be 0 or more")
        if not self.text and not any(self.num_sentences.values()):
            raise ValueError("all numbers of utterances are 0; set num_fine_tune or another one")
        if self.num_workers < 1:
            raise ValueError(f"num_workers is {self.num_workers}, it should be 1 or more")

    @property
    def num_sentences(self) -> dict[str, int]:
        """Utterances to write, by split."""
        numbers = (self.num_fine_tune, self.num_tune, self.num_dev, self.num_test)
        return dict(zip(SPLITS, numbers, strict=True))


def prepare_synthetic(
    out: Path, options: SyntheticOptions, *, progress: Progress | None = None
) -> PreparedDataset:
    """Make the corpus: ``audio/<split>/<id>.wav``, manifests with exact times, ``dataset.json``.

    An interrupted preparation is started again with the same options; a finished one is left
    as it is.

    Args:
        out: folder; new, empty, or made by the same options.
        options: what to make.
        progress: called with utterances spoken and in all.

    Raises:
        ValueError: for a folder that holds something else, or options that do not fit.
        OSError: naming a file that cannot be written.
    """
    out = Path(out)
    source = _source(options)
    finished = _finished(out, source)
    if finished is not None:
        return finished
    splits, warnings = _texts(options)
    scripts = cast_voices(
        splits,
        num_voices=options.num_voices,
        num_accents=options.num_accents,
        seed=options.seed,
    )
    clear_dataset(out, source=source)
    write_json(out / OPTIONS_FILE, source)
    spoken = speak_scripts(scripts, out, num_workers=options.num_workers, progress=progress)
    counts = write_dataset(
        out,
        {split: [u for u in spoken if u.split == split] for split in splits},
        source={**source, "warnings": warnings},
    )
    return PreparedDataset(out, counts, tuple(warnings))


def _source(options: SyntheticOptions) -> dict[str, Any]:
    """All that decides the bytes of the corpus."""
    chosen = asdict(options)
    del chosen["num_workers"], chosen["text"]
    if options.marks == "keep":
        del chosen["marks"]
    if options.text:
        for name in ("num_fine_tune", "num_tune", "num_dev", "num_test", "preset", "max_words"):
            del chosen[name]
    else:
        del chosen["tune_share"]
    try:
        synthesiser = version("espeakng-loader")
    except PackageNotFoundError as error:
        raise ValueError(
            "the speech synthesiser is not installed; run `pip install slue-ner[synth]`"
        ) from error
    return {
        "kind": "synthetic",
        "options": chosen,
        "files": {path.name: sha256(path) for path in map(Path, options.text) if path.is_file()},
        "versions": {"slue-ner": version("slue-ner"), "espeakng-loader": synthesiser},
    }


def _finished(out: Path, source: Mapping[str, Any]) -> PreparedDataset | None:
    """The data set in ``out`` when the same options have made it already."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    path = out / OPTIONS_FILE
    if not path.is_file():
        raise ValueError(
            f"{out} is not empty and was not made by `slue-ner prepare synthetic`; "
            "choose another folder"
        )
    if read_json(path) != source:
        raise ValueError(
            f"{out} holds a synthetic corpus of other options, see {path}; "
            "choose another folder or remove this one"
        )
    if not (out / DATASET_FILE).is_file():
        return None
    record = read_json(out / DATASET_FILE)
    counts = {name: SplitCounts(**count) for name, count in record["splits"].items()}
    for name, count in counts.items():
        manifest = out / f"{name}.jsonl"
        if not manifest.is_file() or sha256(manifest) != count.sha256:
            return None
    return PreparedDataset(out, counts, tuple(record["source"]["warnings"]))


def _texts(options: SyntheticOptions) -> tuple[dict[str, list[Utterance]], list[str]]:
    if not options.text:
        if options.preset == RANDOM_WORDS:
            written = write_random_sentences(
                options.num_sentences, seed=options.seed, max_words=options.max_words
            )
        else:
            written = write_sentences(
                options.num_sentences,
                preset=options.preset,
                seed=options.seed,
                max_words=options.max_words,
            )
        return {
            split: [_utterance(split, i, sentence) for i, sentence in enumerate(sentences)]
            for split, sentences in written.items()
            if sentences
        }, []
    return labelled_splits(
        options.text, tune_share=options.tune_share, seed=options.seed, marks=options.marks
    )


def _utterance(split: str, number: int, sentence: Sentence) -> Utterance:
    text, entities = ner_form(sentence.text, sentence.spans)
    return Utterance(
        id=f"{split}_{number:05d}",
        split=split,
        audio=None,
        num_samples=None,
        sample_rate=16_000,
        text=text,
        asr_text=asr_form(sentence.text),
        raw_text=sentence.text,
        entities=entities,
    )
