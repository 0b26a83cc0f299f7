"""Units of the data: training sees inputs and targets of like size, the network raw data.

With x' = (x − m) / d for every channel and y' = (y − n) / e, an affine map of x' is one of x:
``U' x' + b' = (U'/d) x + b' − U' (m/d)`` and ``y = e (V' s + c') + n``. So training moves weights
for x' and y', and folds the units into the weights that it returns.

m is the value at which channels rest (the background of an image, the zeros around a mark or of a
padding), which must not drive the network, or the mean where there is none. d is the largest
deviation from it, but at most 4 times the root mean square of those values that do not rest, so
that an outlier cannot hide all others. n is the mean, and e^2 the mean variance of the outputs: one
number, so that the squared loss weighs the outputs as before.
"""

import warnings
from collections import Counter
from dataclasses import dataclass

import numpy as np

SCALES = ("standard", None)
RESTING = 0.1
"""Share of a channel's values that are one number where the channel rests there."""
PASSED = 0.01
"""A channel passes a value that is no farther outside its values than this share of their range."""
LARGEST = 4.0
"""Largest deviation that sets the unit of a channel, over the root mean square."""
ROUNDING = 4
"""A channel that varies by so many units in the last place of its centre counts as constant."""
_BLOCK = 1 << 20  # numbers read at a time


@dataclass(frozen=True)
class Units:
    """Shift and scale of the inputs' channels and of the targets.

    Attributes
    ----------
    input_shift, input_scale : ndarray
        m and d, (D,) in the network's dtype; (0,) for tokens.
    target_shift : ndarray, (C,)
        n, in the network's dtype; zero for labels.
    target_scale : float
        e; 1 for labels.
    """

    input_shift: np.ndarray
    input_scale: np.ndarray
    target_shift: np.ndarray
    target_scale: float = 1.0

    @classmethod
    def raw(cls, net, tokens):
        """Units in which nothing changes."""
        inputs = 0 if tokens else net.inputs
        return cls(
            np.zeros(inputs, net.dtype),
            np.ones(inputs, net.dtype),
            np.zeros(net.outputs, net.dtype),
        )

    @classmethod
    @np.errstate(all="ignore")
    def of(cls, net, problem, data, share):
        """Units of the data of all owners.

        Parameters
        ----------
        net : RNN
        problem : Problem
        data : fastadmm.batches.Data
            Own part.
        share : fastadmm.batches.Share
        """
        raw, domain = cls.raw(net, problem.tokens), share.domain
        m, d, n, e = raw.input_shift, raw.input_scale, raw.target_shift, 1.0
        if not problem.tokens:
            X, mask = data.X, share.mask()
            m = _resting(X, mask, _mean(X, mask, domain), share)
            size = _size(X, mask, m, domain)
            d = np.where(_varies(size, m, net.dtype, "X: channel", domain), size, 1.0)
        if not problem.classifies:
            y, mask = data.y, share.mask() if problem.every else None
            n = _mean(y, mask, domain)
            spread = np.sqrt(_squares(y, mask, n, domain)[0])
            spread = np.where(_varies(spread, n, net.dtype, "y: output", domain), spread, 0.0)
            e = float(np.sqrt(np.mean(np.square(spread)))) or 1.0
        return cls(m, d.astype(net.dtype), n.astype(net.dtype), e)

    def targets(self, y):
        """y' of some targets."""
        return (y - self.target_shift) * y.dtype.type(1 / self.target_scale)

    @staticmethod
    def _driven(net):
        """Weights of the maps that read the data, with their columns."""
        maps = [each for place in net.places if place.level == 0 for each in net.kind.maps]
        found = zip(net.weights, maps, strict=False)
        return [(own, each.columns(net.inputs)) for own, each in found if each.driven]

    def enter(self, net):
        """Turn weights for x and y into weights for x' and y', in place."""
        for weights, of in self._driven(net):
            drive = weights[:, : len(self.input_shift)].astype(float)
            weights[:, of.bias] += drive @ self.input_shift
            weights[:, : len(self.input_shift)] = drive * self.input_scale
        net.offset[:] -= self.target_shift
        net.phi /= self.target_scale

    def leave(self, weights, net):
        """Write weights for x' and y' into a network that takes x and predicts y."""
        for own, moved in zip(net.weights, weights, strict=True):
            own[:] = moved
        for own, of in self._driven(net):
            drive = own[:, : len(self.input_shift)] / self.input_scale.astype(float)
            own[:, : len(self.input_shift)] = drive
            own[:, of.bias] = own[:, of.bias] - drive @ self.input_shift
        net.phi *= self.target_scale
        net.offset[:] += self.target_shift


