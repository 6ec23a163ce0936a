"""Gradients under `tf.distribute`, whose strategies have a replica of the model for each device."""

import tensorflow as tf


def on_summed_gradients(function, gradients):
    """See the reference."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return function(gradients)
    summed = function(replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients))
    return [gradient / replica.num_replicas_in_sync for gradient in summed]
