from __future__ import annotations

import json
import os
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slue_ner.core.time import FrameGrid
from slue_ner.decoding import emissions
from slue_ner.decoding.emissions import EmissionsWriter, read_emissions

GRID = FrameGrid(hop=160, window=400)
SYMBOLS = ("<blank>", "|", "\u00e4")


def writer(folder, **options) -> EmissionsWriter:
    defaults = {"kind": "ctc", "symbols": SYMBOLS, "grid": GRID, "model_hash": "abc"}
    return EmissionsWriter(folder, **{**defaults, **options})


def log_probs(num_frames: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(num_frames, len(SYMBOLS)))
    return (values - np.log(np.exp(values).sum(1, keepdims=True))).astype(np.float32)


def store(folder, **lengths: int) -> None:
    with writer(folder) as out:
        for seed, (id, length) in enumerate(lengths.items()):
            out.add(id, log_probs(length, seed))


def test_emissions_come_back_in_half_precision(tmp_path):
    store(tmp_path / "emissions", b=5, a=3)
    stored = read_emissions(tmp_path / "emissions")
    assert (stored.kind, stored.symbols, stored.grid) == ("ctc", SYMBOLS, GRID)
    assert (stored.ids, len(stored), "a" in stored, "c" in stored) == (("b", "a"), 2, True, False)
    found = stored["a"]
    assert (found.shape, found.dtype) == ((3, 3), np.float32)
    np.testing.assert_allclose(found, log_probs(3, seed=1), rtol=2**-11)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 60))
def test_every_utterance_comes_back_whatever_the_size_of_shards(tmp_path_factory, lengths, size):
    folder = tmp_path_factory.mktemp("stored")
    with writer(folder, shard_bytes=size) as out:
        for number, length in enumerate(lengths):
            out.add(f"u{number}", log_probs(length, number))
    stored = read_emissions(folder)
    assert len(stored) == len(lengths)
    for number, length in enumerate(lengths):
        expected = log_probs(length, number).astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(stored[f"u{number}"], expected)
    rows_a_shard = max(1, size // 6)  # three symbols of two bytes
    assert len(list(folder.glob("*.npy"))) <= 1 + sum(lengths) // rows_a_shard


def test_shards_are_mapped_into_memory_not_read(tmp_path):
    store(tmp_path / "emissions", a=3)
    (shard,) = read_emissions(tmp_path / "emissions")._shards
    assert isinstance(shard, np.memmap)


def test_minus_infinity_and_what_half_precision_cannot_hold_survive(tmp_path):
    rows = np.array([[0.0, -np.inf, -1e6]], np.float32)
    with writer(tmp_path / "emissions") as out:
        out.add("a", rows)
    assert read_emissions(tmp_path / "emissions")["a"].tolist() == [[0.0, -np.inf, -np.inf]]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), writer(tmp_path / "emissions", shard_bytes=1) as out:
        out.add("a", log_probs(4))
        out.add("b", log_probs(4))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=r"emissions holds no emissions: it has no index\.json"):
        read_emissions(tmp_path / "emissions")


def test_an_interrupted_write_leaves_the_emissions_of_before(tmp_path):
    store(tmp_path / "emissions", a=3)
    with pytest.raises(RuntimeError), writer(tmp_path / "emissions") as out:
        out.add("b", log_probs(4))
        raise RuntimeError
    assert read_emissions(tmp_path / "emissions").ids == ("a",)
    store(tmp_path / "emissions", c=2)
    assert read_emissions(tmp_path / "emissions").ids == ("c",)
    assert [path.name for path in tmp_path.iterdir()] == ["emissions"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "index.json").write_text("{}")
    (tmp_path / "thesis.tex").write_text("...")
    with pytest.raises(ValueError, match="holds something other than emissions; choose another"):
        writer(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_the_folder_is_as_readable_as_any_other(tmp_path):
    store(tmp_path / "emissions", a=3)
    (tmp_path / "other").mkdir()
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("emissions", "other")]
    assert modes[0] == modes[1]


