"""Timing in turn, on models that take milliseconds: what is kept, what is compared, what happens when a case fails."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.compare import compare
from keras_convnext.benchmarking.turns import Timing, ratios, time_in_turn


def silent(text):
    pass


@pytest.fixture
def case(backend):
    return Case("keras_convnext", backend, "", "forward", "convnext_mini", 2, 8, "float32", "cpu")


def timing(case, *seconds):
    return Timing(case, seconds, start_seconds=1.0, peak_bytes=0)


def test_ratio_compares_within_rounds(case):
    """A machine that is three times slower in the last round does not change it."""
    ours, other = timing(case, 1.0, 1.2, 3.0), timing(case, 2.0, 2.4, 6.0)
    assert ratios(ours, other) == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(("theirs", "ratio", "spread"), [((2.0, 2.4, 6.0), 0.5, 0.0), ((1.0, 0.6, 6.0), 1.0, 0.75)])
def test_a_ratio_comes_with_its_spread_between_rounds(case, monkeypatch, theirs, ratio, spread):
    other = replace(case, package="timm", backend="torch", form="compiled")
    timings = [timing(case, 1.0, 1.2, 3.0), timing(other, *theirs)]
    monkeypatch.setattr(sys.modules[compare.__module__], "time_in_turn", lambda *arguments: (timings, {}))
    (row,) = compare([case, other], 3, silent)["ratios"]
    assert (row["ratio"], row["spread"]) == (pytest.approx(ratio), pytest.approx(spread))
    assert len(row["round_ratios"]) == 3


def test_median_and_spread_are_those_of_the_rounds(case):
    assert timing(case, 4.0, 1.0, 2.0).median == 2.0
    assert timing(case, 1.0, 2.0, 3.0).spread == 0.5
    assert timing(case, 1.0).spread == 0.0


@pytest.mark.slow
def test_both_tasks_are_timed_in_turn(case):
    cases, lines = [case, replace(case, task="train")], []
    timings, failures = time_in_turn(cases, rounds=3, progress=lines.append)
    assert failures == {}
    assert [timing.case for timing in timings] == cases
    assert all(len(timing.seconds) == 3 and min(timing.seconds) > 0 for timing in timings)
    assert all(timing.peak_bytes is None or timing.peak_bytes > 0 for timing in timings)
    assert lines[-1] == "round 3 of 3"


@pytest.mark.slow
def test_a_case_that_fails_leaves_the_others(case):
    impossible = replace(case, package="keras.applications")
    timings, failures = time_in_turn([impossible, case], rounds=1, progress=silent)
    assert [timing.case for timing in timings] == [case]
    assert "keras.applications has no convnext_mini, only convnext_tiny" in failures[impossible]


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_the_others(case):
    """As the system does where memory runs out."""
    killed = replace(case, task="train")

    def kill(text):
        if text.startswith("round 2"):
            workers = ["pkill", "-KILL", "-P", str(os.getpid()), "-f", "benchmarking.worker.*train"]
            subprocess.run(workers, check=True)

    (timing,), failures = time_in_turn([killed, case], rounds=3, progress=kill)
    assert timing.case == case
    assert len(timing.seconds) == 3
    assert set(failures) == {killed}


@pytest.mark.once
def test_an_interrupt_keeps_the_whole_rounds(case):
    def interrupt(text):
        if text.startswith("round 3"):
            raise KeyboardInterrupt

    (timing,), _ = time_in_turn([case], rounds=100, progress=interrupt)
    assert len(timing.seconds) == 2


@pytest.mark.slow
def test_compare_sets_ours_against_the_machine(case):
    cases = [case, replace(case, package="matrix product"), replace(case, package="copy", backend="numpy")]
    report = compare(cases, rounds=2, progress=silent)
    (row,) = report["timings"]
    assert report["rounds"] == 2
    assert report["limits"]["gflops"] > 1
    assert report["limits"]["copy_gbytes"] > 0.1
    assert row["images_per_second"] == pytest.approx(2 / row["milliseconds"] * 1e3)
    flops = 2 * 3_893_248 * row["images_per_second"]
    assert row["share_of_peak"] == pytest.approx(flops / report["limits"]["gflops"] / 1e9)
    assert report["ratios"] == []
