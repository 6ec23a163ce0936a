"""Every notebook runs, with its parameters set to a quick mode, also where keras.json says `channels_first`.

Each has a backend that it runs on every time; on the others it is a slow test.
"""

import os
from pathlib import Path

import keras
import nbformat
import pytest
from nbclient import NotebookClient

from keras_convnext import ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, cached_path

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
QUICK = {
    "01_train_and_save.ipynb": ("tensorflow", "epochs = 2"),
    "02_pretrained.ipynb": ("jax", 'preset = "convnextv2_atto_1k_224_ema"'),
    "03_recipe.ipynb": ("torch", "epochs = 2"),
    "04_roadmap.ipynb": ("torch", 'step = "resnet"'),
    "05_detection.ipynb": ("torch", "scenes, epochs = 16, 1"),
    "06_segmentation.ipynb": ("torch", "scenes, epochs = 16, 1"),
    "07_deploy.ipynb": ("tensorflow", "epochs = 1"),
}


def test_every_notebook_has_a_quick_mode():
    assert sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")) == sorted(QUICK)


@pytest.fixture
def cached(channels_first_home):
    """A checkpoint of new weights in Keras's cache, as if it had been downloaded."""
    path = cached_path(CHECKPOINTS["convnextv2_atto_1k_224_ema"])
    path.parent.mkdir(parents=True)
    save_checkpoint(ConvNeXtClassifier.from_preset("convnextv2_atto"), path)


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param(name, parameters, marks=[] if backend == keras.backend.backend() else pytest.mark.slow, id=name)
        for name, (backend, parameters) in QUICK.items()
    ],
)
def test_notebook_runs(name, parameters, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source = parameters
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute(
        env=dict(os.environ)
    )
