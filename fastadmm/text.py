"""Text from a trained network, one character at a time."""

import numpy as np

from fastadmm.datasets import encode
from fastadmm.network import RNN


def sample(
    net: RNN, length: int, prompt: str = "\n", temperature: float = 1.0, seed: int = 0
) -> str:
    """Draw characters from a network trained on task text.

    Parameters
    ----------
    net : RNN
    length : int
        Characters to draw.
    prompt : str
        Read first; not returned.
    temperature : float
        Logits are divided by it; 0 takes the likeliest character.
    seed : int

    Returns
    -------
    str
    """
    alphabet = net.task.get("alphabet")
    if alphabet is None:
        raise ValueError("the model was not trained on text: it has no alphabet")
    if not prompt:
        raise ValueError("prompt is empty: expected at least one character")
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature is {temperature}: expected a number, at least 0")
    rng = np.random.default_rng(seed)
    ids = encode(prompt, alphabet, "prompt")[None]
    state, drawn = net.carry(ids), []
    for _ in range(length):
        logits = net.read_out(state[:, : net.hidden])[0].astype(np.float64)
        if temperature == 0:
            drawn.append(int(logits.argmax()))
        else:
            p = np.exp((logits - logits.max()) / temperature)
            drawn.append(int(rng.choice(len(p), p=p / p.sum())))
        state = net.carry(np.array([[drawn[-1]]]), initial=state)
    return "".join(alphabet[i] for i in drawn)
