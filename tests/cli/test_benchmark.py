"""`benchmark`: what it prints, and what is refused before any process is started."""

import json
import re
import sys
from pathlib import Path

import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.benchmarking.packages import PEERS
from keras_convnext.benchmarking.turns import Timing
from keras_convnext.cli import benchmark

SMALL = ["--variant", "convnext_mini", "--batch", "2", "--rounds", "2"]
SWEPT = ["--variant", "convnext_mini", "--rounds", "2"]


@pytest.fixture
def half_a_second(monkeypatch):
    """In place of measuring: every step took half a second. What is measured has its tests in benchmarking/."""

    def time_in_turn(cases, rounds, progress):
        progress(f"round {rounds} of {rounds}")
        return [Timing(case, (0.5,) * rounds, 1.0, None) for case in cases], {}

    for module in ("keras_convnext.cli.benchmark", "keras_convnext.benchmarking.compare"):
        monkeypatch.setattr(sys.modules[module], "time_in_turn", time_in_turn)


@pytest.mark.usefixtures("half_a_second")
def test_prints_ours_and_skips_what_is_not_there(cli, backend, monkeypatch):
    monkeypatch.setattr(benchmark, "is_installed", lambda name: False)
    result = cli("benchmark", *SMALL, "--against", "timm")
    assert result.code == 0
    assert "convnext_mini, forward, batch 2, 8 x 8, float32, cpu; medians of 2 rounds" in result.out
    assert f"\nkeras_convnext {backend} " in result.out
    assert "GFLOP/s multiplied" in result.out
    assert "skipped timm: not installed" in result.out
    assert "round 2 of 2" in result.err


@pytest.mark.usefixtures("half_a_second")
def test_prints_json(cli, backend):
    report = json.loads(cli("benchmark", *SMALL, "--task", "train", "--against", "", "--json").out)
    (row,) = report["timings"]
    assert (row["package"], row["backend"], row["task"], row["batch"]) == ("keras_convnext", backend, "train", 2)
    assert len(row["round_milliseconds"]) == 2


@pytest.mark.usefixtures("half_a_second")
@pytest.mark.parametrize(
    ("backends", "names"),
    [
        ("torch", ["torch onnxruntime", "torch openvino", "tensorflow litert"]),
        ("jax", ["torch onnxruntime", "torch openvino", "tensorflow litert"]),
        ("tensorflow,torch", ["tensorflow onnxruntime", "torch onnxruntime", "tensorflow openvino", "torch openvino"]),
    ],
)
def test_times_each_runtime_from_the_backend_that_writes_its_file(cli, backends, names):
    """Ours is compared with its plain form on that backend, and with timm's in that runtime alone."""
    runtimes = ["--runtime", ",".join(dict.fromkeys(name.split()[1] for name in names)), "--backend", backends]
    report = json.loads(cli("benchmark", *SMALL, *runtimes, "--json").out)
    plain = [f"keras_convnext {backend}" for backend in backends.split(",")]
    ours = [f"keras_convnext {name}" for name in names]
    timms = [f"timm torch {runtime}" for runtime in ("onnxruntime", "openvino")]
    assert [row["name"] for row in report["timings"]] == plain + ours + timms
    expected = {(name, other) for name in ours for other in timms if name.split()[-1] == other.split()[-1]}
    expected |= {(name, other) for name in ours for other in plain if name.startswith(f"{other} ")}
    assert {(row["ours"], row["other"]) for row in report["ratios"]} == expected


@pytest.mark.slow
def test_times_ours_and_timms_in_each_runtime(cli):
    options = ["--size", "32", "--batch", "2", "--rounds", "1", "--runtime", "onnxruntime,openvino,litert"]
    report = json.loads(cli("benchmark", "--variant", "test_convnext", *options, "--json").out)
    assert report["skipped"] == []
    compared = [(row["ours"], row["other"]) for row in report["ratios"]]
    assert ("keras_convnext torch onnxruntime", "timm torch onnxruntime") in compared
    assert ("keras_convnext torch openvino", "timm torch openvino") in compared


def test_a_runtime_must_be_installed(refusal, without):
    without("onnxruntime")
    assert 'pip install "keras-convnext[export]"' in refusal("benchmark", "--runtime", "onnxruntime")


@pytest.fixture
def drifting(monkeypatch):
    """In place of measuring: ours takes a second in each round, the others one, two and five."""

    def time_in_turn(cases, rounds, progress):
        seconds = {True: (1.0, 1.0, 1.0), False: (1.0, 2.0, 5.0)}
        return [Timing(case, seconds[case.package == "keras_convnext"], 1.0, None) for case in cases], {}

    monkeypatch.setattr(sys.modules["keras_convnext.benchmarking.compare"], "time_in_turn", time_in_turn)


ROUNDS = ["--variant", "convnext_mini", "--against", "keras.applications", "--rounds", "3"]


