"""Every example runs in its quick mode, in a separate process, also where keras.json says `channels_first`.

Each has a backend that it runs on every time; on the others it is a slow test.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_convnext.cli import train
from keras_convnext.startup import command_parser

EXAMPLES = Path(__file__).parents[1] / "examples"
PRINTS = {
    "train_on_folder.py": ("torch", "classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    "train_imagenet.py": ("torch", "facebookresearch/ConvNeXt; arXiv:2201.03545 Table 5: 1 process, 1 device"),
    "backbone_features.py": ("jax", "P0: (4, 8, 8, 32)"),
    "cifar10_timm.py": ("torch", "timm convnext_mini, 1 epochs: test accuracy"),
    "convert_weights.py": ("tensorflow", "timm                 70 arrays, logits differ by 0e+00"),
    "fine_tune.py": ("torch", "test accuracy on the second half: fine-tuned"),
    "fast_inference.py": ("torch", "fused"),
    "block_in_own_model.py": ("jax", "dB after"),
    "keras_cv_augmenter.py": ("torch", "detector on images with moved boxes: loss"),
    "detect_retinanet.py": ("tensorflow", "test scenes: mAP 0."),
    "serve_onnx.py": ("torch", "three.png: "),
    "segment_upernet.py": ("torch", "validation: mIoU 0."),
}


def test_every_example_is_run():
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(PRINTS)


@pytest.mark.usefixtures("channels_first_home")
@pytest.mark.parametrize(
    ("name", "printed"),
    [
        pytest.param(name, printed, marks=[] if backend == keras.backend.backend() else pytest.mark.slow, id=name)
        for name, (backend, printed) in PRINTS.items()
    ],
)
def test_example_runs(name, printed, tmp_path):
    process = subprocess.run(
        [sys.executable, EXAMPLES / name, "--smoke"], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert printed in process.stdout


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "expected"),
    [("cifar10_timm.py", "cifar10.npz"), ("train_on_folder.py", "a FOLDER"), ("serve_onnx.py", "a MODEL.onnx")],
)
def test_example_says_what_it_needs(name, expected):
    process = subprocess.run([sys.executable, EXAMPLES / name], capture_output=True, text=True, timeout=600)
    assert process.returncode == 2
    assert process.stderr.endswith(f"{name}: error: give {expected}, or --smoke\n")


@pytest.mark.once
def test_the_example_for_imagenet_prints_commands_that_are_valid():
    process = subprocess.run(
        [sys.executable, EXAMPLES / "train_imagenet.py"], capture_output=True, text=True, timeout=600
    )
    assert process.returncode == 0, process.stderr
    parser, parsers = command_parser()
    train.add_arguments(parsers["train"])
    commands = [shlex.split(line, comments=True) for line in process.stdout.splitlines() if line.startswith("keras")]
    assert len(commands) == 47
    for _, *arguments in commands:
        parser.parse_args(arguments)
