"""AdamW, against `torch.optim.AdamW` with a group of weights that decay and one of weights that do not."""

import re

import keras
import numpy as np
import pytest
import torch

from keras_convnext.training import WEIGHT_DECAY_RULES, AdamW, WarmupCosine

SHAPES = {"kernel": (4, 3), "bias": (3,), "gamma": (5,), "beta": (5,)}
DECAYS = {"kernel": True, "bias": False, "gamma": False, "beta": False}


@pytest.fixture
def start(rng):
    """The weights to start from, small ones, so that float32 holds them to 1e-8."""
    return {name: (0.3 * rng.normal(size=shape)).astype("float32") for name, shape in SHAPES.items()}


@pytest.fixture
def draw(rng):
    """A function: the gradients of `steps` steps, each a dict, of a given size."""

    def gradients(steps, size=1.0):
        return [
            {name: (size * rng.normal(size=shape)).astype("float32") for name, shape in SHAPES.items()}
            for _ in range(steps)
        ]

    return gradients


def variables_of(start):
    return [keras.Variable(value, name=name) for name, value in start.items()]


def values(variables):
    return {variable.name: keras.ops.convert_to_numpy(variable.value) for variable in variables}


def ours(start, steps, learning_rate=0.01, **options):
    """The weights after `AdamW` took the steps."""
    variables = variables_of(start)
    optimizer = AdamW(learning_rate, **options)
    optimizer.build(variables)
    for gradients in steps:
        optimizer.apply([keras.ops.convert_to_tensor(gradients[name]) for name in start], variables)
    optimizer.finalize_variable_values(variables)
    return values(variables)


def torchs(start, steps, learning_rate=lambda step: 0.01, clipnorm=None, weight_decay=0.05, **options):
    """The weights after `torch.optim.AdamW` took the steps."""
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    groups = [
        {"params": [weights[name] for name in start if DECAYS[name]], "weight_decay": weight_decay},
        {"params": [weights[name] for name in start if not DECAYS[name]], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, **options)
    for step, gradients in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        for name, weight in weights.items():
            weight.grad = torch.tensor(gradients[name])
        if clipnorm is not None:
            torch.nn.utils.clip_grad_norm_(weights.values(), clipnorm)
        optimizer.step()
    return {name: weight.detach().numpy() for name, weight in weights.items()}


def assert_equal(result, expected, start):
    """What the steps changed must be equal, not only what is left of the start."""
    for name in start:
        assert not np.allclose(result[name], start[name], atol=1e-4), name
        np.testing.assert_allclose(result[name], expected[name], rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("size", [1e-9, 1e-8, 1e-3, 1.0, 100.0])
def test_twenty_steps_equal_torch(start, draw, size):
    steps = draw(20, size)
    assert_equal(ours(start, steps), torchs(start, steps), start)


@pytest.mark.parametrize("size", [1e-9, 1.0])
def test_twenty_steps_under_the_schedule_equal_torch(start, draw, size):
    steps = draw(20, size)
    rates = np.concatenate([np.linspace(0, 0.02, 5), 1e-3 + 0.5 * 0.019 * (1 + np.cos(np.pi * np.arange(15) / 15))])
    result = ours(start, steps, WarmupCosine(0.02, 20, 5, 1e-3))
    assert_equal(result, torchs(start, steps, rates.__getitem__), start)


@pytest.mark.parametrize(
    "our_options, torch_options",
    [
        ({"beta_1": 0.8, "beta_2": 0.95}, {"betas": (0.8, 0.95)}),
        ({"beta_1": 0.0}, {"betas": (0.0, 0.999)}),
        ({"epsilon": 1e-3}, {"eps": 1e-3}),
        ({"weight_decay": 0.3}, {"weight_decay": 0.3}),
        ({"weight_decay": 0.0}, {"weight_decay": 0.0}),
        ({"global_clipnorm": 0.5}, {"clipnorm": 0.5}),
    ],
)
def test_options_equal_torchs(start, draw, our_options, torch_options):
    steps = draw(20)
    assert_equal(ours(start, steps, **our_options), torchs(start, steps, **torch_options), start)


def test_gradient_accumulation_equals_torch_on_the_mean_gradients(start, draw):
    steps = draw(12)
    means = [{name: np.mean([step[name] for step in steps[i : i + 3]], axis=0) for name in start} for i in (0, 3, 6, 9)]
    assert_equal(ours(start, steps, gradient_accumulation_steps=3), torchs(start, means), start)


def test_moving_average_is_that_of_torchs_weights(start, draw):
    """The average starts with the weights before the first step, as timm's; at the end it takes their place."""
    steps = draw(10)
    average = average_of(start, [torchs(start, steps[:count]) for count in range(1, 11)], lambda update: 0.9)
    assert_equal(ours(start, steps, use_ema=True, ema_momentum=0.9), average, start)


@pytest.mark.parametrize("momentum", [0.5, 0.9999])
def test_moving_average_that_warms_up(start, draw, momentum):
    steps = draw(20)
    weights = [torchs(start, steps[:count]) for count in range(1, 21)]
    average = average_of(start, weights, lambda update: min(momentum, (1 + update) / (10 + update)))
    assert_equal(ours(start, steps, use_ema=True, ema_momentum=momentum, ema_warmup=True), average, start)


def average_of(start, weights, momentum):
    average = start
    for update, latest in enumerate(weights):
        average = {n: momentum(update) * average[n] + (1 - momentum(update)) * latest[n] for n in start}
    return average


def test_accumulated_gradients_count_as_one_update(start, draw):
    """Schedule, decay and moving average of twelve batches in fours are those of three updates."""
    steps = draw(12)
    means = [{name: np.mean([step[name] for step in steps[i : i + 4]], axis=0) for name in start} for i in (0, 4, 8)]
    rates = [0.02, 0.01, 0.0]
    options = {"weight_decay": 0.5}
    schedule = keras.optimizers.schedules.PolynomialDecay(0.02, 2, 0.0)
    found = ours(start, steps, schedule, gradient_accumulation_steps=4, **options)
    assert_equal(found, torchs(start, means, rates.__getitem__, **options), start)
    weights = [torchs(start, means[:count], rates.__getitem__, **options) for count in (1, 2, 3)]
    average = average_of(start, weights, lambda update: 0.7)
    ema = {"use_ema": True, "ema_momentum": 0.7, "gradient_accumulation_steps": 4}
    assert_equal(ours(start, steps, schedule, **ema, **options), average, start)


FACTORS = {"kernel": 0.5, "bias": 0.25, "gamma": 1.0, "beta": 0.125}


def test_factors_scale_step_and_decay(start, draw):
    steps = draw(20)
    found = ours(start, steps, weight_decay=0.5, learning_rate_rules=tuple(FACTORS.items()))
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    optimizer = torch.optim.AdamW(
        [{"params": [weights[name]], "lr": 0.01 * FACTORS[name], "weight_decay": 0.5 * DECAYS[name]} for name in start]
    )
    for gradients in steps:
        for name, weight in weights.items():
            weight.grad = torch.tensor(gradients[name])
        optimizer.step()
    assert_equal(found, {name: weight.detach().numpy() for name, weight in weights.items()}, start)


def test_without_gradients_only_kernels_shrink(start):
    result = ours(start, [{name: np.zeros(shape, "float32") for name, shape in SHAPES.items()}], 0.1, weight_decay=0.5)
    for name, value in result.items():
        np.testing.assert_allclose(value, start[name] * (0.95 if name == "kernel" else 1), rtol=1e-6, err_msg=name)


@pytest.fixture
def trained(rng):
    """A small model with random weights that has trained two steps, and data for the next."""
    layers = [keras.Input((4,)), keras.layers.Dense(5), keras.layers.LayerNormalization(), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape))
    model.compile(AdamW(WarmupCosine(0.05, 10), weight_decay=0.5), "mse")
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.normal(size=(8, 2)).astype("float32")
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    return model, x, y


def test_a_loaded_model_takes_the_same_next_step(trained, tmp_path):
    model, x, y = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is AdamW
    for each in (model, loaded):
        each.fit(x, y, batch_size=8, verbose=0)
    for weight, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-7)


