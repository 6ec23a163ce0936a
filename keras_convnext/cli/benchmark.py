"""Times this package's models against those of other packages: in turn, each in a separate process.

The result is our time divided by theirs, as the median over the rounds. The spread is half the interquartile range over
the rounds, divided by the median; a warning is printed if it is too wide for the median to mean much. With --sweep, the
command instead draws how time grows with the size of the images or of the batch. With --runtime, our model and timm's
are also exported, and timed in the runtimes that are named.

Examples:

    keras-convnext benchmark --backend tensorflow,jax,torch --against timm
    keras-convnext benchmark --task train --variant convnext_atto --batch 16
    keras-convnext benchmark --runtime onnxruntime,openvino,litert --batch 1
"""

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import keras

from keras_convnext.benchmarking.attention_models import ATTENTION_MODELS, check_size
from keras_convnext.benchmarking.case import DEVICES, DTYPES, TASKS, Case
from keras_convnext.benchmarking.compare import compare, timing_facts
from keras_convnext.benchmarking.device import call_without_gpu
from keras_convnext.benchmarking.packages import CLASSES, LIMITS, OUR_FORMS, OURS, PACKAGES, PEERS, macs
from keras_convnext.benchmarking.runtimes import PEER, RUNTIMES
from keras_convnext.benchmarking.spread import spread_warning
from keras_convnext.benchmarking.sweep import draw_sweep
from keras_convnext.benchmarking.turns import time_in_turn
from keras_convnext.cli.arguments import INTERRUPTED, check_new_figure, positive
from keras_convnext.cli.source import load
from keras_convnext.export import FORMATS
from keras_convnext.extras import BACKENDS, is_installed, require
from keras_convnext.models import find_model, variant_of
from keras_convnext.profiling import count
from keras_convnext.variants import get_variant

SWEEPS = {"size": (96, 128, 160, 192, 224, 288, 384), "batch": (1, 2, 4, 8, 16, 32)}


