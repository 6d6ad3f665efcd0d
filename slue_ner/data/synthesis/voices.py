"""Synthetic speakers: fixed espeak-ng voices, no kind of voice shared between two splits."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

BASES = (
    "en",
    "en-us",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-029",
    "en-us-nyc",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)
"""Accents of English; ``en`` is espeak-ng's British one."""

VARIANTS = (
    *("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"),
    *("Alex", "Alicia", "Andrea", "Annie", "Michael", "Mike", "Nguyen", "adam", "aunty"),
    *("benjamin", "david", "edward", "ian", "marcelo", "max", "michel", "miguel"),
    *("quincy", "rob", "robert", "shelby", "steph", "victor"),
)
"""Voice characters that neither clip nor whisper, croak or buzz."""

HELD_OUT_VARIANTS = ("f3", "m4", "m7", "Andrea", "Mike", "david", "miguel", "steph")
"""Voice characters that only dev and test have, in any corpus: none of them is ever trained on,
not by an encoder that another synthetic corpus pre-trained either."""

RATE = (130, 180)
PITCH = (30, 70)
PITCH_RANGE = (30, 70)


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker.

    Attributes:
        id: stable name such as ``v0012``, the ``speaker`` of a manifest.
        base: accent, an espeak-ng voice name.
        variant: espeak-ng voice variant.
        rate: words per minute, in [80, 450].
        pitch, pitch_range: espeak-ng's scales, in [0, 100]; 50 is the variant's own.
    """

    id: str
    base: str = "en"
    variant: str = "m1"
    rate: int = 165
    pitch: int = 50
    pitch_range: int = 50

    def __post_init__(self) -> None:
        for name, low, high in (("rate", 80, 450), ("pitch", 0, 100), ("pitch_range", 0, 100)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(
                    f"voice {self.id}: {name} should be between {low} and {high}, got {value}"
                )

    @property
    def kind(self) -> tuple[str, str]:
        """Accent and variant: what makes two voices sound like different people."""
        return self.base, self.variant


def draw_voices(
    num_voices: Mapping[str, int], *, seed: int, num_accents: int = len(BASES)
) -> dict[str, tuple[Voice, ...]]:
    """Draw speakers for every split; no two splits share a ``kind``.

    Kinds are dealt out in proportion to what the splits ask for; dev and test get those of
    ``HELD_OUT_VARIANTS`` and no others. A split that asks for more
    speakers than it was dealt kinds reuses its own kinds at another rate and pitch.

    Args:
        num_voices: speakers wanted per split, at least one each.
        seed: the same seed and counts give the same voices.
        num_accents: how many of ``BASES``, the first ones, the voices have.

    Raises:
        ValueError: for a split without speakers, or accents that do not exist.
    """
    if not 1 <= num_accents <= len(BASES):
        raise ValueError(f"num_accents should be in [1, {len(BASES)}], got {num_accents}")
    for split, count in num_voices.items():
        if count < 1:
            raise ValueError(f"split {split} needs at least 1 voice, got {count}")
    generator = random.Random(f"voices {seed}")
    kinds = list(product(BASES[:num_accents], VARIANTS))
    generator.shuffle(kinds)
    held_out = [kind for kind in kinds if kind[1] in HELD_OUT_VARIANTS]
    trained = [kind for kind in kinds if kind[1] not in HELD_OUT_VARIANTS]
    own_kinds = {
        **_deal(trained, {s: n for s, n in num_voices.items() if s not in ("dev", "test")}),
        **_deal(held_out, {s: n for s, n in num_voices.items() if s in ("dev", "test")}),
    }
    voices: dict[str, tuple[Voice, ...]] = {}
    number = 0
    for split, count in num_voices.items():
        own, dealt = own_kinds[split], len(own_kinds[split])
        voices[split] = tuple(
            _draw_voice(f"v{number + index:04d}", own[index % dealt], generator)
            for index in range(count)
        )
        number += count
    return voices


def _deal(
    kinds: list[tuple[str, str]], num_voices: Mapping[str, int]
) -> dict[str, list[tuple[str, str]]]:
    """Kinds of every split, in proportion to its speakers."""
    remaining = sum(num_voices.values())
    dealt = {}
    for split, count in num_voices.items():
        share = max(1, min(count, len(kinds) * count // remaining))
        remaining -= count
        dealt[split], kinds = kinds[:share], kinds[share:]
    return dealt


def _draw_voice(voice_id: str, kind: tuple[str, str], generator: random.Random) -> Voice:
    return Voice(
        id=voice_id,
        base=kind[0],
        variant=kind[1],
        rate=generator.randint(*RATE),
        pitch=generator.randint(*PITCH),
        pitch_range=generator.randint(*PITCH_RANGE),
    )
