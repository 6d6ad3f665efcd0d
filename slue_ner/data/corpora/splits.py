"""The ``tune`` split: a share of fine-tune held out for choosing checkpoints and weights."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from slue_ner.core.groups import group_of
from slue_ner.core.types import Utterance


def hold_out_tune(
    utterances: Sequence[Utterance],
    *,
    share: float = 0.1,
    seed: int = 0,
    by_utterance: bool = False,
) -> tuple[list[Utterance], list[Utterance]]:
    """Split off about ``share`` of the utterances without dividing a speaker.

    Where the speaker is not known, a debate stays together (``group_of``). Which groups are held
    out depends on the seed and the ids alone, not on the order of the input. Their number of
    utterances is as close to the share as whole groups allow; of two equally close ones the
    smaller.

    Args:
        utterances: all of one split.
        share: of the utterances, in (0, 1).
        seed: another seed holds out other groups.
        by_utterance: ignore speakers and debates.

    Returns:
        What stays, and what is held out (its ``split`` set to ``tune``), both in input order.

    Raises:
        ValueError: when there is only one group, or ``share`` is out of range.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of tune should be between 0 and 1, got {share}")
    groups: dict[str, int] = defaultdict(int)
    keys = [f"utterance {u.id}" if by_utterance else str(group_of(u)) for u in utterances]
    for key in keys:
        groups[key] += 1
    if len(groups) < 2:
        only = next(iter(groups), "nothing")
        raise ValueError(
            f"cannot hold out a tune split: all {len(utterances)} utterances belong to "
            f"{only}; split by utterance instead"
        )
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed} {key}".encode()).digest())
    target = max(1, round(share * len(utterances)))
    chosen = {order[i] for i in _closest_sum([groups[key] for key in order], target)}
    stay = [u for u, key in zip(utterances, keys, strict=True) if key not in chosen]
    held_out = [
        replace(u, split="tune") for u, key in zip(utterances, keys, strict=True) if key in chosen
    ]
    return stay, held_out


def with_tune(
    splits: dict[str, list[Utterance]], *, share: float, seed: int
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Hold ``tune`` out of ``fine-tune`` where that can be done.

    Nothing changes when ``share`` is 0, there is a tune split already, or no fine-tune.
    One speaker alone is split by utterance, and the notes say so.

    Returns:
        The splits, fine-tune and tune first, and notes for the user.
    """
    return _with_held_out("tune", splits, share=share, seed=seed)


def with_dev(
    splits: dict[str, list[Utterance]], *, share: float, seed: int
) -> tuple[dict[str, list[Utterance]], list[str]]:
    """Hold ``dev`` out as ``with_tune`` does tune, where two utterances stay for these."""
    if share and len(splits.get("fine-tune", [])) == 2:
        return splits, ["there is no dev split: fine-tune has two utterances"]
    return _with_held_out("dev", splits, share=share, seed=seed)


def _with_held_out(
    name: str, splits: dict[str, list[Utterance]], *, share: float, seed: int
) -> tuple[dict[str, list[Utterance]], list[str]]:
    fine_tune = splits.get("fine-tune", [])
    if share == 0 or name in splits or not fine_tune:
        return splits, []
    if len(fine_tune) < 2:
        return splits, [f"there is no {name} split: fine-tune has a single utterance"]
    notes = []
    one_group = len({group_of(utterance) for utterance in fine_tune}) == 1
    if one_group:
        notes.append(
            f"{name} shares its speaker with fine-tune: all of fine-tune is "
            f"{group_of(fine_tune[0])}"
        )
    stay, held_out = hold_out_tune(fine_tune, share=share, seed=seed, by_utterance=one_group)
    rest = {split: of_it for split, of_it in splits.items() if split != "fine-tune"}
    return {"fine-tune": stay, name: [replace(u, split=name) for u in held_out], **rest}, notes


def _closest_sum(sizes: Sequence[int], target: int) -> list[int]:
    """Indices whose sizes add up as close to ``target`` as possible, but not to everything.

    A subset-sum over a bit set: bit ``s`` of ``reachable`` is set when some of the sizes seen
    so far add up to ``s``, and ``last[s]`` is the index that first made it so. The smaller
    the indices, the sooner they are used.
    """
    total = sum(sizes)
    reachable = 1
    last: dict[int, int] = {}
    for index, size in enumerate(sizes):
        new = (reachable << size) & ~reachable
        reachable |= new
        while new:
            lowest = new & -new
            last[lowest.bit_length() - 1] = index
            new ^= lowest
        if target in last:
            break
    best = min((s for s in last if 0 < s < total), key=lambda s: (abs(s - target), s))
    chosen = []
    while best:
        chosen.append(last[best])
        best -= sizes[last[best]]
    return chosen