def test_a_loaded_model_decays_the_same_weights(trained, tmp_path):
    model, _, _ = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile(loaded.optimizer.from_config({**loaded.optimizer.get_config(), "learning_rate": 0.1}))
    before = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in loaded.trainable_weights}
    zeros = [keras.ops.zeros(weight.shape) for weight in loaded.trainable_weights]
    loaded.optimizer.apply(zeros, loaded.trainable_weights)
    for weight in loaded.trainable_weights:
        factor = 0.95 if weight.path.endswith("kernel") else 1
        np.testing.assert_allclose(keras.ops.convert_to_numpy(weight.value), factor * before[weight.path], rtol=1e-6)


def test_config_holds_the_rules():
    rules = ((r"kernel$", False), (r"bias$", True))
    optimizer = AdamW(
        1e-3,
        weight_decay=0.1,
        epsilon=1e-6,
        weight_decay_rules=rules,
        learning_rate_rules=FACTORS.items(),
        ema_warmup=True,
    )
    copy = AdamW.from_config(optimizer.get_config())
    assert copy.learning_rate_rules == optimizer.learning_rate_rules
    assert copy.weight_decay_rules == optimizer.weight_decay_rules == rules
    assert (copy.weight_decay, copy.epsilon) == (0.1, 1e-6)
    assert copy.get_config() == optimizer.get_config()


def test_rules_of_ones_own_tell_which_weights_decay(start):
    zeros = {name: np.zeros(shape, "float32") for name, shape in SHAPES.items()}
    rules = (("^(bias|beta)$", True), ("^(kernel|gamma)$", False))
    result = ours(start, [zeros], 0.1, weight_decay=0.5, weight_decay_rules=rules)
    for name, value in result.items():
        np.testing.assert_allclose(value, start[name] * (0.95 if name in ("bias", "beta") else 1), rtol=1e-6)


