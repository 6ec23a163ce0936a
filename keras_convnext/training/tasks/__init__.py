"""The tasks that a training may have. They share one training path, and each says here how it differs."""

from keras_convnext.training.tasks.classification import Classification
from keras_convnext.training.tasks.detection import Detection
from keras_convnext.training.tasks.segmentation import Segmentation
from keras_convnext.training.tasks.task import Start, Task

TASKS: dict[str, Task] = {task.name: task for task in (Classification(), Detection(), Segmentation())}
"""The tasks by name."""

__all__ = [
    "TASKS",
    "Classification",
    "Detection",
    "Segmentation",
    "Start",
    "Task",
    "find_task",
    "task_of",
]


def find_task(name: str) -> Task:
    """Returns a task.

    Args:
        name: a key of `TASKS`.

    Raises:
        ValueError: there is no such task.

    Example:

    >>> from keras_convnext.training.tasks import find_task
    >>> find_task("classification").score
    'accuracy'
    """
    if name not in TASKS:
        raise ValueError(f"`task` must be one of {', '.join(TASKS)}. Received: task={name!r}")
    return TASKS[name]


def task_of(config: dict) -> Task:
    """Returns the task of a run.

    Args:
        config: the content of the run's `config.json`. Runs of version 0.2.0 name no task: they are classification.

    Raises:
        ValueError: there is no such task.

    Example:

    >>> from keras_convnext.training.tasks import task_of
    >>> task_of({}).name
    'classification'
    """
    return find_task(config.get("task", Classification.name))
