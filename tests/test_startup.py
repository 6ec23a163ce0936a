"""The command while it starts: a wrong backend, a broken `keras.json` and Ctrl-C end it with one line."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

import keras_convnext
from keras_convnext import startup
from keras_convnext.extras import UNTOUCHED, chosen_backend, import_keras
from keras_convnext.startup import COMMANDS

COMMAND = [sys.executable, "-m", "keras_convnext", "list", "convnext_atto"]
PROGRAM = [sys.executable, "-c", "import keras_convnext"]


def start(command, **environment):
    """Runs a program to its end: its exit code, and the lines on stderr that are not a library's log."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    return done.returncode, [line for line in done.stderr.splitlines() if "convnext" in line or "Error" in line]


@pytest.mark.once
@pytest.mark.parametrize("name", ["pytorch", "Torch", "nothing"])
def test_an_unknown_backend_takes_one_line(name):
    code, lines = start(COMMAND, KERAS_BACKEND=name)
    assert (code, len(lines)) == (2, 1)
    assert lines[0] == (
        f"keras-convnext: KERAS_BACKEND: Keras has no backend {name!r}. Expected tensorflow, jax or torch."
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backend": "pytorch"}, "Keras has no backend 'pytorch'. Expected tensorflow, jax or torch."),
        ([], "expected an object of Keras's settings"),
        ({"floatx": "float8"}, "Keras does not take floatx='float8'"),
        ({"epsilon": "small"}, "Keras does not take epsilon='small'"),
        ({"image_data_format": "last"}, "Keras does not take image_data_format='last'"),
    ],
)
def test_a_broken_keras_json_takes_one_line_that_names_it(tmp_path, monkeypatch, settings, message):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    code, lines = start(COMMAND, KERAS_HOME=str(tmp_path))
    assert (code, len(lines)) == (2, 1), lines
    assert lines[0].startswith(f"keras-convnext: {tmp_path / 'keras.json'}: {message}")


@pytest.mark.once
def test_a_program_that_imports_the_package_gets_the_same_as_an_error():
    code, lines = start(PROGRAM, KERAS_BACKEND="pytorch")
    assert code == 1
    assert lines[-1] == "ValueError: KERAS_BACKEND: Keras has no backend 'pytorch'. Expected tensorflow, jax or torch."


def test_a_backend_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'jax'", name="jax")

    monkeypatch.setattr("importlib.import_module", missing)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(
        ModuleNotFoundError, match=r'KERAS_BACKEND names, needs jax, .*pip install "keras-convnext\[jax'
    ):
        import_keras()


def test_a_backend_that_is_broken_is_named(monkeypatch):
    def broken(name):
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setattr("importlib.import_module", broken)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(ImportError, match=r"backend torch, .* cannot be imported: libtorch\.so: cannot open"):
        import_keras()


def test_a_program_without_a_chosen_backend_is_told_what_is_installed(hide_packages, tmp_path, backend):
    """Keras has noted `tensorflow` in a new keras.json by then. A library sets nothing on import."""
    installed = "torch" if backend == "tensorflow" else backend  # TensorFlow is Keras's own choice
    hidden = hide_packages({"tensorflow", "jax", "jaxlib", "torch"} - {installed, f"{installed}lib"})
    done = run_program(hidden + "import keras_convnext", tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == (
        f"ModuleNotFoundError: Keras's backend tensorflow, which {tmp_path / 'keras.json'} names, needs tensorflow, "
        f"which is not installed. Installed: {installed}. Set it before Keras is imported: "
        f"KERAS_BACKEND={installed} in the environment, or "
        f'`os.environ["KERAS_BACKEND"] = "{installed}"` in the program. Or: pip install "keras-convnext[tensorflow]"'
    )


# The program sends the signal to itself as soon as Keras's import has begun.
INTERRUPTED = """
import os, runpy, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["/somewhere/keras-convnext", "list"]
from keras_convnext.cli import main
print("imported")
sys.exit(main())
"""


@pytest.mark.once
def test_ctrl_c_amid_the_imports_ends_the_command_with_130():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.strip() == "keras-convnext: interrupted."


def test_ctrl_c_of_other_programs_is_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    before = signal.getsignal(signal.SIGINT)
    startup.exit_on_interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_is_the_commands_again_once_it_runs(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/env/bin/keras-convnext", "list"])
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        startup.exit_on_interrupt()
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        startup.restore_interrupts()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (["/env/bin/keras-convnext", "list"], [], True),
        (["keras-convnext.exe"], [], True),
        (["-m", "list"], ["python", "-u", "-m", "keras_convnext", "list"], True),
        ([str(startup.MODULE), "list"], ["python", "-m", "keras_convnext", "list"], True),
        (["-m"], ["python", "-m", "pytest"], False),
        (["train.py", "keras_convnext"], ["python", "train.py", "keras_convnext"], False),
        (["-c"], ["python", "-c", "import keras_convnext"], False),
        ([], [], False),
    ],
)
def test_the_command_is_told_from_other_programs(monkeypatch, argv, original, expected):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert startup.is_command() is expected


