"""One look at every audio file of a data set before anything is trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from slue_ner.core.cores import num_cores
from slue_ner.core.listing import list_reasons, shown
from slue_ner.core.types import Progress
from slue_ner.data.loading.audio import AudioError, AudioInfo, hear, is_silent, probe


@dataclass(frozen=True, slots=True)
class Survey:
    """What the audio of a data set is like.

    Attributes:
        infos: header facts by utterance id.
        silent: ids whose audio never rises above -80 dBFS; empty when nobody listened.
        unusable: why audio cannot be used, by utterance id.
    """

    infos: dict[str, AudioInfo]
    silent: tuple[str, ...]
    unusable: dict[str, str]

    @property
    def num_converted(self) -> int:
        """Files that reading has to resample or whose channels it has to average."""
        return sum(info.converted for info in self.infos.values())

    def warnings(self) -> list[str]:
        """Sentences for the user; none when every file is as it should be."""
        sentences = []
        if self.num_converted:
            rates = sorted({info.sample_rate for info in self.infos.values() if info.converted})
            sentences.append(
                f"{self.num_converted} of {len(self.infos)} audio files are not 16 kHz mono and "
                f"are converted each time they are read (rates: {', '.join(map(str, rates))} Hz)"
            )
        if self.silent:
            sentences.append(
                f"{len(self.silent)} of {len(self.infos)} audio files are silent (below -80 dBFS "
                f"throughout): {shown(self.silent)}"
            )
        return sentences


def survey_audio(
    paths: Mapping[str, Path], *, listen: bool = True, progress: Progress | None = None
) -> Survey:
    """Check the audio file of every utterance.

    Args:
        paths: file by utterance id.
        listen: decode the files too. Headers alone do not show NaN samples, silence, nor a
            truncated flac or mp3.
        progress: called after each file.

    Raises:
        AudioError: when not one file can be used, naming the first of them.
    """
    infos: dict[str, AudioInfo] = {}
    silent: list[str] = []
    unusable: dict[str, str] = {}

    def look(path: Path) -> tuple[AudioInfo, bool] | AudioError:
        try:
            if not listen:
                return probe(path), False
            info, waveform = hear(path)
            return info, is_silent(waveform)
        except AudioError as error:
            return error

    # decoding leaves the interpreter, so threads help; a dozen would only fight over the disk
    with ThreadPoolExecutor(min(8, num_cores())) as pool:
        results = pool.map(look, paths.values())
        for done, (id_, result) in enumerate(zip(paths, results, strict=True), start=1):
            if isinstance(result, AudioError):
                unusable[id_] = str(result)
            else:
                infos[id_] = result[0]
                if result[1]:
                    silent.append(id_)
            if progress is not None:
                progress(done, len(paths))
    if unusable and not infos:
        raise AudioError(unusable_audio(unusable, num_files=len(paths)))
    return Survey(infos, tuple(silent), unusable)


def unusable_audio(unusable: Mapping[str, str], *, num_files: int, fate: str = "") -> str:
    """Which audio files cannot be used, why, and what becomes of their utterances."""
    if num_files == 1:
        ((id_, reason),) = unusable.items()
        return f"utterance {id_}: {reason}"
    return (
        f"{len(unusable)} of {num_files} audio files cannot be used{fate}:{list_reasons(unusable)}"
    )
