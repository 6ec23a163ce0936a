"""A step of AdamW by torch's fused kernel: each weight, gradient and moment is read once.

Imported where the backend is torch.
"""

import torch
from torch.optim.adamw import adamw


@torch.no_grad()
def fused_adamw_step(gradients, weights, momentums, velocities, step, learning_rate, weight_decay, betas, epsilon):
    """Updates weights and moments in place.

    Args:
        gradients, weights, momentums, velocities: lists of tensors, alike in shapes.
        step: tensor, how many steps were taken before.
        learning_rate: tensor.
        weight_decay: float, for all of these weights.
        betas: pair of float.
        epsilon: float.
    """
    adamw(
        weights,
        [gradient.contiguous() for gradient in gradients],
        momentums,
        velocities,
        max_exp_avg_sqs=[],
        state_steps=[step.to(torch.float32, copy=True) for _ in weights],
        fused=True,
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=epsilon,
        maximize=False,
    )