@pytest.mark.parametrize(
    "name, count, rules",
    [
        ("embeddings", 0, WEIGHT_DECAY_RULES),
        ("pseudo_bias", 0, WEIGHT_DECAY_RULES),
        ("kernel", 2, (*WEIGHT_DECAY_RULES, ("kern", False))),
        ("bias", 2, (("bias", False), ("^b", False))),
    ],
)
def test_refuses_a_weight_that_no_rule_or_two_match(name, count, rules):
    with keras.name_scope("head"):
        variable = keras.Variable(np.zeros((2, 3)), name=name)
    if count == 2 and name == "bias":
        variable = keras.Variable(np.zeros((2, 3)), name=name)
    other = keras.Variable(np.zeros((2, 3)), name="nameless")  # the message has all
    with pytest.raises(ValueError, match=rf"{re.escape(variable.path)} matches .*; nameless matches \[\]") as refused:
        AdamW(weight_decay_rules=rules).build([variable, other])
    assert str(refused.value).split("; ")[0].count("', '") == max(0, count - 1)


def test_the_rules_cover_every_weight_of_every_kind_of_model(make_model):
    from keras_convnext import ConvNeXtBackbone

    v2 = ConvNeXtBackbone((1, 1), (8, 16), "overlap", use_grn=True, layer_scale_init_value=None, level_norm=True)
    for model in (make_model(head_hidden_size=4), v2):
        optimizer = AdamW()
        optimizer.build(model.trainable_variables)
        for weight in model.trainable_variables:
            assert optimizer._use_weight_decay(weight) == weight.path.endswith("kernel"), weight.path


def test_refuses_to_overwrite_with_the_average_between_updates():
    with pytest.raises(ValueError, match="ema_overwrite_frequency"):
        AdamW(use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=3)


def test_refuses_amsgrad():
    with pytest.raises(ValueError, match="amsgrad"):
        AdamW(amsgrad=True)


def test_trains_weights_of_which_none_decays():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, trainable=False), keras.layers.BatchNormalization()]
    )
    model.compile(AdamW(0.1), "mse")
    before = model.trainable_weights[0].numpy()
    model.fit(np.arange(4.0).reshape(2, 2), np.ones((2, 2)), verbose=0)
    assert (model.trainable_weights[0].numpy() != before).all()


def test_a_scaled_loss_gives_the_same_weights(start, draw, backend):
    """As `mixed_float16` wraps it; a step whose gradients overflow is left out."""
    steps = draw(6)
    expected = ours(start, steps, learning_rate_rules=[("kernel", 0.5), ("^(?!kernel)", 1.0)])
    variables = variables_of(start)
    optimizer = keras.optimizers.LossScaleOptimizer(
        AdamW(0.01, learning_rate_rules=[("kernel", 0.5), ("^(?!kernel)", 1.0)]), initial_scale=1024.0
    )
    optimizer.build(variables)
    overflow = {name: np.full(shape, np.inf, "float32") for name, shape in SHAPES.items()}
    for gradients in [*steps[:3], overflow, *steps[3:]]:
        scale = float(keras.ops.convert_to_numpy(optimizer.scale_loss(1.0)))
        scaled = [keras.ops.convert_to_tensor(gradients[name] * np.float32(scale)) for name in start]
        if backend != "jax":
            optimizer.apply(scaled, variables)
            continue
        state = [[variable.value for variable in one] for one in (optimizer.variables, variables)]  # as in `fit`
        state = optimizer.stateless_apply(state[0], scaled, state[1])
        for variable, value in zip([*variables, *optimizer.variables], [*state[0], *state[1]], strict=True):
            variable.assign(value)
    assert int(optimizer.inner_optimizer.iterations) == 6
    assert_equal(values(variables), expected, start)


def test_a_clone_has_all_settings(make_model):
    settings = {
        "weight_decay": 0.1,
        "learning_rate_rules": [("head", 1.0), ("^(?!head)", 0.5)],
        "unfreeze_rules": [("head", 0), ("^(?!head)", 3)],
        "use_ema": True,
        "ema_warmup": True,
        "clipnorm": 1.0,
        "gradient_accumulation_steps": 2,
    }
    model = make_model()
    optimizers = [AdamW(WarmupCosine(0.01, 10, 2), **settings)]
    optimizers.append(type(optimizers[0]).from_config(optimizers[0].get_config()))
    optimizers.append(keras.optimizers.deserialize(keras.optimizers.serialize(optimizers[0])))
    cloned = keras.models.clone_model(model)
    for optimizer, one in zip(optimizers, (model, cloned, cloned), strict=True):
        optimizer.build(one.trainable_variables)
    for other in optimizers[1:]:
        assert other.get_config() == optimizers[0].get_config()
        for mine, its in zip(model.trainable_variables, cloned.trainable_variables, strict=True):
            for quality in ("factor", "start", "decays"):
                assert getattr(other, quality)(its) == getattr(optimizers[0], quality)(mine), mine.path
