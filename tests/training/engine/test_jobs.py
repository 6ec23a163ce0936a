"""The job files in examples/jobs: what schedulers need of them, and their own commands in processes on this machine.

Stand-ins for `srun` and `scontrol` do what Slurm does; what Kubernetes sets is set for the container's command.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import psutil
import pytest
import yaml

from keras_convnext.training import Run

BACKEND = keras.backend.backend()
JOBS = Path(__file__).parents[3] / "examples" / "jobs"
SLURM = sorted(JOBS.glob("slurm_*.sbatch"))
KUBERNETES = sorted(JOBS.glob("kubernetes_*.yaml"))
ENGINE = "torch" if BACKEND == "torch" else "jax"
"""Of the files, the one for this backend: JAX's is TensorFlow's too."""

PROCESSES = 1 if BACKEND == "tensorflow" else 2
FIRST_LINE = f"{PROCESSES} process{'es' if PROCESSES > 1 else ''}, {PROCESSES} device{'s' if PROCESSES > 1 else ''}: "
SECONDS = 240

STAND_INS = {
    "keras-convnext": 'exec "$PYTHON" "$WITH_TINY" "$@"',
    "torchrun": 'exec "$PYTHON" -m torch.distributed.run "$@"',
    "scontrol": 'echo "$@" >> scontrol.log',
    "srun": """