def add_arguments(parser):
    parser.add_argument(
        "--variant",
        default="convnext_tiny",
        help="a name that `list` prints, a file or a run folder (default: convnext_tiny)",
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        default="forward",
        help="what to time: a forward pass or a training step (default: forward)",
    )
    parser.add_argument("--batch", type=positive, help="images per step; 1 for latency (default: 8)")
    parser.add_argument("--size", type=positive, help="side of the images in pixels (default: as published)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="floating-point type (default: float32)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="device to run on (default: cpu)")
    parser.add_argument(
        "--backend", default=keras.backend.backend(), help="comma-separated backends for our models (default: Keras's)"
    )
    parser.add_argument(
        "--also",
        default="",
        help="comma-separated further forms of our model: remat, distributed, two-processes (training); exported "
        "(torch)",
    )
    parser.add_argument(
        "--runtime",
        default="",
        help=f"comma-separated runtimes for exported models: {', '.join(RUNTIMES)} (forward pass, float32, CPU)",
    )
    parser.add_argument(
        "--against",
        help=f"comma-separated: {', '.join(PEERS)} (default; none in a sweep), {', '.join(ATTENTION_MODELS)}; with "
        f"--runtime only {PEER}",
    )
    parser.add_argument("--rounds", type=positive, default=15, help="number of rounds (default: 15)")
    parser.add_argument("--sweep", choices=SWEEPS, help="time over several sizes or batches, and draw the result")
    parser.add_argument("--values", type=_numbers, help="comma-separated sweep values, such as 128,256,512")
    parser.add_argument("--output", help="new image file of a sweep (default: benchmark-SWEEP.png)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def prepare(args):
    _check_sweep(args)
    args.variant, image_size = _architecture(args.variant, args.device)
    size = args.size or image_size
    backends = _names(args.backend, BACKENDS, "--backend")
    if not backends:
        raise ValueError(f"--backend: expected some of {', '.join(BACKENDS)}.")
    runtimes = _runtimes(args)
    comparable = (PEER,) if runtimes else PEERS
    by_default = "" if args.sweep else ",".join(comparable)
    against = by_default if args.against is None else args.against
    peers = _names(against, comparable if runtimes else (*PEERS, *ATTENTION_MODELS), "--against")
    for backend in backends:
        require(backend, extra=backend)
    forms = ["", *_names(args.also, OUR_FORMS, "--also")]
    for form in set(forms) - {"", "exported"}:
        if args.task != "train":
            raise ValueError(f"--also {form}: only with --task train.")
    if "two-processes" in forms and args.device == "gpu":
        raise ValueError("--also two-processes: only with --device cpu.")
    if "exported" in forms and (args.task != "forward" or "torch" not in backends):
        raise ValueError("--also exported: only with --task forward and --backend torch.")
    ours = [
        Case(OURS, backend, form, args.task, args.variant, args.batch or 8, size, args.dtype, args.device)
        for backend in backends
        for form in forms
        if form != "exported" or backend == "torch"
    ]
    ours += [
        replace(ours[0], backend=writer, form=runtime)
        for runtime in runtimes
        for writer in dict.fromkeys(FORMATS[RUNTIMES[runtime].format].writer(backend) for backend in backends)
    ]
    if set(peers) & set(ATTENTION_MODELS):
        require("keras_hub", extra="hub")
    missing = [name for name in peers if not is_installed(PACKAGES[name].module)]
    others = [
        replace(ours[0], package=name, backend=backend, form=form, variant=_variant_for(name, args.variant))
        for name in (*peers, *(() if args.sweep else LIMITS))
        if name not in missing
        for backend in ([PACKAGES[name].backend] if PACKAGES[name].backend else backends)
        for form in (_peer_runtimes(runtimes) if runtimes and name in peers else PACKAGES[name].forms)
    ]
    if args.sweep:
        return _prepare_sweep(args, ours + others, missing)
    _check(ours + others)
    return lambda: _compare(args, ours + others, missing)


def _runtimes(args):
    """The runtimes that are named, which must be installed."""
    runtimes = _names(args.runtime, RUNTIMES, "--runtime")
    if runtimes:
        for option, only in (("task", "forward"), ("dtype", "float32"), ("device", "cpu")):
            if getattr(args, option) != only:
                raise ValueError(f"--{option} {getattr(args, option)}: with --runtime only {only}.")
    for runtime in runtimes:
        require(FORMATS[RUNTIMES[runtime].format].runtime, extra="export")
    return runtimes


def _peer_runtimes(runtimes):
    return [runtime for runtime in runtimes if RUNTIMES[runtime].write_torch]


def _architecture(name, device):
    """The variant of a preset, a file or a run folder, and the size of its images. Its weights do not matter here."""
    named = find_model(name)
    if named.path is None:
        return named.variant, (named.checkpoint or get_variant(named.variant)).image_size
    if device == "gpu":
        return call_without_gpu(f"{__name__}:_architecture_of_file", str(named.path), name)
    return _architecture_of_file(named.path, name)


def _architecture_of_file(path, name):
    model = load(path).model
    variant = variant_of(model)
    if variant is None:
        raise ValueError(f"{name}: expected a variant that `keras-convnext list` prints, got another architecture.")
    return variant, model.input_shape[2] or get_variant(variant).image_size


def _prepare_sweep(args, cases, missing):
    values = sorted(set(args.values or SWEEPS[args.sweep]))
    cases = {value: [replace(case, **{args.sweep: value}) for case in cases] for value in values}
    for of_a_value in cases.values():
        _check(of_a_value)
    return lambda: _sweep(args, cases, missing)


def _check_sweep(args):
    """Refuses options that would have no effect, and a figure that could not be drawn."""
    if not args.sweep:
        given = [name for name in ("values", "output") if getattr(args, name) is not None]
        if given:
            raise ValueError(f"--{given[0]}: only with --sweep.")
        return
    if getattr(args, args.sweep) is not None:
        raise ValueError(f"--{args.sweep}: the sweep sets it; give --values instead.")
    check_new_figure(_output(args))


def _output(args):
    return Path(f"benchmark-{args.sweep}.png" if args.output is None else args.output)


def _variant_for(package, variant):
    return "" if package in ATTENTION_MODELS else variant


def _check(cases):
    """Refuses images that a model does not take. Counting our model raises an error for such images."""
    for case in cases:
        if case.package in ATTENTION_MODELS:
            check_size(case.package, case.size)
        if case.package == OURS:
            macs(case)


def _numbers(text):
    return tuple(positive(number) for number in text.split(","))


def _names(text, known, option):
    names = list(dict.fromkeys(name for name in text.split(",") if name))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{option}: expected some of {', '.join(known)}, got {', '.join(unknown)}.")
    return names


def _compare(args, cases, missing):
    report = compare(cases, args.rounds, progress=_progress)
    is_interrupted = report["rounds"] < args.rounds and len(report["skipped"]) < len(cases)
    code = INTERRUPTED if is_interrupted else 0 if report["timings"] else 1
    report["skipped"] += [{"package": name, "why": "not installed"} for name in missing]
    report["warnings"] = _warnings(
        (f"{row['ours']} / {row['other']}", row["spread"], report["rounds"]) for row in report["ratios"]
    )
    if args.json:
        print(json.dumps(report, indent=2))
        return code
    first = cases[0]
    print(
        f"{first.variant}, {first.task}, batch {first.batch}, {first.size} x {first.size}, {first.dtype}, "
        f"{first.device}; medians of {report['rounds']} rounds\n"
    )
    print(f"{'':38} {'ms':>9} {'spread':>7} {'images/s':>9} {'of peak':>8} {'MiB':>7} {'start s':>8}")
    for row in report["timings"]:
        peak = "" if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}"
        memory = "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:,.0f}"
        print(
            f"{row['name']:38} {row['milliseconds']:9.1f} {row['spread']:7.1%} {row['images_per_second']:9.1f} "
            f"{peak:>8} {memory:>7} {row['start_seconds']:8.1f}"
        )
    if limits := report["limits"]:
        print(f"\nthis machine: {limits['gflops']:,.0f} GFLOP/s multiplied, {limits['copy_gbytes']:.1f} GB/s copied")
    for row in report["timings"]:
        if row["form"] == "two-processes" and row["loopback_bytes"] is not None:
            print(
                f"\n{row['name']}: {row['loopback_bytes'] / 2**20:,.1f} MiB exchanged per step; the weights have "
                f"{4 * count(get_variant(row['variant']), CLASSES).params / 2**20:,.1f} MiB"
            )
    print("\nour time divided by theirs")
    for row in report["ratios"]:
        print(f"{row['ours']:38} / {row['other']:38} {row['ratio']:7.3f}  spread {row['spread']:.0%}")
    for row in report["skipped"]:
        print(f"skipped {row['package']}: {row['why']}")
    for warning in report["warnings"]:
        print(f"warning: {warning}")
    return code


