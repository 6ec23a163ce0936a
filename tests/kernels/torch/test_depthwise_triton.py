"""The depthwise convolution in Triton: its values by Triton's interpreter on a CPU, and its code for GPUs.

Triton reads `TRITON_INTERPRET` when it is imported, so the interpreter and the compiler run in separate processes. The
file is collected only where Triton is installed; `.ci/run` installs it for these tests.
"""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

# Shape, side of the kernel and type. The rounding error of the type is the tolerance: sums are float32.
CASES = {
    "one strip": ((2, 7, 7, 8), 7, torch.float32),
    "two strips, channels that are no vectors, one image": ((1, 16, 5, 6), 7, torch.float32),
    "two blocks of channels, the second one nearly empty": ((1, 15, 3, 33), 3, torch.bfloat16),
    "blocks of 64 channels": ((1, 4, 4, 128), 5, torch.float16),
    "rows of the kernel in two groups": ((1, 11, 6, 4), 9, torch.float32),
    "a kernel larger than the map": ((1, 2, 3, 4), 11, torch.bfloat16),
    "several tiles for a program": ((5, 2, 60, 4), 3, torch.float32),
    "one pixel": ((1, 1, 1, 1), 3, torch.float16),
    "a kernel of one pixel": ((2, 3, 5, 4), 1, torch.float32),
}
ROUNDING = {torch.float32: 1e-6, torch.float16: 2**-10, torch.bfloat16: 2**-7}

# A layer's own path, forward and backward, as where Triton's is the faster convolution.
INTERPRET = """
import os, sys
os.environ["TRITON_INTERPRET"] = "1"
import torch
from keras_convnext.kernels.torch import depthwise_conv, depthwise_triton, fastest

module = sys.modules[depthwise_conv.__module__]
fastest.may_choose = lambda x: True
module._forward = module._convolve_in_triton
module._input_gradient = module._input_gradient_in_triton
module._weight_gradients = module._weight_gradients_in_triton
depthwise_triton.PROGRAMS = 1  # several tiles for a program where there are several
results = []
for x, kernel, bias, grad_y in torch.load({path!r}):
    trainable = [one.requires_grad_() for one in (x, kernel, bias) if one is not None]
    y = depthwise_conv(x, kernel, bias, dilation=1)
    results.append([y.detach(), *torch.autograd.grad(y, trainable, grad_y)])
torch.save(results, {path!r})
"""

# Compiles what would be launched, for tensors that have no memory.
COMPILE = """
import json, subprocess, tempfile
import torch, triton
from triton.backends.compiler import GPUTarget
from keras_convnext.kernels.torch import depthwise_triton

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16"}
found = []

def launch(function, programs, arguments, maxnreg, **constants):
    signature, aligned = {name: "constexpr" for name in constants}, {}
    for index, (name, value) in enumerate(zip(function.arg_names, arguments)):
        signature[name] = TYPES[value.dtype] if isinstance(value, torch.Tensor) else "i32"
        if isinstance(value, torch.Tensor):
            aligned[index,] = [["tt.divisibility", 16]]
    signature = {name: signature[name] for name in function.arg_names}
    source = triton.compiler.ASTSource(function, signature, constants, aligned)
    options = {"num_warps": depthwise_triton.WARPS, "maxnreg": maxnreg}
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        usage = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    fields = dict(field.split(":") for field in usage.split() if field.count(":") == 1 and field[-1] != ":")
    found.append([architecture, function.fn.__name__, *(int(fields[name]) for name in ("REG", "STACK", "LOCAL"))])

depthwise_triton._launch = launch
for architecture, shape in ((80, (128, 7, 7, 768)), (90, (128, 28, 28, 192))):
    x = torch.empty(shape, dtype=torch.bfloat16, device="meta")
    kernel, bias = x.new_empty((7, 7, shape[-1], 1)), x.new_empty(shape[-1])
    depthwise_triton.convolve(x, kernel, bias)
    depthwise_triton.weight_gradients(x, x, kernel)
print(json.dumps(found))
"""


def inputs(shape, side, dtype):
    """x, the kernel, the bias (with an odd number of channels, None) and the gradient of the output."""
    generator = torch.Generator().manual_seed(0)
    channels = shape[-1]
    x, kernel, bias, grad_y = (
        torch.randn(size, generator=generator).to(dtype)
        for size in (shape, (side, side, channels, 1), (channels,), shape)
    )
    return x, kernel, None if channels % 2 else bias, grad_y


@pytest.fixture(scope="module")
def interpreted(run_python, tmp_path_factory):
    """Of each case: the output and the gradients in x, in the kernel and, where there is one, in the bias."""
    path = str(tmp_path_factory.mktemp("triton") / "tensors.pt")
    torch.save([inputs(*case) for case in CASES.values()], path)
    run_python(INTERPRET.format(path=path), "torch")
    return dict(zip(CASES, torch.load(path), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(interpreted, name):
    x, kernel, bias, grad_y = (one if one is None else one.double() for one in inputs(*CASES[name]))
    trainable = [one.requires_grad_() for one in (x, kernel, bias) if one is not None]
    y = functional.conv2d(
        x.permute(0, 3, 1, 2), kernel.permute(2, 3, 0, 1), bias, padding="same", groups=x.shape[-1]
    ).permute(0, 2, 3, 1)
    expected = [y.detach(), *torch.autograd.grad(y, trainable, grad_y)]
    dtype = CASES[name][2]
    for found, reference in zip(interpreted[name], expected, strict=True):
        assert found.dtype == dtype
        assert found.shape == reference.shape
        atol = 1e-6 * float(reference.abs().max())
        np.testing.assert_allclose(found.double(), reference, rtol=ROUNDING[dtype], atol=atol)


def test_compiles_for_gpus_and_keeps_its_sums_in_registers(run_python):
    found = json.loads(run_python(COMPILE, "torch").splitlines()[-1])
    assert [one[:2] for one in found] == [
        [architecture, name] for architecture in (80, 90) for name in ("_convolve", "_sum_weight_gradients")
    ]
    for *_, registers, stack, local in found:
        assert registers <= 168
        assert stack == local == 0