@pytest.mark.usefixtures("drifting")
def test_warns_where_the_ratio_says_little(cli, backend):
    out = cli("benchmark", *ROUNDS).out
    name = f"keras_convnext {backend} / keras.applications {backend}"
    assert "0.500  spread 80%" in out
    assert out.splitlines()[-1].startswith(f"warning: {name} varies by 80% between rounds: another run may give")
    assert "with nothing else running on this machine, and with more --rounds." in out
    report = json.loads(cli("benchmark", *ROUNDS, "--json").out)
    assert [row["spread"] for row in report["ratios"]] == [pytest.approx(0.8)]
    assert [line.startswith(name) for line in report["warnings"]] == [True]


@pytest.mark.usefixtures("half_a_second")
def test_warns_of_a_single_round_and_not_of_steady_ones(cli):
    assert json.loads(cli("benchmark", *ROUNDS, "--json").out)["warnings"] == []
    (warning,) = json.loads(cli("benchmark", *ROUNDS[:-1], "1", "--json").out)["warnings"]
    assert "from one round, so its spread is unknown" in warning


def test_ctrl_c_gives_what_was_measured_and_130(cli, monkeypatch):
    def interrupted(cases, rounds, progress):
        return [Timing(case, (0.5,) * (rounds - 1), 1.0, None) for case in cases], {}

    monkeypatch.setattr(sys.modules["keras_convnext.benchmarking.compare"], "time_in_turn", interrupted)
    result = cli("benchmark", *ROUNDS, "--json")
    assert result.code == 130
    assert json.loads(result.out)["rounds"] == 2


def test_says_with_1_that_nothing_ran(cli, monkeypatch):
    monkeypatch.setattr(
        sys.modules["keras_convnext.benchmarking.compare"],
        "time_in_turn",
        lambda cases, rounds, progress: ([], dict.fromkeys(cases, "no memory left")),
    )
    result = cli("benchmark", *ROUNDS)
    assert result.code == 1
    assert "no memory left" in result.out


@pytest.mark.usefixtures("half_a_second")
@pytest.mark.parametrize("form", ["checkpoint", "hub name", "file", "run"])
def test_times_the_architecture_of_what_is_named(cli, form, trained, monkeypatch, tmp_path):
    name = {"checkpoint": "convnext_atto.d2_in1k", "hub name": "timm/convnext_atto.d2_in1k"}.get(form, trained.path)
    expected = ("convnext_atto", 224) if form in ("checkpoint", "hub name") else ("convnext_mini", 8)
    if form in ("file", "run"):
        model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, input_shape=(8, 8, 1))
        name = tmp_path / "model.keras"
        model.save(name)
    if form == "run":
        config = {"class_names": ["a", "b", "c"], "image_shape": [8, 8, 1], "recipe": {}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        name = tmp_path
    report = json.loads(cli("benchmark", "--variant", name, "--against", "", "--rounds", "2", "--json").out)
    (row,) = report["timings"]
    assert (row["variant"], row["size"]) == expected


@pytest.mark.slow
@pytest.mark.usefixtures("half_a_second")
def test_for_a_gpu_a_file_is_looked_into_by_another_process(cli, monkeypatch, tmp_path):
    """This one would hold the GPU while the others are timed."""
    path = tmp_path / "model.keras"
    ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, input_shape=(8, 8, 1)).save(path)

    def load(*arguments):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(benchmark, "load", load)
    report = json.loads(cli("benchmark", "--device", "gpu", "--variant", path, "--against", "", "--json").out)
    (row,) = report["timings"]
    assert (row["variant"], row["size"], row["device"]) == ("convnext_mini", 8, "gpu")


def test_refuses_a_file_of_no_variant(refusal, trained):
    assert "expected a variant that `keras-convnext list` prints" in refusal("benchmark", "--variant", trained.path)


@pytest.mark.slow
def test_times_ours_in_more_forms(cli, backend):
    task, form = ("forward", "exported") if backend == "torch" else ("train", "remat")
    options = ["--task", task, "--also", form, "--rounds", "1", "--against", "", "--json"]
    report = json.loads(cli("benchmark", *SMALL, *options).out)
    assert [row["form"] for row in report["timings"]] == ["", form]
    assert report["skipped"] == []


@pytest.mark.slow
def test_times_two_processes_and_says_what_they_exchange(cli):
    options = ["--task", "train", "--also", "distributed,two-processes", "--rounds", "1", "--against", ""]
    printed = cli("benchmark", *SMALL, *options).out
    assert "skipped" not in printed
    for form in ("distributed", "two-processes"):
        assert f"keras_convnext torch {form} / keras_convnext torch " in printed
    (line,) = [line for line in printed.splitlines() if "exchanged per step" in line]
    sent, weights = map(float, re.findall(r"([\d.]+) MiB", line))
    assert 1.9 * weights < sent < 2.5 * weights


