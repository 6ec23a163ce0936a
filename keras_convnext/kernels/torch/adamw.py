"""A step of AdamW by torch's fused kernel: each weight, gradient and moment is read once."""

import torch
from torch.optim.adamw import adamw


def adamw_is_multi_tensor():
    """True: the kernel takes many weights at once."""
    return True


@torch.no_grad()
def adamw_step(gradients, weights, momentums, velocities, *, iterations, learning_rate, weight_decay, betas, epsilon):
    """See the reference."""
    adamw(
        [weight.value for weight in weights],
        [gradient.contiguous() for gradient in gradients],
        [momentum.value for momentum in momentums],
        [velocity.value for velocity in velocities],
        max_exp_avg_sqs=[],
        state_steps=[torch.as_tensor(iterations).to(torch.float32, copy=True) for _ in weights],
        fused=True,
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=epsilon,
        maximize=False,
    )
