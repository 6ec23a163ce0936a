"""The processes that each launcher names."""

import pytest

from keras_convnext.training.engine.launch import Launch, first_host, read_launch

pytestmark = pytest.mark.once

TORCHRUN = {"WORLD_SIZE": "4", "RANK": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "node7", "MASTER_PORT": "29400"}
KERAS = {
    "KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1:1234,10.0.0.2:1234",
    "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    "KERAS_DISTRIBUTION_PROCESS_ID": "1",
}
SLURM = {"SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_JOB_NODELIST": "gpu[07-08]"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Launch()),
        (TORCHRUN, Launch(4, 2, 0, "node7:29400")),
        (KERAS, Launch(2, 1, 0, "10.0.0.1:1234")),
        (KERAS | {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1,a:2"}, Launch(2, 1, 1, "a:1")),
        (KERAS | {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1"}, Launch(2, 1, 0, "a:1")),
        (SLURM, Launch(8, 5, 1, "gpu07:29500")),
        (SLURM | {"MASTER_ADDR": "login", "MASTER_PORT": "1"}, Launch(8, 5, 1, "login:1")),
        (SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, Launch()),
        (TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}, Launch()),
    ],
)
def test_reads_what_the_launcher_set(environment, expected):
    assert read_launch(environment) == expected


@pytest.mark.parametrize(
    ("nodes", "host"),
    [("gpu1", "gpu1"), ("gpu[01,03-04]", "gpu01"), ("a-[1-2]-x,b3", "a-1-x"), ("node12,node13", "node12")],
)
def test_the_first_host_of_slurms_list(nodes, host):
    assert first_host(nodes) == host


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set, and RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT must be set too"),
        (KERAS | {"KERAS_DISTRIBUTION_PROCESS_ID": "x"}, "KERAS_DISTRIBUTION_PROCESS_ID must be a number"),
        (TORCHRUN | {"RANK": "4"}, "process 4 of 4: expected a number from 0 to 3"),
        (KERAS | {"KERAS_DISTRIBUTION_JOB_ADDRESSES": "10.0.0.1"}, "as host:port. Received: 10.0.0.1"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, "neither SLURM_STEP_NODELIST nor SLURM_JOB_NODELIST"),
    ],
)
def test_refuses_incomplete_variables(environment, message):
    with pytest.raises(ValueError, match=message):
        read_launch(environment)