@pytest.mark.usefixtures("half_a_second")
def test_sweeps_and_draws(cli, backend, tmp_path):
    output = tmp_path / "sweep.png"
    result = cli("benchmark", *SWEPT, "--sweep", "batch", "--values", "4,1,4", "--output", output)
    assert result.code == 0
    assert [line.split()[:4] for line in result.out.splitlines()[:2]] == [
        ["keras_convnext", backend, "batch", batch] for batch in ("1", "4")
    ]
    assert output.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_sweeps_beside_attention(cli, tmp_path):
    """Of each the multiply-accumulates of the images that were timed; in one run."""
    options = ["--sweep", "size", "--values", "64", "--against", "vit_small", "--json"]
    report = json.loads(cli("benchmark", *SWEPT, *options, "--output", tmp_path / "sweep.svg").out)
    rows = report["timings"]
    assert [(row["package"], row["variant"]) for row in rows] == [
        ("keras_convnext", "convnext_mini"),
        ("vit_small", ""),
    ]
    assert all(row["size"] == 64 and row["milliseconds"] > 0 for row in rows)
    assert report["skipped"] == []
    tokens, width = 1 + 4 * 4, 384
    layers = 12 * (12 * tokens * width**2 + 2 * tokens**2 * width)
    assert rows[-1]["macs"] == 4 * 4 * 16 * 16 * 3 * width + layers + width * 1000
    assert "<svg" in (tmp_path / "sweep.svg").read_text()


@pytest.mark.parametrize("when", ["while processes start", "in the first round"])
def test_an_interrupted_sweep_gives_what_it_has(cli, tmp_path, monkeypatch, when):
    """Ctrl-C at the second of three values: the first counts, the third is not begun."""
    begun = []

    def interrupted(cases, rounds, progress):
        begun.append(cases[0].batch)
        if len(begun) == 1:
            return [Timing(case, (0.5,) * rounds, 1.0, None) for case in cases], {}
        if when == "in the first round":
            return [], {}
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "time_in_turn", interrupted)
    options = ["--sweep", "batch", "--values", "1,2,4", "--output", tmp_path / "sweep.png", "--json"]
    report = json.loads(cli("benchmark", *SWEPT, *options).out)
    assert [row["batch"] for row in report["timings"]] == [1]
    assert begun == [1, 2]
    assert (tmp_path / "sweep.png").exists()


def test_a_sweep_says_what_failed(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(
        benchmark,
        "time_in_turn",
        lambda cases, rounds, progress: ([], {cases[0]: "no memory left"}),
    )
    options = ["--sweep", "batch", "--values", "64", "--output", tmp_path / "sweep.png"]
    result = cli("benchmark", *SWEPT, *options)
    assert result.code == 1
    assert "batch 64: no memory left" in result.out
    assert not (tmp_path / "sweep.png").exists()


def test_attention_needs_keras_hub(refusal, without):
    without("keras_hub")
    assert 'pip install "keras-convnext[hub]"' in refusal("benchmark", "--against", "swin_tiny")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "timm,tim"], f"--against: expected some of {', '.join(PEERS)}, swin_tiny, vit_small, got tim."),
        (["--also", "fast"], "--also: expected some of remat, exported, distributed, two-processes, got fast."),
        (["--also", "remat"], "--also remat: only with --task train."),
        (["--also", "two-processes"], "--also two-processes: only with --task train."),
        (
            ["--also", "two-processes", "--task", "train", "--device", "gpu"],
            "--also two-processes: only with --device cpu.",
        ),
        (["--also", "exported", "--task", "train"], "--also exported: only with --task forward and --backend torch."),
        (
            ["--against", "swin_tiny", "--size", "48"],
            "swin_tiny takes sides of 32 pixels or a multiple of that",
        ),
        (["--sweep", "size", "--values", "64,16"], "smaller than this network's stride of 32"),
        (["--runtime", "tflite"], "--runtime: expected some of onnxruntime, openvino, litert, got tflite."),
        (["--runtime", "litert", "--task", "train"], "--task train: with --runtime only forward."),
        (["--runtime", "litert", "--dtype", "bfloat16"], "--dtype bfloat16: with --runtime only float32."),
        (["--runtime", "litert", "--device", "gpu"], "--device gpu: with --runtime only cpu."),
        (["--runtime", "litert", "--against", "torchvision"], "--against: expected some of timm, got torchvision."),
        (["--values", "64"], "--values: only with --sweep."),
        (["--output", "sweep.png"], "--output: only with --sweep."),
        (["--sweep", "size", "--size", "64"], "--size: the sweep sets it"),
        (["--sweep", "size", "--output", "nowhere/sweep.png"], "nowhere: no such folder."),
        (["--sweep", "size", "--output", "sweep"], "expected a name that ends in .png"),
        (["--backend", ","], "--backend: expected some of tensorflow, jax, torch."),
        (["--variant", ""], "No such file or folder, and no such preset: ''. "),
        (["--backend", "numpy"], "--backend: expected some of tensorflow, jax, torch, got numpy."),
        (["--variant", "convnext_tinny"], "nearest names are convnext_tiny"),
        (["--sweep", "size", "--output", "there.png"], "there.png already exists. Choose another name."),
    ],
)
def test_refuses(refusal, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    Path("there.png").touch()
    assert message in refusal("benchmark", *options)
