"""Training speed: ``slue_ner.training.fit.fit`` against a plain ``transformers.Trainer`` loop.

Same model, same weights, same utterances, same number of epochs, AdamW, float32, same threads.
The contestants take turns, so a busy machine slows both. Ours reads audio files and computes its
own features inside the measured time; the peer's features are made beforehand, as in its
example, and the time for that is shown apart.

With ``--whisper`` the model is Whisper's encoder, and the peers are its stock forward over 30 s
and its blocks at real length (``whisper_peer.py``). The first pays the same for every utterance, so
it trains for a few updates of each round only.

Usage: ``python benchmarks/training.py [--whisper [--encoder FOLDER]] [--root data/so762]
[--rounds 3] [--publish]``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from race import Race, losses, prepare, train_once, waveform_of, whisper_base, whisper_losses
from tables import publish, spread, table
from transformers_loop import Peer, stock_peers, train_seconds
from whisper_peer import whisper_peers

ENCODERS = ("small_wav2vec2", "small")
WHISPER = "whisper_base"


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    encoders = [WHISPER] if arguments.whisper else arguments.encoders
    overrides = [f"data.batch_seconds={arguments.batch_seconds:g}"]
    overrides += whisper_base(arguments.encoder) if arguments.whisper else []
    results = {}
    rows: list[dict[str, str]] = []
    for encoder in encoders:
        with tempfile.TemporaryDirectory() as folder:
            race = prepare(
                arguments.root,
                Path(folder),
                encoder=encoder,
                num_utterances=arguments.utterances,
                epochs=arguments.epochs,
                overrides=overrides,
                grouped=arguments.whisper,
            )
            examples = list(race.examples())
            longest = sorted(examples, key=lambda example: -len(waveform_of(example)))[:4]
            if arguments.whisper:
                peers = whisper_peers(race.model, examples, stock_updates=arguments.stock_updates)
                pairs = {
                    name: whisper_losses(race.model, longest, fill_up=peer.max_updates is not None)
                    for name, peer in peers.items()
                }
            else:
                peers = stock_peers(race.model, examples)
                pairs = dict.fromkeys(peers, losses(race.model, longest))
            results[encoder] = run(race, peers, rounds=arguments.rounds) | {"loss": pairs}
        rows += _rows(encoder, results[encoder])
    print(table(rows))
    if arguments.publish:
        name = "training_whisper" if arguments.whisper else "training"
        publish(name, {"encoders": results}, table(rows))


def run(race: Race, peers: Mapping[str, Peer], *, rounds: int) -> dict[str, Any]:
    """Let the contestants take turns for ``rounds`` rounds; figures for the JSON file."""
    seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in peers}}
    padding = 0.0
    for number in range(rounds):
        figures = train_once(race, race.folder / f"run{number}")
        padding = figures["padding_share"]
        seconds["ours"].append(figures["train_seconds"])
        for name, peer in peers.items():
            spent = train_seconds(
                peer,
                batch_size=race.batch_size,
                epochs=race.epochs,
                lr=race.config.optim.lr,
                seed=number,
            )
            seconds[name].append(spent)
        print(number, {name: round(values[-1], 1) for name, values in seconds.items()}, flush=True)
    audio = {"ours": race.audio_seconds} | {
        name: _audio_seconds(race, peer) for name, peer in peers.items()
    }
    return {
        "utterances": len(race.utterances),
        "epochs": race.epochs,
        "batch_seconds": race.config.data.batch_seconds,
        "batch_size": race.batch_size,
        "audio_seconds": audio,
        "seconds": seconds,
        "peer_extraction_seconds": {name: peer.extraction_seconds for name, peer in peers.items()},
        "rates": {name: [audio[name] / spent for spent in seconds[name]] for name in seconds},
        "padding_share": padding,
    }


def _audio_seconds(race: Race, peer: Peer) -> float:
    """Real audio that a peer trains on in one round."""
    if peer.max_updates is None:
        return race.audio_seconds
    each = race.audio_seconds / (race.epochs * len(race.utterances))
    return peer.max_updates * race.batch_size * each


def _rows(encoder: str, result: dict[str, Any]) -> list[dict[str, str]]:
    rates, audio = result["rates"], result["audio_seconds"]
    rows = []
    for name, (ours, peer) in result["loss"].items():
        pairs = list(zip(rates["ours"], rates[name], strict=True))
        extraction = result["peer_extraction_seconds"][name] / audio["ours"]
        rows.append(
            {
                "encoder": encoder,
                "peer's batches": name,
                "ours, audio-s/s": spread(rates["ours"], digits=0),
                "peer, audio-s/s": spread(rates[name], digits=0),
                "times as fast": spread([own / theirs for own, theirs in pairs]),
                "extraction counted": spread(
                    [own * (1 / theirs + extraction) for own, theirs in pairs]
                ),
                "our padding": f"{result['padding_share']:.1%}",
                "loss of one batch, ours / peer": f"{ours:.5f} / {peer:.5f}",
            }
        )
    return rows


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data/so762"))
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--whisper", action="store_true", help="whisper-base and its peers")
    parser.add_argument(
        "--encoder", type=Path, help="folder of a Whisper encoder; random weights without one"
    )
    parser.add_argument("--utterances", type=int, default=240)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-seconds", type=float, default=80.0)
    parser.add_argument(
        "--stock-updates", type=int, default=2, help="of Whisper's stock peer in a round"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--publish", action="store_true", help="write results/ and README.md")
    arguments = parser.parse_args()
    if arguments.encoder is not None and not arguments.whisper:
        parser.error("--encoder is the Whisper encoder of --whisper")
    return arguments


if __name__ == "__main__":
    main()
