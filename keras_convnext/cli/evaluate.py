"""Scores a run's model on the test images of its own data, or of other data of the same classes."""

import json

from keras_convnext.data import load_data
from keras_convnext.training import Recipe, Run


def add_arguments(parser):
    parser.add_argument("run", help="a run folder that `keras-convnext train` left")
    parser.add_argument("--data", help="`digits`, FILE.npz, or FOLDER (default: what the run was trained with)")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out image files that cannot be read")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    run = Run.open(args.run)
    config = run.config
    source = args.data or config["data"]
    data = load_data(source, args.skip_unreadable or config["skip_unreadable"], verbose=not args.json)
    if list(data.class_names) != config["class_names"]:
        raise ValueError(f"{source}: its classes {data.class_names} are not the run's {tuple(config['class_names'])}.")
    part = next(part for part in ("test", "validation", "train") if getattr(data, part) is not None)
    images = getattr(data, part)
    channels = 3 if images.are_files else images.pixels.shape[-1]
    if channels != config["image_shape"][-1]:
        raise ValueError(f"{source}: images of {channels} channels; the run's model takes {config['image_shape'][-1]}.")
    recipe = Recipe(**{**config["recipe"], "image_size": tuple(config["image_shape"][:2])})
    batches = recipe.dataset(images, training=False)
    model = run.load_model()
    return lambda: _evaluate(model, batches, part, args.json)


def _evaluate(model, batches, part, as_json):
    scores = model.evaluate(batches, verbose=0 if as_json else "auto", return_dict=True)
    facts = {"part": part, "images": len(batches.images), **scores}
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        print(f"{facts['images']} {part} images: accuracy {facts['accuracy']:.4f}, loss {facts['loss']:.4f}")
