"""Times one training step of SN-LeNet-5 (64 pairs, Adam) in Keras on TensorFlow on two CPU threads.

    pip install numpy tensorflow-cpu keras
    python benches/peers/keras_step.py

Data is in memory as f32 before the clock starts; a step is forward, loss, backward and Adam.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tensorflow as tf
from keras import layers, ops

from common import PAIRS, THREADS, batches, report


class Distance(layers.Layer):
    def call(self, x):
        a, b = ops.split(x, 2)
        return ops.sqrt(ops.maximum(ops.sum(ops.square(a - b), axis=1, keepdims=True), 1e-7))


def sn_lenet5():
    return keras.Sequential([
        keras.Input((28, 28, 1), batch_size=2 * PAIRS),
        layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPool2D(2),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPool2D(2),
        layers.Flatten(), layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu"),
        Distance(), layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.Constant(-1))])


def main():
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    model = sn_lenet5()
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(model.trainable_variables)

    # As fast as model.train_on_batch or faster; XLA (jit_compile) took twice as long or more here.
    @tf.function
    def train_step(images, same):
        with tf.GradientTape() as tape:
            s = ops.squeeze(model(images, training=True), 1)
            hinge = ops.maximum(1 - s, 0)
            loss = ops.mean((1 - same) * ops.square(s) + same * ops.square(hinge))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return loss

    data = [(tf.constant(images), tf.constant(same)) for images, same in batches()]
    peer = f"Keras {keras.__version__} on TensorFlow {tf.__version__}"
    report(peer, lambda images, same: float(train_step(images, same)), data)


if __name__ == "__main__":
    main()
