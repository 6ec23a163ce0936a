"""`roadmap`: the table of its steps, the figures, the blocks, and what is said of the path in miniature."""

import json

import pytest
from PIL import Image

from keras_convnext import roadmap
from keras_convnext.cli import main
from keras_convnext.roadmap import costs, miniature, time_budget

TWO = ("resnet_enhanced", "separate_downsampling")


@pytest.fixture
def short(monkeypatch):
    """Makes the path two steps long, for what does not depend on its length."""
    monkeypatch.setattr(costs, "STEPS", {name: roadmap.STEPS[name] for name in ("resnet", *TWO)})


@pytest.mark.once
def test_prints_the_table_and_draws_it(cli, short, tmp_path):
    result = cli("roadmap", "steps", "--output", tmp_path / "path.png")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert len(lines) == 1 + 3
    assert all(word in lines[1] for word in ("resnet", "4.09", "25,557,032", "76.13"))
    assert result.err.splitlines() == [
        f"counting step {number} of 3: {step}" for number, step in enumerate(("resnet", *TWO), start=1)
    ]
    with Image.open(tmp_path / "path.png") as picture:
        assert picture.width > 600


@pytest.mark.once
def test_prints_json(cli, short):
    facts = json.loads(cli("roadmap", "steps", "--json").out)
    assert facts["regime"] == "resnet50"
    assert facts["steps"][0]["macs"] == 4_089_184_256
    assert facts["steps"][1]["standard_deviation"] == 0.07


@pytest.mark.once
def test_prints_the_blocks_and_draws_them(cli, tmp_path):
    result = cli("roadmap", "blocks", "--output", tmp_path / "blocks.png")
    assert result.code == 0, result.err
    heads = [line for line in result.out.splitlines() if not line.startswith(" ")]
    assert heads[0] == "ResNet, 256 channels: 218.4 M MACs, 70,400 parameters, 3 norms, 3 activations"
    assert [head.partition(",")[0] for head in heads] == ["ResNet", "Swin Transformer", "ConvNeXt"]
    with Image.open(tmp_path / "blocks.png") as picture:
        assert picture.width > 600


def test_prints_the_blocks_as_json_without_a_picture(cli, without):
    without("matplotlib")
    last = json.loads(cli("roadmap", "blocks", "--json").out)["blocks"][-1]
    assert (last["name"], last["params"], last["parts"][0]["label"]) == ("ConvNeXt", 79_200, "d7x7, 96")


def test_blocks_need_keras_hub(refusal, without):
    without("keras_hub")
    assert 'pip install "keras-convnext[hub]"' in refusal("roadmap", "blocks")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--size", "16"), "--size must be at least 32 pixels. Received: (16, 16)"),
        (("train", "--steps", "resnet"), "--steps must be some of resnet_enhanced, "),
        (("train", "--width-divisor", "7"), "must divide the width, 64"),
        (("train", "--data", "nowhere.npz"), "No such file or folder: nowhere.npz. "),
        (("train", "--data", ""), "expected `digits`"),
        (("train", "--output", ""), "got an empty one"),
        (("train", "--output", f"{__file__}/run"), "is a file"),
        (("steps", "--output", "nowhere/path.png"), "no such folder"),
        (("steps", "--output", "path.txt"), "expected a name that ends in .png"),
        (("blocks", "--output", "nowhere/blocks.png"), "no such folder"),
        (("blocks", "--output", ""), "got an empty one"),
        (("resume", "nowhere"), "No such file or folder: nowhere\n"),
        (("resume", "."), ".: not a folder of `keras-convnext roadmap train`"),
        (("resume", ""), "expected the folder of `keras-convnext roadmap train`, got an empty name"),
    ],
)
def test_refuses(refusal, arguments, message):
    assert message in refusal("roadmap", *arguments)


def test_unreadable_images_are_left_out_and_the_folder_says_so(cli, write_digits, tmp_path, monkeypatch):
    folder = write_digits(tmp_path / "pictures")
    (folder / "one" / "broken.png").write_bytes(b"damaged")
    command = ("roadmap", "train", "--data", folder, "--width-divisor", "32", "--output", tmp_path / "path")
    refused = cli(*command)
    assert refused.code == 2 and "leave them out with --skip-unreadable" in refused.err
    trained = []
    monkeypatch.setattr(miniature, "train", lambda experiment, *others: trained.append(experiment) or RESULTS)
    assert cli(*command, "--skip-unreadable", "--json").code == 0
    assert trained[0].skip_unreadable
    assert json.loads((tmp_path / "path" / "config.json").read_text())["skip_unreadable"] is True
    assert len(miniature.load_images(trained[0]).train) < 12
    assert cli("roadmap", "resume", tmp_path / "path", "--json").code == 0


RESULTS = {"regime": "resnet50", "steps": [], "rank_correlation": None, "interval": None}


