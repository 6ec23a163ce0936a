"""Blocks that torch compiles within Keras's own `fit` and `predict`: as on a GPU, here on the CPU.

What does not depend on the programs that torch generates is tested without generating any: "aot_eager" traces them.
"""

import copy
import pickle

import keras
import numpy as np
import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.utils import counters
from torch._inductor.exc import InductorError

from keras_convnext import ConvNeXtClassifier
from keras_convnext.kernels.torch import compiled
from keras_convnext.layers import ConvNeXtBlock, Downsample
from keras_convnext.training import AdamW

DIM = 8
VERSIONS = {"v1": {"layer_scale_init_value": 0.5}, "v2": {"use_grn": True, "layer_scale_init_value": None}}


class Compilation:
    """Lets compiled functions serve on the CPU, and counts them."""

    def __init__(self, patch):
        self.patch = patch
        patch.setattr(compiled, "_programs", {})
        self.use("aot_eager")
        self.graphs_before = counters["stats"]["unique_graphs"]

    def use(self, backend, devices=("cpu",)):
        self.patch.setattr(compiled, "BACKEND", backend)
        self.patch.setattr(compiled, "DEVICES", devices)

    def plainly(self, call):
        """The result of a call without compiled functions."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "DEVICES", ())
            return call()

    @property
    def programs(self):
        return [program for programs in compiled._programs.values() for program in programs.values()]

    @property
    def graphs(self):
        return counters["stats"]["unique_graphs"] - self.graphs_before

    def assert_served(self, count):
        """None computed eagerly instead, and each was compiled once."""
        assert len(self.programs) == self.graphs == count
        assert not any(program.has_failed for program in self.programs)


@pytest.fixture
def compilation(monkeypatch):
    torch._dynamo.reset()  # what other tests compiled of Keras's code counts against torch's limit
    return Compilation(monkeypatch)


@pytest.fixture
def make_block(randomize):
    def make(version="v1", **arguments):
        block = ConvNeXtBlock(kernel_size=3, **{**VERSIONS[version], **arguments})
        block.build((None, None, None, DIM))
        return randomize(block)

    return make


def draw(*shape, seed=0):
    return torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed))


def results(block, x, training=True):
    """The output, and the gradients of all that needs one."""
    keras.utils.set_random_seed(0)
    for layer in block._flatten_layers():
        if hasattr(layer, "seed_generator") and layer.seed_generator is not None:
            layer.seed_generator.state.assign([0, 0])
    y = block(x, training=training)
    sought = [each for each in (x, *(weight.value for weight in block.weights)) if each.requires_grad]
    return [y.detach(), *(torch.autograd.grad(y.float().square().sum(), sought) if sought else ())]


def assert_equal(found, expected, tolerance=1e-5):
    for ours, theirs in zip(found, expected, strict=True):
        ours, theirs = ours.float().numpy(), theirs.float().numpy()
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


def losses_and_predictions(small_backbone, x, version, count, **changes):
    """Of five training steps with two sizes of batches, and of predictions."""
    keras.utils.set_random_seed(0)
    sizes = {"depths": (1,) * count, "dims": (8, 16)[:count], "input_shape": (16, 24, 3), **changes}
    model = ConvNeXtClassifier(small_backbone(version, **sizes), 3)
    model.compile(AdamW(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    y, losses = np.arange(10) % 3, []
    keep = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: losses.append(logs["loss"]))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[keep])  # 4, 4, 2
    losses += [model.train_on_batch(x[part], y[part]) for part in (slice(0, 4), slice(4, 7))]
    return np.array(losses, float), model.predict(x, batch_size=4, verbose=0), model.predict(x[:2], verbose=0)


def test_two_models_train_and_predict(compilation, small_backbone, images):
    """The second has the patch embeddings of the first, and the third all of it: they need no program of their own."""
    x = images(10, 16, 24, 3)
    for version, programs in (("v1", 8), ("v2", 12), ("v1", 12)):
        arguments = small_backbone, x, version, 2
        expected = compilation.plainly(lambda arguments=arguments: losses_and_predictions(*arguments))
        for found, plain in zip(losses_and_predictions(*arguments), expected, strict=True):
            np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)
        compilation.assert_served(programs)


def test_the_programs_that_torch_generates(compilation, small_backbone, images):
    compilation.use("inductor")
    arguments = small_backbone, images(10, 16, 24, 3), "v2", 1
    expected = compilation.plainly(lambda: losses_and_predictions(*arguments, drop_path_rate=0.5))
    for found, plain in zip(losses_and_predictions(*arguments, drop_path_rate=0.5), expected, strict=True):
        np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)
    compilation.assert_served(4)


@pytest.mark.parametrize(
    ("version", "training", "remat"), [("v1", True, False), ("v2", True, True), ("v2", False, True)]
)
def test_gradients(compilation, make_block, version, training, remat):
    block = make_block(version, remat=remat, drop_path_rate=0.5)
    for shape in ((4, 5, 6), (3, 5, 6), (1, 5, 6)):
        x = draw(*shape).requires_grad_()
        assert_equal(results(block, x, training), compilation.plainly(lambda x=x: results(block, x, training)))
    compilation.assert_served(4 if remat and training else 2)  # recomputed: without gradients, and with


@pytest.mark.parametrize("frozen", ["input", "weights", "norm", "all"])
def test_frozen(compilation, make_block, frozen):
    block, x = make_block(), draw(3, 5, 6).requires_grad_(frozen in ("weights", "norm"))
    if frozen == "norm":
        block.norm.trainable = False
    elif frozen != "input":
        block.trainable = False
    assert_equal(results(block, x), compilation.plainly(lambda: results(block, x)))
    compilation.assert_served(1)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_other_types(compilation, make_block, policy):
    block = ConvNeXtBlock.from_config({**make_block("v1").get_config(), "dtype": policy})
    block.build((None, None, None, DIM))
    x = draw(3, 5, 6).to(getattr(torch, block.compute_dtype)).requires_grad_()
    assert_equal(results(block, x), compilation.plainly(lambda: results(block, x)), tolerance=0.02)
    compilation.assert_served(1)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_without_gradients(compilation, make_block, context):
    block, layer = make_block("v2"), Downsample(4)
    layer.build((None, None, None, DIM))
    for images in (4, 2):
        with context():
            x = draw(images, 7, 6)
            found = block(x), layer(block(x))
            expected = compilation.plainly(lambda x=x: (block(x), layer(block(x))))
        assert_equal(found, expected)
    compilation.assert_served(2)


def test_input_that_lies_otherwise_in_memory(compilation, make_block):
    block, x = make_block(), draw(2, 5, 5)
    with torch.no_grad():
        for each in (x, x.transpose(1, 2)):
            assert_equal([block(each)], compilation.plainly(lambda each=each: [block(each)]))
    compilation.assert_served(1)


def test_second_derivatives_and_graphs_that_are_kept(compilation, make_block):
    block, x = make_block("v2"), draw(3, 5, 6).requires_grad_()
    weights = [weight.value for weight in block.weights]

    def derivatives():
        (gradient,) = torch.autograd.grad(block(x).square().sum(), x, create_graph=True)
        second = torch.autograd.grad(gradient.square().sum(), [x, *weights])
        y = block(x)
        kept = [torch.autograd.grad(y.sum(), [x, *weights], retain_graph=last < 2) for last in range(3)]
        return *second, *kept[0], *kept[1], *kept[2]

    assert_equal(derivatives(), compilation.plainly(derivatives))
    y = block(x)
    torch.autograd.grad(y.sum(), x)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(y.sum(), x)
    compilation.assert_served(1)


def test_transforms_take_the_plain_form(compilation, make_block):
    block, x = make_block(), draw(2, 5, 6)
    torch.func.grad(lambda x: block(x).sum())(x)
    torch.func.jvp(block, (x,), (x,))
    compilation.assert_served(0)


def test_sizes_of_maps_are_bounded(compilation, make_block):
    block = make_block()
    with torch.no_grad():
        for side in range(3, 3 + compiled.SIZES + 2):
            x = draw(2, side, side)
            assert_equal([block(x)], compilation.plainly(lambda x=x: [block(x)]))
    compilation.assert_served(compiled.SIZES)
    block(draw(2, 3, 3))  # with gradients: counted separately
    compilation.assert_served(compiled.SIZES + 1)


def fails(*_):
    raise InductorError(RuntimeError("no compiler"), None)


@pytest.mark.parametrize("backend", [fails, aot_autograd(fw_compiler=lambda graph, _: graph, bw_compiler=fails)])
def test_a_failure_is_remembered(compilation, make_block, backend):
    tries = []

    def counted(*arguments, **keywords):
        tries.append(1)
        return backend(*arguments, **keywords)

    compilation.use(counted)
    block, x = make_block(), draw(3, 5, 6).requires_grad_()
    for _ in range(3):
        assert_equal(results(block, x), compilation.plainly(lambda: results(block, x)))
    assert len(tries) == 1
    assert [program.has_failed for program in compilation.programs] == [True]


def test_an_activation_that_torch_cannot_trace(compilation, make_block):
    def activation(x):
        torch._dynamo.graph_break()
        return x * torch.sigmoid(x)

    block, x = make_block(), draw(3, 5, 6)
    block.pointwise_conv_1.activation = activation
    with torch.no_grad():
        assert_equal([block(x)], compilation.plainly(lambda: [block(x)]))
    assert [program.has_failed for program in compilation.programs] == [True]


def test_torchs_limit_of_graphs(compilation, make_block):
    """Torch compiles again when its own settings change, and refuses at its limit."""
    block, x = make_block(), draw(3, 5, 6)
    threads = torch.get_num_threads()
    try:
        with torch._dynamo.config.patch(recompile_limit=1), torch.no_grad():
            for count in (threads, threads + 1, threads):
                torch.set_num_threads(count)
                assert_equal([block(x)], compilation.plainly(lambda: [block(x)]))
    finally:
        torch.set_num_threads(threads)
    assert compilation.graphs == 1


def test_switches(compilation, make_block):
    """The second is what `TORCH_COMPILE_DISABLE=1` sets."""
    x = draw(3, 5, 6).requires_grad_()
    with torch.compiler.set_stance("force_eager"):
        results(make_block("v1"), x)
    with torch._dynamo.config.patch(disable=True):
        results(make_block("v2"), x)
    assert compilation.graphs == 0


def test_nothing_is_compiled_within_what_sees_operations(compilation, make_block):
    block, x = make_block(), draw(2, 5, 6)
    with torch.no_grad():
        torch.export.export(block, (x,))
        torch.jit.trace(block, x, check_trace=False)
        with torch.autocast("cpu"):
            block(x)
        with keras.device("meta"):
            assert block(torch.empty(2, 5, 6, DIM, device="meta")).is_meta
        block.norm.register_forward_hook(lambda *_: None)
        block(x)
    assert not compilation.programs


def test_within_a_model_that_is_compiled(compilation, make_block):
    block, x = make_block(), draw(2, 5, 6)
    with torch.no_grad():
        assert_equal([torch.compile(block, backend="aot_eager")(x)], [compilation.plainly(lambda: block(x))])
    assert not compilation.programs


def test_copies_of_models(compilation, small_backbone, images, tmp_path):
    model = ConvNeXtClassifier(small_backbone(depths=(1,), dims=(8,), input_shape=(16, 16, 3)), 3)
    x = images(2, 16, 16, 3)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model)), keras.models.load_model(tmp_path / "model.keras")
    for each in copies:
        np.testing.assert_allclose(each.predict(x, verbose=0), expected, rtol=1e-6)
    compilation.assert_served(2)
