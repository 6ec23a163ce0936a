"""How many processes a launcher started, and which of them this is: torchrun, Slurm, or Keras's own variables."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

PORT = 29500
"""The port of the first process under Slurm, which names hosts and no port. It is torchrun's default."""


@dataclass(frozen=True)
class Launch:
    """The processes of a training.

    Attributes:
        processes: number of processes.
        index: which of them this is, from 0.
        local_index: which of those on this host this is, from 0.
        address: `host:port` at which process 0 waits for the others; None for a single process.
    """

    processes: int = 1
    index: int = 0
    local_index: int = 0
    address: str | None = None


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """Reads the processes from the variables that the launcher set.

    Args:
        environment: the variables: those of torchrun (`WORLD_SIZE`, `RANK`, `LOCAL_RANK`, `MASTER_ADDR`,
            `MASTER_PORT`), of Keras (`KERAS_DISTRIBUTION_JOB_ADDRESSES`, `KERAS_DISTRIBUTION_NUM_PROCESSES`,
            `KERAS_DISTRIBUTION_PROCESS_ID`), or of Slurm's `srun`. Defaults to the environment.

    Returns:
        A `Launch`; of one process if there are no such variables.

    Raises:
        ValueError: some of the variables are missing, or a value is not a number; the message names it.

    Example:

    >>> from keras_convnext.training.engine.launch import read_launch
    >>> read_launch({"SLURM_NTASKS": "8", "SLURM_PROCID": "3", "SLURM_STEP_NODELIST": "gpu[07-08]"}).address
    'gpu07:29500'
    """
    for names, read in ((KERAS, _of_keras), (TORCHRUN[:1], _of_torchrun), (("SLURM_PROCID",), _of_slurm)):
        if any(name in environment for name in names):
            launch = read(environment)
            if not 0 <= launch.index < launch.processes:
                raise ValueError(
                    f"The launcher's variables name process {launch.index} of {launch.processes}: expected a number "
                    f"from 0 to {launch.processes - 1}."
                )
            if launch.processes > 1 and not re.fullmatch(r".+:\d+", str(launch.address)):
                raise ValueError(f"Expected the address of process 0 as host:port. Received: {launch.address}")
            return launch if launch.processes > 1 else Launch()
    return Launch()


KERAS = (
    "KERAS_DISTRIBUTION_NUM_PROCESSES",
    "KERAS_DISTRIBUTION_PROCESS_ID",
    "KERAS_DISTRIBUTION_JOB_ADDRESSES",
)
TORCHRUN = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def _of_keras(environment):
    count, index, addresses = _all_of(environment, KERAS)
    hosts = addresses.split(",")  # of every process, or of the first one
    own = hosts[: _number("KERAS_DISTRIBUTION_PROCESS_ID", index) + 1]
    local = [host.partition(":")[0] for host in own].count(own[-1].partition(":")[0]) - 1
    return Launch(_number(KERAS[0], count), _number(KERAS[1], index), local if len(hosts) > 1 else 0, hosts[0])


def _of_torchrun(environment):
    count, index, local, host, port = _all_of(environment, TORCHRUN)
    numbers = [_number(name, text) for name, text in zip(TORCHRUN, (count, index, local), strict=False)]
    return Launch(*numbers, address=f"{host}:{port}")


def _of_slurm(environment):
    count = _number("SLURM_NTASKS", environment.get("SLURM_STEP_NUM_TASKS") or environment.get("SLURM_NTASKS", "1"))
    index = _number("SLURM_PROCID", environment["SLURM_PROCID"])
    local = _number("SLURM_LOCALID", environment.get("SLURM_LOCALID", "0"))
    if count == 1:
        return Launch()
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    if not nodes:
        raise ValueError("Slurm started several processes, and neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST.")
    host, port = environment.get("MASTER_ADDR") or first_host(nodes), environment.get("MASTER_PORT") or PORT
    return Launch(count, index, local, f"{host}:{port}")


def first_host(nodes: str) -> str:
    """Returns the first host of Slurm's list of nodes, such as `gpu[07-08,12],login1`.

    Example:

    >>> from keras_convnext.training.engine.launch import first_host
    >>> first_host("gpu[07-08,12],login1")
    'gpu07'
    """
    first = re.match(r"[^,\[]+(\[[^\]]*\])?[^,\[]*", nodes)
    if first is None:
        raise ValueError(f"Expected Slurm's list of nodes, such as gpu[07-08]. Received: {nodes!r}")
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0])


def _all_of(environment, names):
    missing = [name for name in names if name not in environment]
    if missing:
        present = next(name for name in names if name in environment)
        raise ValueError(f"The variable {present} is set, and {', '.join(missing)} must be set too.")
    return [environment[name] for name in names]


def _number(name, text):
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"The variable {name} must be a number. Received: {text!r}") from error
