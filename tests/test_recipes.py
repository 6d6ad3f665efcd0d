"""What the scripts of recipes do with what is there, and with what is not."""

from __future__ import annotations

import pytest
from recipe_folder import RecipeFolder

SLUE = "slue-voxpopuli_fine-tune.tsv"


@pytest.fixture
def recipes(tmp_path):
    return RecipeFolder(tmp_path)


def options(command):
    """``key=value`` words of a command, by key."""
    return dict(word.split("=", 1) for word in command if "=" in word)


def test_a_demo_without_any_speech_says_how_to_give_some(recipes):
    ended = recipes.run("recipes/demo/run.sh")
    assert ended.returncode == 1
    assert ended.stderr == (
        "demo: no labelled speech beside this checkout; give folders that 'slue-ner prepare' "
        "wrote, as in 'make demo DATA=data/mine'\n"
    )
    assert not (recipes.folder / "commands.txt").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"SO762": "typo"}, f"demo: SO762=typo holds no {SLUE}\n"),
        ({"SO762": "so762", "SLUE_TEXT": "typo"}, f"demo: SLUE_TEXT=typo holds no {SLUE}\n"),
        ({"DATA": "data/mine data/typo"}, "demo: data/typo has no fine-tune.jsonl; "),
        ({"DATA": "data/yours data/mine"}, "demo: data/yours, the first folder, has no tune.jsonl"),
    ],
)
def test_a_demo_of_what_is_not_there_stops_before_any_work(recipes, variables, message):
    recipes.touch(f"so762/{SLUE}", "data/mine/fine-tune.jsonl", "data/mine/tune.jsonl")
    recipes.touch("data/yours/fine-tune.jsonl")
    ended = recipes.run("recipes/demo/run.sh", **variables)
    assert ended.returncode == 1
    assert ended.stderr.startswith(message)
    assert not (recipes.folder / "commands.txt").exists()


def test_a_demo_of_own_data_trains_on_all_of_it_and_scores_every_dev(recipes):
    recipes.touch(*(f"data/{name}/fine-tune.jsonl" for name in ("mine", "yours", "theirs")))
    recipes.touch("data/mine/tune.jsonl", "data/mine/dev.jsonl", "data/yours/dev.jsonl")
    folders = "data/mine data/yours data/theirs"
    ended = recipes.run("recipes/demo/run.sh page.md", DATA=folders, NAME="ours")
    assert ended.returncode == 0, ended.stderr
    assert "data/theirs has no dev.jsonl and is not scored\n" in ended.stdout
    train = options(recipes.commands[0])
    assert (train["experiment"], train["name"], train["data.root"]) == ("demo", "ours", "data/mine")
    mine, *others = (f"data/{name}/fine-tune.jsonl" for name in ("mine", "yours", "theirs"))
    # each three times: once by data.root
    assert train["data.also_train"] == f"[{','.join([*others, mine, *others, mine, *others])}]"
    scored = [c[c.index("--references") + 1] for c in recipes.commands if c[0] == "score"]
    assert sorted(set(scored)) == ["data/mine/dev.jsonl", "data/yours/dev.jsonl"]
    compare = recipes.commands[-1]
    names = ("data_mine", "data_mine_lm", "data_yours", "data_yours_lm")
    assert compare[:5] == ["compare", *(f"runs/ours/dev/{name}.json" for name in names)]
    assert compare[-4:] == ["--into", str(recipes.folder / "page.md"), "--block", "demo"]


def test_a_demo_learns_when_things_were_said_where_word_times_are_known(recipes):
    recipes.touch("data/mine/fine-tune.jsonl", "data/mine/tune.jsonl", "data/yours/fine-tune.jsonl")
    (recipes.folder / "data/yours/tune.jsonl").write_text('{"id": "a", "words": [{"text": "a"}]}\n')
    assert recipes.run("recipes/demo/run.sh", DATA="data/mine data/yours").returncode == 0
    tuned = [command for command in recipes.commands if command[:2] == ["tune", "localizer"]]
    (arguments,) = tuned
    assert arguments[arguments.index("--references") + 1] == "data/yours/tune.jsonl"
    assert arguments[-1] == "runs/demo/localizer.yaml"


def test_a_demo_finds_speech_beside_the_checkout_and_has_the_synthesiser_speak_the_text(recipes):
    beside = recipes.folder.with_name(f"{recipes.folder.name}_shared")
    recipes.touch(f"{beside}/so762/{SLUE}", f"{beside}/text/{SLUE}")
    ended = recipes.run("recipes/demo/run.sh", SO762=f"{beside}/so762", SLUE_TEXT=f"{beside}/text")
    assert ended.returncode == 0, ended.stderr
    prepared = [command[1] for command in recipes.commands if command[0] == "prepare"]
    assert prepared == ["slue-voxpopuli", "text", "synthetic"]
    (text,) = (command for command in recipes.commands if command[1] == "text")
    left_out = text[text.index("--leave-out") + 1 :]
    assert left_out == ["data/so762/tune.jsonl", "data/so762/dev.jsonl"]
    (train,) = (options(command) for command in recipes.commands if command[0] == "train")
    spoken = "data/demo_spoken/fine-tune.jsonl"
    own = "data/so762/fine-tune.jsonl"
    assert train["data.also_train"] == f"[{own},{own},{spoken}]"


def test_a_cell_is_trained_once_and_predicts_with_the_data_of_its_run(recipes):
    cell = "recipes/cell.sh small_sfm mine experiment=so762 seed=1"
    config = recipes.folder / "runs/small_sfm/mine/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("encoder:\n  root: no\ndata:\n  more: []\n  root: data/theirs\ntask: {}\n")
    assert recipes.run(cell).returncode == 0
    train, *predictions = recipes.commands
    assert train == ["train", "name=small_sfm/mine", "experiment=so762", "seed=1"]
    assert [command[3] for command in predictions] == [
        "data/theirs/tune.jsonl",
        "data/theirs/dev.jsonl",
    ]
    done = recipes.folder / "recipes/small_sfm/results/mine"
    assert sorted(path.name for path in done.iterdir()) == ["config.yaml", "metrics.json"]
    again = recipes.run(cell)
    assert again.stdout == "small_sfm/mine is done\n"
    assert len(recipes.commands) == 3


def test_a_cell_is_of_the_experiment_of_its_recipe_unless_it_names_another(recipes):
    assert recipes.run("recipes/cell.sh so762 full optim.lr=1e-5").returncode == 0
    assert recipes.commands[0] == ["train", "name=so762/full", "experiment=so762", "optim.lr=1e-5"]


def test_a_cell_that_fails_is_not_done(recipes):
    program = recipes.folder / "bin/slue-ner"
    program.write_text("#!/usr/bin/env bash\nexit 1\n")
    assert recipes.run("recipes/cell.sh so762 full").returncode == 1
    assert not (recipes.folder / "recipes/so762/results").exists()
