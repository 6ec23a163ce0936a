"""Scores a run's model on the test images of its own data, or of other data of the same classes.

Where there are no test images, the validation images are scored; of other data without any parts, all images.
"""

import json

from keras_convnext.cli.run_data import load_run_data
from keras_convnext.data import with_validation
from keras_convnext.training import Recipe, Run


def add_arguments(parser):
    parser.add_argument("run", help="a run folder that `keras-convnext train` left")
    parser.add_argument("--data", help="`digits`, FILE.npz, or FOLDER (default: what the run was trained with)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    run = Run.open(args.run)
    recipe = Recipe.from_config(run.config["recipe"])
    data = load_run_data(run.config, args.data, args.skip_unreadable, verbose=not args.json)
    if not args.data:
        data = with_validation(data, recipe.seed)
    parts = {"test": data.test, "validation": data.validation, "all": data.train}
    part, images = next((part, images) for part, images in parts.items() if images is not None)
    model = run.load_model()
    batches = recipe.dataset(images, training=False)
    return lambda: _evaluate(model, batches, part, data.skipped, args.json)


def _evaluate(model, batches, part, skipped, as_json):
    scores = model.evaluate(batches, verbose=0 if as_json else "auto", return_dict=True)
    facts = {"part": part, "images": len(batches.images), **scores, "skipped": [str(path) for path in skipped]}
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    print(
        f"{facts['images']} images ({part}): accuracy {facts['accuracy']:.4f}, loss {facts['loss']:.4f}"
        + (f"; {len(skipped)} unreadable skipped" if skipped else "")
    )
