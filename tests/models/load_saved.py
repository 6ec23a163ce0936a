"""Run by test_saving.py in a new process: loads every `.keras` file of a folder, and writes what it finds beside it.

`python load_saved.py FOLDER`, with KERAS_BACKEND set. FOLDER has images.npy; NAME.keras gives NAME_BACKEND.npz.
"""

import sys
from pathlib import Path

import keras
import numpy as np

import keras_convnext  # noqa: F401 - all that loading needs


def main(folder):
    """Loads each model; stores its outputs, the variables of its optimizer in their order, and how it is compiled."""
    images = np.load(folder / "images.npy")
    for path in sorted(folder.glob("*.keras")):
        model = keras.saving.load_model(path)
        variables = {
            f"optimizer/{number:03}/{variable.path}": keras.ops.convert_to_numpy(variable.value)
            for number, variable in enumerate(model.optimizer.variables)
        }
        outputs = model.predict(images, verbose=0)
        found = {"outputs": outputs, "jit_compile": model.jit_compile, **variables}
        np.savez(folder / f"{path.stem}_{keras.backend.backend()}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