@pytest.mark.parametrize("subcommand", ["steps", "blocks"])
def test_no_figure_is_overwritten(refusal, tmp_path, subcommand):
    (tmp_path / "mine.png").write_text("mine")
    line = refusal("roadmap", subcommand, "--output", tmp_path / "mine.png")
    assert f"{tmp_path / 'mine.png'} already exists. Choose another name." in line
    assert (tmp_path / "mine.png").read_text() == "mine"


SUBCOMMANDS = "steps, blocks, train, resume"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), f"keras-convnext roadmap: expected a SUBCOMMAND first, one of {SUBCOMMANDS}, got nothing"),
        (("--train",), f"keras-convnext roadmap: expected a SUBCOMMAND first, one of {SUBCOMMANDS}, got --train"),
        (
            ("--blocks=blocks.png",),
            f"keras-convnext roadmap: expected a SUBCOMMAND first, one of {SUBCOMMANDS}, got --blocks",
        ),
        (
            ("--resume", "folder"),
            f"keras-convnext roadmap: expected a SUBCOMMAND first, one of {SUBCOMMANDS}, got --resume",
        ),
        (
            ("steps", "--epochs", "3"),
            "keras-convnext roadmap steps: unrecognized arguments: --epochs 3; it is an option of keras-convnext "
            "roadmap train",
        ),
        (
            ("blocks", "--regime=resnet50"),
            "keras-convnext roadmap blocks: unrecognized arguments: --regime=resnet50; it is an option of "
            "keras-convnext roadmap steps and keras-convnext roadmap train",
        ),
        (("resume", "folder", "--nowhere"), "keras-convnext roadmap resume: unrecognized arguments: --nowhere"),
        (("train", "--epochs", "2", "--minutes", "3"), "keras-convnext roadmap train: argument --minutes: not allowed"),
    ],
)
def test_an_option_in_the_wrong_place_is_answered_in_one_line(capsys, arguments, line):
    with pytest.raises(SystemExit) as ended:
        main(["roadmap", *arguments])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n")) == (2, 1)
    assert error.startswith(line)


@pytest.mark.parametrize("subcommand", SUBCOMMANDS.split(", "))
def test_each_subcommand_has_its_help(capsys, subcommand):
    with pytest.raises(SystemExit) as ended:
        main(["roadmap", subcommand, "--help"])
    assert ended.value.code == 0
    assert f"usage: keras-convnext roadmap {subcommand}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(28, "No space left on device"),
            "No space left on device. Resume with: keras-convnext roadmap resume",
        ),
        (FloatingPointError("The loss is nan after step 3"), "The loss is nan after step 3"),
    ],
)
def test_what_ends_a_training_is_said_in_a_line(cli, few_images, tmp_path, monkeypatch, error, says):
    def end(*arguments):
        raise error

    monkeypatch.setattr(miniature, "train_step", end)
    result = cli("roadmap", "train", "--data", few_images, "--steps", ",".join(TWO), "--output", tmp_path / "out")
    assert result.code == 1
    assert says in result.err
    assert (tmp_path / "out" / "config.json").is_file()


@pytest.mark.parametrize(("data", "name"), [(".", "roadmap-my.photos-1"), ("../few.npz", "roadmap-few-1")])
def test_a_folder_under_runs_is_called_after_the_data(cli, few_images, tmp_path, monkeypatch, data, name):
    (tmp_path / "my.photos").mkdir()
    monkeypatch.chdir(tmp_path / "my.photos")
    images = miniature.load_images(miniature.Miniature(data=str(few_images)))
    monkeypatch.setattr(miniature, "load_images", lambda experiment: images)
    monkeypatch.setattr(miniature, "train_step", lambda *arguments: (0.5, 1.0))
    assert cli("roadmap", "train", "--data", data, "--steps", ",".join(TWO)).code == 0
    assert [path.name for path in (tmp_path / "my.photos" / "runs").iterdir()] == [name]


def test_minutes_become_epochs(cli, few_images, tmp_path, monkeypatch):
    """Of 20 s per epoch, two seeds of two steps: none in a minute, two in three; the trainings are not begun here."""
    monkeypatch.setattr(time_budget, "seconds_per_epoch", lambda *arguments: 20.0)
    trained = []
    monkeypatch.setattr(miniature, "train_step", lambda *arguments: trained.append(arguments) or (0.5, 1.0))
    command = ("roadmap", "train", "--data", few_images, "--steps", ",".join(TWO), "--seeds", "2")
    refused = cli(*command, "--minutes", "1", "--output", tmp_path / "none")
    assert refused.code == 2
    assert "--minutes 1 is too short for one epoch" in refused.err
    assert f"{TWO[0]:22} {72 / 20:6.0f} images/s" in refused.err  # a tenth of the 80 is for validation
    assert not (tmp_path / "none").exists()
    assert cli(*command, "--minutes", "3", "--output", tmp_path / "two").code == 0
    assert [(step, seed) for _, step, seed, *_ in trained] == [(step, seed) for seed in (0, 1) for step in TWO]
    assert json.loads((tmp_path / "two" / "config.json").read_text())["recipe"]["epochs"] == 2