def _blocks(values, mask):
    """Rows (r, channels) of an array, some at a time; those where the mask is True."""
    rows = values.reshape(-1, values.shape[-1])
    size = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), size):
        block = slice(start, start + size)
        yield rows[block] if mask is None else rows[block][mask.reshape(-1)[block]]


def _mean(values, mask, domain):
    """Mean of every channel, over all owners."""
    count, total = np.zeros(1), np.zeros(values.shape[-1])
    for block in _blocks(values, mask):
        count += len(block)
        total += block.sum(0, dtype=float)
    domain.sum(count, total)
    return total / count


def _squares(values, mask, centre, domain):
    """Mean square, number of other values, and largest deviation from a centre, by channel."""
    count = np.zeros(1)
    square, others, largest = np.zeros((3, values.shape[-1]))
    for block in _blocks(values, mask):
        deviation = np.subtract(block, centre, dtype=float)
        count += len(block)
        square += np.square(deviation).sum(0)
        others += (deviation != 0).sum(0)
        np.maximum(largest, np.abs(deviation).max(0, initial=0), out=largest)
    domain.sum(count, square, others)
    return square / count, others / count, domain.largest(largest)


def _size(X, mask, m, domain):
    """Size of every channel's deviations from m, 0 where there are none."""
    square, moving, largest = _squares(X, mask, m, domain)
    return np.minimum(largest, LARGEST * np.sqrt(square / np.maximum(moving, 1e-300)))


def _resting(X, mask, mean, share):
    """Value at which a channel rests, in the dtype of X, or its mean.

    Of several such values of a channel the one counts at which most channels rest, the background
    that they share, and then the most frequent. The background counts, too, where a channel rests
    nowhere, but passes it. A sample of cases and time points decides, the same however they are
    shared.
    """
    cases, times = share.sample(256, 4096)
    rows = X[np.ix_(cases, times)].reshape(-1, X.shape[-1])
    if mask is not None:
        rows = rows[mask[np.ix_(cases, times)].reshape(-1)]
    rows = np.sort(np.concatenate(share.domain.gather(rows)), axis=0)
    found = [_frequent(values) for values in rows.T]
    channels = Counter(value for values in found for value in values)
    background = max(channels, key=lambda value: channels[value], default=np.nan)
    centre = mean.astype(X.dtype)
    for channel, values in enumerate(found):
        low, high = rows[[0, -1], channel]
        margin = PASSED * (high - low)
        if values:
            centre[channel] = max(values, key=lambda v: (channels[v], values[v]))
        elif low - margin <= background <= high + margin:
            centre[channel] = background
    return centre


def _frequent(values):
    """Numbers that make up more than `RESTING` of sorted values, and how often they occur."""
    starts = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    lengths = np.diff(starts, append=len(values))
    chosen = lengths > max(1, RESTING * len(values))
    return dict(zip(values[starts[chosen]].tolist(), lengths[chosen].tolist(), strict=True))


def _varies(size, centre, dtype, name, domain):
    """Which sizes are more than rounding beside their centres; the others count as constant."""
    noise = np.maximum(ROUNDING * np.finfo(dtype).eps * np.abs(centre), np.finfo(dtype).tiny)
    lost = np.flatnonzero((size > 0) & (size <= noise))
    if lost.size and domain.is_root:
        k = lost[0]
        warnings.warn(
            f"{name} {k} varies by {size[k]:.2g} around {centre[k]:.9g}, which {np.dtype(dtype)} "
            "cannot tell from a constant: subtract the offset first, or use dtype='float64'",
            stacklevel=2,
        )
    return size > noise