def test_a_full_disk_is_named_and_nothing_left(tmp_path, monkeypatch):
    def full(file, *_, **__):
        file.write(b"some bytes")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(emissions.np, "save", full)
    with pytest.raises(OSError, match=r"emissions: No space left on device; free some space"):
        store(tmp_path / "emissions", a=3)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write emissions into .*file/emissions: "):
        store(tmp_path / "file" / "emissions", a=3)


@pytest.mark.parametrize(
    ("id", "values", "message"),
    [
        ("a", log_probs(2), "emissions of utterance a were added before"),
        ("b", np.zeros((2, 4)), r"utterance b have shape \(2, 4\), expected \(frames, 3 symbols"),
        ("b", np.zeros(3), r"utterance b have shape \(3,\)"),
        ("b", np.full((1, 3), np.nan), "utterance b hold NaN"),
    ],
)
def test_what_cannot_be_stored_is_named(tmp_path, id, values, message):
    with pytest.raises(ValueError, match=message), writer(tmp_path / "emissions") as out:
        out.add("a", log_probs(1))
        out.add(id, values)
    assert list(tmp_path.iterdir()) == []


def test_emissions_of_another_model_are_refused(tmp_path):
    store(tmp_path / "emissions", a=3)
    stored = read_emissions(tmp_path / "emissions")
    stored.check_model(symbols=SYMBOLS, model_hash="abc")
    with pytest.raises(ValueError, match=r"emissions of another model or other weights"):
        stored.check_model(symbols=SYMBOLS, model_hash="xyz")
    with pytest.raises(ValueError, match=r"over another vocabulary \(3 symbols, here 2\)"):
        stored.check_model(symbols=SYMBOLS[:2], model_hash="abc")


def test_an_utterance_that_is_not_there_is_named(tmp_path):
    store(tmp_path / "emissions", a=3)
    with pytest.raises(ValueError, match="has no emissions of utterance b; predict"):
        read_emissions(tmp_path / "emissions")["b"]


def cut(folder):
    shard = folder / "00000.npy"
    shard.write_bytes(shard.read_bytes()[:-4])


def lose(folder):
    (folder / "00000.npy").unlink()


def narrow(folder):
    np.save(folder / "00000.npy", np.zeros((3, 2), np.float16))


def pickled(folder):
    np.save(folder / "00000.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def edit(**changes):
    def apply(folder):
        index = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps({**index, **changes}))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"00000\.npy is damaged or cut short"),
        (lose, r"00000\.npy is missing"),
        (narrow, r"00000\.npy has shape \(3, 2\), expected \(3, 3\)"),
        (pickled, r"00000\.npy is damaged"),
        (edit(schema=2), "schema is 2, this version reads 1"),
        (edit(symbols=["a", "b", "c"]), "the symbols are not those that were written"),
        (edit(places=[["a", 0, 1, 3]]), "utterance a lies outside its shard"),
        (edit(places=[["a", 4, 0, 1]]), "list index out of range"),
        (edit(grid={"hop": 0}), "FrameGrid needs positive numbers"),
    ],
)
def test_damage_is_found_when_opened_and_the_index_named(tmp_path, damage, message):
    store(tmp_path / "emissions", a=3)
    damage(tmp_path / "emissions")
    with pytest.raises(ValueError, match=r"index\.json does not describe whole .*" + message):
        read_emissions(tmp_path / "emissions")


def test_an_index_that_is_no_json_is_named(tmp_path):
    store(tmp_path / "emissions", a=3)
    (tmp_path / "emissions/index.json").write_text('{"schema": 1')
    with pytest.raises(ValueError, match=r"index\.json is not JSON"):
        read_emissions(tmp_path / "emissions")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_utterance_that_was_damaged_on_disk_is_named(tmp_path, value):
    store(tmp_path / "emissions", b=5, a=3)
    (path,) = (tmp_path / "emissions").glob("*.npy")
    rows = np.load(path)
    rows[5 + 1, 2] = value
    np.save(path, rows)
    stored = read_emissions(tmp_path / "emissions")
    assert len(stored["b"]) == 5
    with pytest.raises(ValueError, match=r"emissions is damaged: .* utterance a hold NaN or inf"):
        stored["a"]