while [[ $1 == --* ]]; do shift; done
export SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=$SLURM_NNODES SLURM_STEP_NUM_TASKS=$SLURM_NTASKS
for ((task = 0; task < SLURM_NTASKS; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$((task % SLURM_NTASKS_PER_NODE)) "$@" &
    echo $! > "task-$task.pid"
done
worst=0
for ((task = 0; task < SLURM_NTASKS; task++)); do
    wait "$(< "task-$task.pid")"
    code=$?
    worst=$((code > worst ? code : worst))
done
exit $worst
""",
}


@pytest.fixture
def environment(tmp_path):
    """Variables with which a job finds the stand-ins and trains a tiny variant."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, lines in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{lines}\n")
        (folder / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WITH_TINY": str(Path(__file__).with_name("with_tiny.py")),
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_DEVICES": "1",
        "JAX_LOGGING_LEVEL": "INFO",
    }


def free_port(first=0):
    with socket.socket() as free:
        free.bind(("localhost", first))
        return free.getsockname()[1]


def wait_for_epoch(run, processes):
    """Waits until an epoch is complete."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and any(process.poll() is None for process in processes):
        if run.last_state is not None:
            return
        time.sleep(0.02)
    for process in processes:
        process.kill()
    pytest.fail("\n\n".join(process.communicate()[0] for process in processes)[-6000:])


class TestSlurm:
    @pytest.mark.once
    @pytest.mark.parametrize("path", SLURM, ids=lambda path: path.name)
    def test_the_shell_reads_it_and_slurm_all_its_options(self, path):
        subprocess.run(["bash", "-n", path], check=True)
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        before_commands = lines[: next(place for place, line in enumerate(lines) if not line.startswith("#"))]
        assert [line for line in lines if line.startswith("#SBATCH")] == [
            line for line in before_commands if line.startswith("#SBATCH")
        ]
        assert len({line for line in before_commands if line.startswith("#SBATCH")}) == 10

    @pytest.fixture
    def submit(self, environment, settings, tmp_path):
        """A function: starts the job, as Slurm does, for the time that it says; returns its process."""
        text = (JOBS / f"slurm_{ENGINE}.sbatch").read_text()
        changes = {
            r"#SBATCH --nodes=.*": f"#SBATCH --nodes={PROCESSES}",
            r"#SBATCH --ntasks-per-node=.*": "#SBATCH --ntasks-per-node=1",
            r"TRAINING=\(.*\)": f"TRAINING=(--settings {settings(epochs=4)})",
            r"export KERAS_BACKEND=.*": f"export KERAS_BACKEND={BACKEND}",
        }
        for pattern, line in changes.items():
            text, count = re.subn(f"^{pattern}$", line, text, flags=re.MULTILINE)
            assert count == 1, pattern
        script = tmp_path / "slurm_script"
        script.write_text(text)
        job = next(number for number in range(1000, 10_000) if is_free(20_000 + number))

        def start(restarts):
            variables = {
                "SLURM_JOB_ID": str(job),
                "SLURM_JOB_NAME": re.search(r"--job-name=(.*)", text)[1],
                "SLURM_NNODES": str(PROCESSES),
                "SLURM_NTASKS": str(PROCESSES),
                "SLURM_NTASKS_PER_NODE": "1",
                "SLURM_JOB_NODELIST": "localhost",
                "SLURM_CPUS_PER_TASK": "1",
                **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}),
            }
            return subprocess.Popen(
                ["bash", script],
                cwd=tmp_path,
                env=environment | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

        start.job = job
        start.run = Run(tmp_path / "runs" / f"convnext-{job}")
        return start

    @pytest.mark.slow
    def test_it_starts_asks_for_a_restart_resumes_and_ends(self, submit, tmp_path):
        run, requeued = submit.run, tmp_path / "scontrol.log"
        tasks = [tmp_path / f"task-{task}.pid" for task in range(PROCESSES)]
        job = submit(0)
        wait_for_epoch(run, [job])
        job.send_signal(signal.SIGUSR1)  # the time limit is near
        assert job.wait(timeout=SECONDS) == 0
        assert requeued.read_text() == f"requeue {submit.job}\n"
        for task in tasks:  # which Slurm does then
            os.kill(int(task.read_text()), signal.SIGKILL)
        printed, _ = job.communicate()
        assert FIRST_LINE in printed
        assert "with visible devices" not in printed  # JAX's own words, where it hides GPUs from a process

        for restarts in (1, 2):
            job = submit(restarts)
            printed, _ = job.communicate(timeout=SECONDS)
            assert job.returncode == 0, printed[-3000:]
            assert (FIRST_LINE in printed) == (restarts == 1)  # the second time nothing is left to do
            assert run.metrics["epochs"] == 4
            assert len(run.read_csv("history.csv")) == 4
        assert requeued.read_text().count("requeue") == 1

    @pytest.mark.slow
    @pytest.mark.parametrize("failures", [4, 5])
    def test_a_lost_process_makes_slurm_start_the_job_again_five_times(self, submit, tmp_path, failures):
        submit.run.path.parent.mkdir()
        submit.run.path.with_name(f"{submit.run.path.name}.failures").write_text("exit code 1\n" * failures)
        job = submit(0)
        wait_for_epoch(submit.run, [job])
        os.kill(int((tmp_path / f"task-{PROCESSES - 1}.pid").read_text()), signal.SIGKILL)
        job.communicate(timeout=SECONDS)
        assert job.returncode not in (0, 2)
        assert submit.run.metrics is None
        assert (tmp_path / "scontrol.log").exists() == (failures == 4)

    @pytest.mark.slow
    def test_a_refused_setting_ends_the_job(self, submit, tmp_path):
        script = tmp_path / "slurm_script"
        script.write_text(re.sub(r"TRAINING=\(.*\)", "TRAINING=(--data nowhere.npz)", script.read_text()))
        job = submit(0)
        printed, _ = job.communicate(timeout=SECONDS)
        assert job.returncode == 2, printed
        assert "nowhere.npz" in printed
        assert not (tmp_path / "scontrol.log").exists()


def is_free(port):
    try:
        return free_port(port) == port
    except OSError:
        return False


def read(path):
    """The settings, the service and the job of a file for Kubernetes."""
    documents = list(yaml.safe_load_all(path.read_text()))
    assert [document["kind"] for document in documents] == ["ConfigMap", "Service", "Job"]
    return documents


class TestKubernetes:
    @pytest.mark.once
    @pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
    def test_it_has_what_kubernetes_needs(self, path):
        settings, service, job = read(path)
        assert [document["apiVersion"] for document in (settings, service, job)] == ["v1", "v1", "batch/v1"]
        name, spec = job["metadata"]["name"], job["spec"]
        assert spec["completionMode"] == "Indexed"
        assert spec["completions"] == spec["parallelism"] == int(settings["data"]["HOSTS"])
        pod = spec["template"]["spec"]
        assert service["spec"]["clusterIP"] == "None"  # a word, not YAML's null
        assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": name}
        assert pod["subdomain"] == service["metadata"]["name"]
        assert settings["data"]["FIRST_HOST"] == f"{name}-0.{service['metadata']['name']}"
        assert pod["restartPolicy"] == "OnFailure"
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
        assert all(isinstance(value, str) for value in settings["data"].values())
        gpus = container["resources"]["limits"]["nvidia.com/gpu"]
        assert int(settings["data"].get("GPUS", gpus)) == gpus
        mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
        assert settings["data"]["RUN"].startswith(mounted["shared"])
        assert ("/dev/shm" in mounted.values()) == ("torch" in path.name)
        assert container["command"] == ["bash", "-c"]
        (script,) = container["args"]
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert "$(" not in script  # Kubernetes would replace it

    @pytest.mark.once
    def test_both_choose_alike_between_start_and_resume(self):
        scripts = [read(path)[2]["spec"]["template"]["spec"]["containers"][0]["args"][0] for path in KUBERNETES]
        starts = {script[: script.index("\nfi\n")] for script in scripts}
        assert len(scripts) == 2 and len(starts) == 1

    @pytest.fixture
    def start(self, environment, settings, tmp_path):
        """A function: starts the container's command once per pod; returns the processes."""
        config, _, job = read(JOBS / f"kubernetes_{ENGINE}.yaml")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        variables = {
            **config["data"],
            "RUN": str(tmp_path / "run"),
            "TRAINING": f"--settings {settings(epochs=4)}",
            "HOSTS": str(PROCESSES),
            "GPUS": "1",
            "FIRST_HOST": "localhost",
            "PORT": str(free_port()),
            "KERAS_BACKEND": BACKEND,
        }

        def start_pods():
            return [
                subprocess.Popen(
                    container["command"] + container["args"],
                    cwd=tmp_path,
                    env=environment | variables | {"JOB_COMPLETION_INDEX": str(index)},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                for index in range(PROCESSES)
            ]

        return start_pods

    @pytest.mark.once
    def test_it_starts_resumes_after_a_lost_pod_and_ends(self, start, outputs_of, tmp_path):
        run = Run(tmp_path / "run")
        pods = start()
        wait_for_epoch(run, pods)
        lost = psutil.Process(pods[-1].pid)
        for process in [*lost.children(recursive=True), lost]:  # as when a container ends
            process.kill()
        printed = [pod.communicate(timeout=SECONDS)[0] for pod in pods]
        assert all(pod.returncode for pod in pods)
        assert FIRST_LINE in printed[0]
        if PROCESSES > 1:
            assert "Process 1 of 2 (counted from 0) ended" in printed[0]
        assert run.metrics is None

        printed = outputs_of(start())
        assert FIRST_LINE in printed[0]
        assert run.metrics["epochs"] == 4
        assert len(run.read_csv("history.csv")) == 4
        assert outputs_of(start()) == [""] * PROCESSES  # complete: nothing to do
