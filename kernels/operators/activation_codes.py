"""Codes of the activations of a network, known without a compiler."""

IDENTITY, TANH, RELU, SIGMOID, LEAKY_RELU, HARD_TANH, SOFTPLUS = range(7)
ACTIVATIONS = {
    "identity": IDENTITY,
    "tanh": TANH,
    "relu": RELU,
    "sigmoid": SIGMOID,
    "leaky_relu": LEAKY_RELU,
    "hard_tanh": HARD_TANH,
    "softplus": SOFTPLUS,
}
"""What compiled code is told, by name; the functions are in `.activations`."""
