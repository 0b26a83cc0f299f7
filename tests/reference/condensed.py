"""Slow, readable twin of the condensed solver: NumPy, one sequence and one step after the other."""

import numpy as np

ACTIVATIONS = {
    "identity": (lambda a: a, lambda a: np.ones_like(a)),
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "relu": (lambda a: np.maximum(a, 0), lambda a: (a > 0).astype(float)),
    "sigmoid": (
        lambda a: 1 / (1 + np.exp(-a)),
        lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2,
    ),
    "leaky_relu": (
        lambda a: np.where(a > 0, a, 0.01 * a),
        lambda a: np.where(a > 0, 1.0, 0.01),
    ),
    "hard_tanh": (lambda a: np.clip(a, -1, 1), lambda a: (abs(a) < 1).astype(float)),
    "softplus": (lambda a: np.logaddexp(0, a), lambda a: 1 / (1 + np.exp(-a))),
}


def one_hot(tokens, size):
    """Tokens (n_cases, n_timepoints) as channels (n_cases, n_timepoints, size)."""
    return np.eye(size)[tokens]


def simulate(theta, activation, X, initial=None):
    """Pre-activations and states, (n_cases, n_timepoints, H), of inputs X."""
    f, _ = ACTIVATIONS[activation]
    n_cases, n_timepoints, _ = X.shape
    hidden = len(theta)
    a = np.zeros((n_cases, n_timepoints, hidden))
    s = np.zeros_like(a)
    for n in range(n_cases):
        state = np.zeros(hidden) if initial is None else initial[n]
        for t in range(n_timepoints):
            a[n, t] = theta @ np.concatenate([X[n, t], [1], state])
            state = s[n, t] = f(a[n, t])
    return a, s


