"""What a user does first, in an environment with one backend: train on photographs, go on, evaluate, predict, load.

And: extend the run, and do the same in Python.

    ENVIRONMENT/bin/python .ci/journey.py PHOTOGRAPHS FOLDER [--train-only]

PHOTOGRAPHS is a folder as `.ci/photographs.py` writes it; the run goes to FOLDER, which is new. KERAS_BACKEND names the
backend. It runs the package that the environment has installed, from a folder that holds nothing else.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("keras-convnext")
EPOCHS = 4
TIMEOUT_SECONDS = 600
"""How long a step may take."""


def main(photographs, folder, *options):
    # A shell that starts this in the background has it ignore Ctrl-C, and with it what it starts itself.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    photographs, folder = Path(photographs).resolve(), Path(folder).resolve()
    folder.mkdir()
    without_a_chosen_backend(folder)
    train = ["--data", photographs, "--variant", "convnext_mini", "--size", 32, "--batch", 16, "--output", "run"]
    if "--train-only" in options:
        command(folder, "train", *train, "--epochs", 1)
        return
    interrupt_after_an_epoch(folder, "train", *train, "--epochs", EPOCHS)
    command(folder, "train", "--resume", "run")
    command(folder, "train", "--resume", "run", "--epochs", EPOCHS + 1)
    metrics = json.loads((folder / "run" / "metrics.json").read_text())
    check(metrics["epochs"] == EPOCHS + 1, f"the extended run has {metrics}")
    scores = json.loads(command(folder, "evaluate", "run", "--json"))
    check(scores["images"] == 12 and 0 <= scores["accuracy"] <= 1, f"evaluate gave {scores}")
    photograph = photographs / "test" / "cat" / "0.jpg"
    (fact,) = json.loads(command(folder, "predict", "run", photograph, "--json"))["images"]
    check({one["name"] for one in fact["classes"]} == {"astronaut", "cat", "coffee"}, f"predict gave {fact}")
    save_and_load(folder, photograph)
    in_python(folder, photographs)


def without_a_chosen_backend(folder):
    """The command takes the backend that is installed, also once Keras has noted its own choice in keras.json."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {"KERAS_HOME": str(folder / "keras")}
    for _ in range(2):
        print("keras-convnext list convnext_atto", flush=True)
        line = [PROGRAM, "list", "convnext_atto"]
        done = subprocess.run(
            line, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        check(done.returncode == 0, f"without KERAS_BACKEND, exit code {done.returncode}: {done.stderr[-2000:]}")
        print(done.stderr, end="", flush=True)
        check("I0000" not in done.stderr, "log lines of TensorFlow")


def command(folder, *arguments):
    """Runs a command that must succeed, and returns what it prints."""
    print("keras-convnext", *arguments, flush=True)
    line = [PROGRAM, *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS)
    check(done.returncode == 0, f"exit code {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


def interrupt_after_an_epoch(folder, *arguments):
    """Runs a training, and presses Ctrl-C once the state of its first epoch is there."""
    print("keras-convnext", *arguments, "... Ctrl-C", flush=True)
    with subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=folder, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + TIMEOUT_SECONDS
        while not (folder / "run" / "state" / "epoch-1").exists():
            check(process.poll() is None and time.monotonic() < until, "the training ended before its first epoch")
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        code = process.wait(TIMEOUT_SECONDS)
    check(code == 130, f"an interrupted training ended with exit code {code}, not 130")


def save_and_load(folder, photograph):
    """In Python: the run's model gives the same after it was saved and loaded."""
    import keras
    import numpy as np

    from keras_convnext import load_model, preprocessing
    from keras_convnext.data import read_image

    print("save and load", flush=True)
    model = load_model(folder / "run")
    images = preprocessing.ResizeAndCrop(32, 32)(read_image(photograph))[None].astype("float32")
    model.save(folder / "saved.keras")
    loaded = keras.saving.load_model(folder / "saved.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


def in_python(folder, photographs):
    """An experiment, through JSON, for an epoch."""
    from keras_convnext import Experiment

    print("an experiment in Python", flush=True)
    experiment = Experiment(photographs, "convnext_mini", size=32, epochs=1, batch_size=16, output=folder / "python")
    (folder / "experiment.json").write_text(json.dumps(experiment.to_config()))
    run = Experiment.from_config(folder / "experiment.json").run(verbose=0)
    check(0 <= run.metrics["test_accuracy"] <= 1, f"the experiment gave {run.metrics}")


def check(is_right, message):
    if not is_right:
        raise SystemExit(f"journey: {message}")


if __name__ == "__main__":
    main(*sys.argv[1:])