def _warnings(measured):
    """The warnings about several measurements, each of which is a name, a spread and a number of rounds."""
    return [warning for one in measured if (warning := spread_warning(*one))]


def _sweep(args, cases, missing):
    timings, skipped = [], [{"package": name, "why": "not installed"} for name in missing]
    code = INTERRUPTED
    with contextlib.suppress(KeyboardInterrupt):  # what was measured counts
        for value, of_a_value in cases.items():
            _progress(f"{args.sweep} {value}")
            some, failures = time_in_turn(of_a_value, args.rounds, _progress)
            timings += some
            skipped += [{"package": str(case), args.sweep: value, "why": why} for case, why in failures.items()]
            if len(some) + len(failures) < len(of_a_value) or any(len(one.seconds) < args.rounds for one in some):
                break  # Ctrl-C
        else:
            code = 0 if timings else 1
    warnings = _warnings(
        (f"{timing.case} at {args.sweep} {getattr(timing.case, args.sweep)}", timing.spread, len(timing.seconds))
        for timing in timings
    )
    if args.json:
        facts = [timing_facts(timing) for timing in timings]
        print(json.dumps({"timings": facts, "skipped": skipped, "warnings": warnings}, indent=2))
    else:
        for timing in timings:
            value = getattr(timing.case, args.sweep)
            print(
                f"{timing.case!s:28} {args.sweep} {value:4} {macs(timing.case) / 1e9:8.2f} GMACs "
                f"{1e3 * timing.median:9.1f} ms {timing.spread:6.1%}"
            )
        for row in skipped:
            at = f", {args.sweep} {row[args.sweep]}" if args.sweep in row else ""
            print(f"skipped {row['package']}{at}: {row['why']}")
        for warning in warnings:
            print(f"warning: {warning}")
    if timings:
        draw_sweep(timings, args.sweep, _output(args))
        if not args.json:
            print(_output(args))
    return code


def _progress(text):
    print(text, file=sys.stderr)