def loss_terms(outputs, targets, loss):
    """Loss and gradient of each output row."""
    if loss == "squared":
        return 0.5 * ((outputs - targets) ** 2).sum(-1), outputs - targets
    shifted = outputs - outputs.max(-1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
    picked = np.take_along_axis(p, targets[..., None], -1)[..., 0]
    return -np.log(picked), p - np.eye(outputs.shape[-1])[targets]


def mean_loss(theta, phi, activation, X, y, loss, readout, initial=None):
    """Mean loss over all loss terms."""
    _, s = simulate(theta, activation, X, initial)
    states = s[:, -1] if readout == "last" else s
    return loss_terms(states @ phi[:, 1:].T + phi[:, 0], y, loss)[0].mean()


def multipliers(theta, phi, activation, X, y, loss, readout, safeguard, initial=None):
    """Multipliers (n_cases, n_timepoints, H), output gradients, growth γ, and the states."""
    _, slope = ACTIVATIONS[activation]
    a, s = simulate(theta, activation, X, initial)
    n_cases, n_timepoints, _ = s.shape
    W, V = theta[:, X.shape[2] + 1 :], phi[:, 1:]
    delta = loss_terms(s @ V.T + phi[:, 0], y[:, None] if readout == "last" else y, loss)[1]
    terms = n_cases * (1 if readout == "last" else n_timepoints)
    delta = delta / terms
    if readout == "last":
        delta[:, :-1] = 0
    lambda_, growth = np.zeros_like(s), []
    for n in range(n_cases):
        lambda_[n, -1] = (delta[n, -1] @ V) * slope(a[n, -1])
        for t in range(n_timepoints - 2, -1, -1):
            later = np.linalg.norm(lambda_[n, t + 1])
            carried = (lambda_[n, t + 1] @ W) * slope(a[n, t])
            length = np.linalg.norm(carried)
            if later > 0 and length > 0:
                growth.append(np.log(length / later))
            if safeguard and length > later:
                carried *= later / length
            lambda_[n, t] = carried + (delta[n, t] @ V) * slope(a[n, t])
    return lambda_, delta, float(np.mean(growth)) if growth else 0.0, s


def sums(theta, phi, activation, X, y, loss, readout, safeguard, initial=None):
    """Multiplier sums and Grams ``(g, R)`` of Θ and of Φ, and the growth."""
    lambda_, delta, growth, s = multipliers(
        theta, phi, activation, X, y, loss, readout, safeguard, initial
    )
    before = np.zeros_like(s)
    before[:, 1:] = s[:, :-1]
    if initial is not None:
        before[:, 0] = initial
    ones = np.ones((*s.shape[:2], 1))
    z = np.concatenate([X, ones, before], 2).reshape(-1, theta.shape[1])
    q = np.concatenate([ones, s], 2)
    if readout == "last":
        q, delta = q[:, -1], delta[:, -1]
    q, delta = q.reshape(-1, phi.shape[1]), delta.reshape(-1, len(phi))
    g = lambda_.reshape(-1, len(theta)).T @ z
    return (g, z.T @ z / len(z)), (delta.T @ q, q.T @ q / len(q)), growth


class Block:
    """Weights with averaged Gram, momentum and penalties, by dense inverses."""

    def __init__(self, weights, eta=0.03):
        self.weights, self.average, self.eta = weights.copy(), weights.copy(), eta
        self.gram, self.m, self.v, self.k = 0.0, 0.0, 0.0, 0

    def step(self, g, gram, decay, shrinkage=0.0, columns=slice(0, 0), others=0.0):
        """One update; the growth guard shrinks some columns first.

        ``others`` is what the units' columns outside this block add to the squares.
        """
        self.k += 1
        k = self.k
        beta = min(0.95, 1 - 1 / k)
        self.gram = beta * self.gram + (1 - beta) * gram
        if k < 10 or k % 5 == int(5 * (k // 5 * (5**0.5 - 1) / 2 % 1)):
            n = len(gram)
            self.inverse = np.linalg.inv(self.gram + 0.2 * np.trace(self.gram) / n * np.eye(n))
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.99 * self.v + 0.01 * (((g @ self.inverse) * g).sum(1) + others)
        m = self.m / (1 - 0.9**k)
        size = ((m @ self.inverse) * m).sum(1) + others
        self.rho = np.sqrt(np.maximum(self.v / (1 - 0.99**k), size)) / (self.eta * decay)
        self.weights[:, columns] *= 1 - shrinkage
        self.weights = self.weights - m @ self.inverse / self.rho[:, None]
        self.alpha = min(0.98, 1 - 9 / (k + 8))
        self.average = self.alpha * self.average + (1 - self.alpha) * self.weights


def guard(growth, decay):
    """Relative shrinkage of the recurrent weights in one step."""
    return max(0.0, 2 * decay - 1) * min(0.04, 0.2 * max(0.0, growth))


def outputs(theta, phi, activation, X, y, loss, readout):
    """Outputs with a target, and the gradients of their loss."""
    _, s = simulate(theta, activation, X)
    o = (s[:, -1] if readout == "last" else s) @ phi[:, 1:].T + phi[:, 0]
    return o, loss_terms(o, y, loss)[1]


class Auto:
    """The step length that follows how far a step takes the outputs of its mini-batch."""

    def __init__(self, cases, terms, rows):
        self.bound = min(0.15, 0.08 * cases**0.5 * terms / rows)
        self.eta = self.bound / 4

    def follow(self, before, after, decay):
        """Steps of full length have a mean divergence of 0.1; a change is 10^(1/2) at most."""
        terms = before[0].size / before[0].shape[-1]
        divergence = ((after[0] - before[0]) * (after[1] - before[1])).sum() / (2 * terms)
        ratio = decay * (0.1 / divergence) ** 0.5
        self.eta = min(self.bound, self.eta * min(max(ratio, 10**-0.5), 10**0.5))


def train(theta, phi, activation, X, y, loss, readout, batches, eta="auto"):
    """Averaged weights after the given mini-batches (a list of arrays of cases)."""
    theta, phi = Block(theta), Block(phi)
    inputs = X.shape[2]
    mean_size = np.mean([len(cases) for cases in batches])
    terms = len(batches[0]) * (1 if readout == "last" else X.shape[1])
    auto = Auto(len(batches[0]), terms, len(batches[0]) * X.shape[1])
    for k, cases in enumerate(batches, 1):
        args = activation, X[cases], y[cases], loss, readout
        of_theta, of_phi, growth = sums(theta.weights, phi.weights, *args, True)
        before = outputs(theta.weights, phi.weights, *args)
        decay = 1 - k / (len(batches) + 1)
        weight = len(cases) / mean_size
        (g, gram), (g_phi, gram_phi) = of_theta, of_phi
        theta.eta = phi.eta = auto.eta if eta == "auto" else eta
        theta.step(weight * g, gram, decay, guard(growth, decay), slice(inputs + 1, None))
        phi.step(weight * g_phi, gram_phi, decay)
        if k < 10 or k % 20 == int(20 * (k // 20 * (5**0.5 - 1) / 2 % 1)):
            auto.follow(before, outputs(theta.weights, phi.weights, *args), decay)
    return theta.average, phi.average
