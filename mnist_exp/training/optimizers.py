"""Optimizers by name; the learning rate of each step comes from the schedule."""

from typing import Any

import keras
import tensorflow as tf

from mnist_exp.config.schema import AnyOptimizer


class OneReplica:
    """Mixin: a Keras optimizer on one device.

    Keras adds gradients over replicas even if there is only one, by an operation whose gradient TensorFlow registers
    permanently: the graphs of every training would stay in memory, 9 MB for each run.
    """

    def _all_reduce_sum_gradients(self, gradients: list[Any]) -> list[Any]:
        return gradients


class FusedAdam(OneReplica, keras.optimizers.Adam):
    """Keras's Adam, which updates each variable by one operation instead of a dozen."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Update a float32 variable and its two moments."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )


CLASSES = {
    "adam": FusedAdam,
    "adamw": FusedAdam,  # with a weight_decay, every optimizer of Keras decays weights separately from the gradient
    "sgd": type("Sgd", (OneReplica, keras.optimizers.SGD), {}),
    "rmsprop": type("Rmsprop", (OneReplica, keras.optimizers.RMSprop), {}),
    "lion": type("Lion", (OneReplica, keras.optimizers.Lion), {}),
}


def build(config: AnyOptimizer, precision: str, gradient_clip_norm: float | None) -> keras.Optimizer:
    """Build a Keras optimizer; the settings have Keras's names.

    For float16, the loss is scaled, since small gradients would vanish. `gradient_clip_norm` is the largest global norm of a
    gradient (Pascanu et al. 2012, arXiv:1211.5063); None for any.
    """
    optimizer = CLASSES[config.name](**config.model_dump(exclude={"name"}), global_clipnorm=gradient_clip_norm)
    return keras.optimizers.LossScaleOptimizer(optimizer) if precision == "float16" else optimizer
