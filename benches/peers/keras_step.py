"""SN-LeNet-5 in Keras on TensorFlow: a peer of compare.py.

Batches are f32 tensors in memory before the clock starts; a step is forward, loss, backward and Adam.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from common import EMBED, THREADS, Material, serve


class Distance(layers.Layer):
    def call(self, x):
        a, b = ops.split(x, 2)
        return ops.sqrt(ops.maximum(ops.sum(ops.square(a - b), axis=1, keepdims=True), 1e-7))


def networks(material):
    subnet = keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPool2D(2),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPool2D(2),
        # Flattened as [channel, row, column], so that the weights are the same.
        layers.Permute((3, 1, 2)), layers.Flatten(),
        layers.Dense(120, activation="relu"), layers.Dense(84, activation="relu")])
    norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    head = layers.Dense(1, activation="sigmoid", kernel_initializer=keras.initializers.Constant(-1))
    model = keras.Sequential([keras.Input((28, 28, 1)), subnet, Distance(), norm, head])
    weights = []
    for layer in ("conv1", "conv2"):
        weight, bias = material.conv(layer)
        weights += [weight.transpose(2, 3, 1, 0), bias]
    for layer in ("fc1", "fc2"):
        weight, bias = material.dense(layer)
        weights += [weight.T, bias]
    subnet.set_weights(weights)
    return subnet, model, norm, head


def main():
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    material = Material()
    subnet, model, norm, head = networks(material)
    optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    optimizer.build(model.trainable_variables)

    # As fast as model.train_on_batch or faster; XLA (jit_compile) took twice as long or more.
    @tf.function
    def step(images, same):
        with tf.GradientTape() as tape:
            s = ops.squeeze(model(images, training=True), 1)
            hinge = ops.maximum(1 - s, 0)
            loss = ops.mean((1 - same) * ops.square(s) + same * ops.square(hinge))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        return loss

    images, rows = material.test_images()

    def score():
        embeddings = subnet.predict(images, batch_size=EMBED, verbose=0)
        a, b = embeddings[rows[:, 0]], embeddings[rows[:, 1]]
        distance = np.sqrt(np.maximum(np.square(a - b).sum(1, keepdims=True), 1e-7))
        return np.asarray(head(norm(distance, training=False)))[:, 0]

    batches = [(tf.constant(images), tf.constant(same)) for images, same in material.batches()]
    peer = f"Keras {keras.__version__} on TensorFlow {tf.__version__}"
    serve(peer, material, lambda batch: float(step(*batch)), score, batches)


if __name__ == "__main__":
    main()