# === What is answered before Keras is imported

IMPORTS = """
import sys
sys.argv = ["/env/bin/keras-convnext", *sys.argv[1:]]
try:
    from keras_convnext.cli import main
    main()
except SystemExit as ended:
    print("code", ended.code)
print("modules", *sorted(sys.modules))
"""


def answer(*arguments):
    """What the command prints, with the code that it ends with last; and the modules that it imported."""
    done = subprocess.run([sys.executable, "-c", IMPORTS, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *lines, modules = done.stdout.splitlines()
    return done.stderr.splitlines() + lines, modules.split()[1:]


@pytest.mark.once
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["fly"]], ids=str)
def test_it_imports_few_modules_of_ours_and_nothing_of_others(arguments):
    lines, modules = answer(*arguments)
    assert len(lines) >= 2
    assert lines[-1] == ("code 2" if arguments in ([], ["fly"]) else "code 0")
    ours = [name for name in modules if name.partition(".")[0] == "keras_convnext"]
    assert ours == [f"keras_convnext{part}" for part in (".extras", ".log_lines", ".parser", ".startup", ".version")]
    others = {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"keras_convnext"}
    assert not others & {"keras", "numpy", "h5py", "tensorflow", "jax", "torch", "PIL", "matplotlib"}


@pytest.mark.once
def test_the_version():
    lines, _ = answer("--version")
    assert lines == [f"keras-convnext {keras_convnext.__version__}", "code 0"]


@pytest.mark.once
def test_a_commands_help_imports_its_own_file_alone():
    _, modules = answer("train", "--help")
    commands = [name.rpartition(".")[2] for name in modules if name.startswith("keras_convnext.cli.")]
    assert set(commands) & set(COMMANDS) == {"train"}
    assert not [name for name in modules if name.startswith("keras_convnext.benchmarking")]


@pytest.mark.once
@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_the_first_line_of_a_commands_docstring(name):
    module = importlib.import_module(f"keras_convnext.cli.{name}")
    assert COMMANDS[name] == module.__doc__.partition("\n")[0]


# === The backend, where nobody chose one


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        (None, None, None),
        (UNTOUCHED, None, None),
        ({"backend": "jax"}, None, "jax"),
        ({**UNTOUCHED, "floatx": "float64"}, None, "tensorflow"),
        (UNTOUCHED, "torch", "torch"),
        ({"floatx": "float32"}, None, None),
    ],
)
def test_which_backend_was_chosen(tmp_path, monkeypatch, settings, environment, expected):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if environment:
        monkeypatch.setenv("KERAS_BACKEND", environment)
    if settings is not None:
        (tmp_path / "keras.json").write_text(json.dumps(settings))
    assert chosen_backend() == expected


RUN_COMMAND = """
sys.argv[0] = "/env/bin/keras-convnext"
from keras_convnext.cli import main
sys.exit(main())
"""


def run_program(program, home, *arguments):
    """A Python program in a process where nobody chose a backend, with Keras's settings in the folder `home`."""
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**environment, "KERAS_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_command(first_lines, home):
    return run_program(first_lines + RUN_COMMAND, home, "list", "convnext_atto")


@pytest.mark.slow
def test_without_tensorflow_it_takes_what_is_installed_and_says_so_each_time(hide_packages, tmp_path, backend):
    """Keras notes `tensorflow` in a new keras.json at its first import, whatever is installed."""
    hidden = hide_packages({"tensorflow", "jax", "jaxlib", "torch"} - {backend, f"{backend}lib"})
    for _ in range(2):
        done = run_command(hidden, tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("variant")
        lines = [line for line in done.stderr.splitlines() if line.startswith("keras-convnext")]
        said = f"keras-convnext: TensorFlow is not installed: using {backend}. KERAS_BACKEND chooses another."
        assert lines == ([] if backend == "tensorflow" else [said])


@pytest.mark.once
def test_without_any_backend_it_says_what_to_install(hide_packages, tmp_path):
    done = run_command(hide_packages({"tensorflow", "jax", "jaxlib", "torch"}), tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("keras-convnext")]
    assert 'needs tensorflow, which is not installed: pip install "keras-convnext[tensorflow]"' in line
