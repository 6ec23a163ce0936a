"""The data of a run, or other data for its model: loaded, and held against what the model takes."""

from keras_convnext.data import load_data


def load_run_data(config, source=None, skip_unreadable=False, verbose=True):
    """Loads the data that a run's `config.json` names, or another source of the same classes and channels.

    Raises:
        ValueError: other classes, or images of another number of channels; and as `load_data`.
    """
    source = source or config["data"]
    data = load_data(source, skip_unreadable or config["skip_unreadable"], verbose)
    if list(data.class_names) != config["class_names"]:
        raise ValueError(f"{source}: its classes {data.class_names} are not the run's {tuple(config['class_names'])}.")
    channels = 3 if data.train.are_files else data.train.pixels.shape[-1]
    if channels != config["image_shape"][-1]:
        raise ValueError(f"{source}: images of {channels} channels; the run's model takes {config['image_shape'][-1]}.")
    return data
