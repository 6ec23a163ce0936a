"""Choosing the fastest of several functions that compute the same on a GPU, by timing them once per shape.

JAX traces a program with shapes alone. While it does, the functions are run on random arrays of these shapes, and the
program gets the fastest one.
"""

import os
import re
import sys
import time

import jax
import keras
from jax import numpy as jnp

from keras_convnext.kernels.jax.device import on_cuda
from keras_convnext.kernels.shared.exporting import is_serializing

ROUNDS, CALLS = 5, 30
"""The rounds in which a function is timed, and the calls in each round."""

TOLERANCE = 0.02
"""Of results, relative to their largest value: more than the rounding of bfloat16 and less than any mistake."""

DETERMINISTIC = re.compile(
    r"--xla_gpu_(deterministic_ops|exclude_nondeterministic_ops)(=(true|1))?(\s|$)", re.IGNORECASE
)


class Fastest:
    """The fastest of several functions for arrays of the same shapes and types.

    The first function is used without timing unless `may_choose`. Another function is not used for arguments of this
    kind if it raises one of `unusable`, or if its results differ from those of the first by more than `TOLERANCE`.

    Args:
        functions: functions of the same arguments: arrays first, then hashable values.
        measure: function of a function and its arguments that returns the seconds per call, and the results as a tuple.
            Defaults to `seconds_and_results`.
    """

    def __init__(self, *functions, measure=None):
        self._functions = functions
        self._measure = measure or seconds_and_results
        self._found = {}

    def __call__(self, *arguments):
        return self.choose(*arguments)(*arguments)

    def choose(self, *arguments):
        """The function to use for these arguments, which may be tracers."""
        if not may_choose(*filter(_is_array, arguments)):
            return self._functions[0]
        kind = tuple((argument.shape, argument.dtype) if _is_array(argument) else argument for argument in arguments)
        if kind not in self._found:
            self._found[kind] = self._fastest(_random(arguments))
        return self._found[kind]

    def _fastest(self, arguments):
        first, *others = self._functions
        measured = {function: self._try(function, arguments) for function in others}
        measured = {function: found for function, found in measured.items() if found is not None}
        if not measured or (of_first := self._try(first, arguments)) is None:
            return first
        seconds = {first: of_first[0]}
        for function, (duration, results) in measured.items():
            if all(_is_close(*pair) for pair in zip(results, of_first[1], strict=True)):
                seconds[function] = duration
        return min(seconds, key=seconds.get)

    def _try(self, function, arguments):
        try:
            return self._measure(function, arguments)
        except unusable():
            return None


def unusable():
    """The types of errors by which a function says that it cannot be used.

    A package may be missing (ImportError) or of another version (AttributeError). NotImplementedError and the errors of
    XLA are RuntimeErrors. Pallas has an error of its own for a function that it cannot compile.
    """
    errors = (ImportError, AttributeError, RuntimeError)
    # JAX does not export this error of its experimental part.
    lowering = sys.modules.get("jax._src.pallas.triton.lowering")
    return errors if lowering is None else (*errors, lowering.LoweringError)


def may_choose(*arrays):
    """Whether a function other than the first may be used for arrays, which may be tracers.

    It may not on devices other than Nvidia's GPUs, for symbolic shapes, or in a program that is serialized. Nor may it
    with several devices, in this process or in others, because XLA cannot divide a function that it did not compile;
    nor where XLA's flags ask for deterministic results, because these would differ between runs if the choice did.
    """
    return (
        on_cuda()
        and jax.device_count() == 1
        and keras.distribution.distribution() is None
        and not is_serializing()
        and not DETERMINISTIC.search(os.environ.get("XLA_FLAGS", ""))
        and all(isinstance(size, int) for array in arrays for size in array.shape)
    )


def seconds_and_results(function, arguments):
    """The seconds of a call in the fastest round, and the results of a call, as a tuple."""
    arrays = [argument for argument in arguments if _is_array(argument)]
    others = arguments[len(arrays) :]

    def call(arrays):
        results = function(*arrays, *others)
        return results if isinstance(results, tuple) else (results,)

    def repeat(arrays):
        def call_again(_, carry):
            arrays, results = carry
            # Adding nothing makes a call depend on the one before. Otherwise XLA would compute all of them once.
            nothing = 0 * sum(_first_element(result).astype("float32") for result in results)
            arrays = [array.at[(0,) * array.ndim].add(nothing.astype(array.dtype)) for array in arrays]
            return arrays, call(arrays)

        nothing_yet = jax.tree.map(lambda result: jnp.zeros(result.shape, result.dtype), jax.eval_shape(call, arrays))
        return jax.lax.fori_loop(0, CALLS, call_again, (arrays, nothing_yet))[1]

    # A compiled program runs at once. A call of a jitted function would be traced where the caller is traced.
    program = jax.jit(repeat).lower(arrays).compile()
    results = jax.block_until_ready(program(arrays))
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(program(arrays))
        rounds.append(time.perf_counter() - start)
    return min(rounds) / CALLS, results


def _first_element(array):
    return array[(0,) * array.ndim]


def _is_array(argument):
    return hasattr(argument, "shape")


def _random(arguments):
    """The arguments with random arrays in the place of arrays and tracers."""
    with jax.ensure_compile_time_eval():
        return [
            jax.random.normal(jax.random.key(number), each.shape, each.dtype) if _is_array(each) else each
            for number, each in enumerate(arguments)
        ]


def _is_close(found, expected):
    with jax.ensure_compile_time_eval():
        found, expected = (array.astype("float32") for array in (found, expected))
        return bool(jax.device_get(jnp.abs(found - expected).max() <= TOLERANCE * jnp.abs(expected).max()))
