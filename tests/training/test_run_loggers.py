from __future__ import annotations

import pytest

from slue_ner.training.checkpoints import StopRequestedError
from slue_ner.training.loggers import CSVLog


def test_the_csv_log_counts_updates_from_one(train, tmp_path):
    log = train(tmp_path, "trainer.log_every=2").log()
    assert [row[0] for row in log if row[1] == "train_loss"] == ["2", "4", "6"]
    assert [row[0] for row in log if row[1] == "val_f1"] == ["3", "6"]
    names = {"train_loss", "val_loss", "val_wer", "val_cer", "val_f1", "val_label_f1"}
    assert {row[1] for row in log} == {*names, "val_monitor"}


def test_rows_after_the_update_resumed_from_are_dropped(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "update,metric,value\n1,train_loss,3.0\n2,train_loss,2.0\n3,train_loss,1.0\n4,tr"
    )
    CSVLog(path).resume_at(2)
    assert path.read_text() == "update,metric,value\n1,train_loss,3.0\n2,train_loss,2.0\n"


def test_a_fresh_log_has_only_its_header(tmp_path):
    CSVLog(tmp_path / "log.csv").resume_at(0)
    assert (tmp_path / "log.csv").read_text() == "update,metric,value\n"


def test_tensorboard_gets_the_same_figures(train, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    watched = train(tmp_path, "logger=tensorboard")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = {e.step: e.value for e in events.Scalars("val_loss")}
    rows = [(int(step), float(value)) for step, name, value in watched.log() if name == "val_loss"]
    assert found == pytest.approx(dict(rows))


def test_trackers_get_the_config_the_adaptation_and_the_learning_rate(train, tmp_path, monkeypatch):
    from slue_ner.training import fit

    told: list[dict[str, object]] = []

    class Tracker(CSVLog):
        def log_hyperparams(self, params, *_, **__):
            told.append(dict(params))

    def loggers(options, *, name, folder):
        return [CSVLog(folder / "log.csv"), Tracker(folder / "tracked.csv")]

    monkeypatch.setattr(fit, "build_loggers", loggers)
    (tmp_path / "config.yaml").write_text("seed: 0\noptim: {lr: 0.003}\n")
    train(tmp_path)
    (params,) = told
    assert params["optim"] == {"lr": 0.003}
    assert params["adapted"]["strategy"] == "full" and params["adapted"]["num_trainable"] > 0
    rows = [row.split(",") for row in (tmp_path / "tracked.csv").read_text().split()]
    for name in ("lr_encoder", "lr_head"):
        assert [row[0] for row in rows if row[1] == name] == ["1", "2", "3", "4", "5", "6"]
    assert not [row for row in (tmp_path / "log.csv").read_text().split() if ",lr_" in row]


def test_wandb_works_offline_and_a_restart_goes_on_with_the_same_run(train, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    options = ("logger=wandb", "logger.offline=true")
    with pytest.raises(StopRequestedError):
        train(tmp_path / "one", *options, stop_after=2)
    run_id = (tmp_path / "one/wandb_id.txt").read_text()
    train(tmp_path / "one", *options)
    train(tmp_path / "two", *options)  # in the same process, as in a sweep
    assert (tmp_path / "one/wandb_id.txt").read_text() == run_id
    runs = {path.name.rsplit("-", 1)[-1] for path in (tmp_path / "one/wandb").glob("offline-run-*")}
    assert runs == {run_id}
    assert list((tmp_path / "two/wandb").glob("offline-run-*"))
