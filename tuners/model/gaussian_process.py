"""A Gaussian process over mixed and conditional parameters, on plain arrays, and expected improvement.

Recipes are rows of positions (see `tuners.spaces.space`): 0 to 1 for numbers, the index of a category, NaN
where a parameter is not active. Two recipes are correlated by a product over parameters,

    prod_p (1 - w_p (1 - s_p)),    w_p = 1 - exp(-theta_p),

of their similarities s_p: for categories 1 if equal, else 0; for numbers 1 / (1 + (difference / LENGTH)^2); 1
if the parameter is active in neither recipe, 0 if in one only. Each factor is a constant plus a positive
definite kernel, so the product is positive definite, for conditional parameters too. theta_p says how much
parameter p matters.

Sources: Gaussian processes and marginal likelihood, Rasmussen and Williams, Gaussian Processes for Machine
Learning, 2006, chapters 2 and 5; kernels of conditional parameters, Hutter and Osborne, arXiv:1310.5738,
whose distance between active and inactive is a constant, too; expected improvement, Jones, Schonlau and
Welch, Efficient Global Optimization of Expensive Black-Box Functions, 1998.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

LENGTH = 0.5  # the difference of two numbers at which their similarity is one half
SPREAD = 1.0  # standard deviation of the logarithms of theta and nugget, in their priors
DEGREES = 2.0
LARGEST = 1.5  # the largest logarithm of theta: w is .99
JITTER = 1e-8
ABSENT = 1e9  # stands for the position of a parameter that is not active: far from any, and equal to itself
STEPS = 25  # of the optimiser


def similarity(one: np.ndarray, other: np.ndarray, category: bool, length: float = LENGTH) -> np.ndarray:
    """s (n, m) of one parameter's positions (n,) and (m,)."""
    one, other = (np.where(np.isnan(positions), ABSENT, positions) for positions in (one, other))
    if category:
        return (one[:, None] == other).astype(float)
    found = (one[:, None] - other) / length  # then in place: most of a suggestion's time is spent here
    found *= found
    found += 1
    return np.reciprocal(found, out=found)


@dataclass(frozen=True)
class Kernel:
    """`categories` (parameters,): which parameters have no order; `theta` (parameters,): how much each
    matters; `nugget`: variance of a score's noise, as a multiple of the process's variance."""

    categories: np.ndarray
    theta: np.ndarray
    nugget: float
    length: float = LENGTH

    def correlation(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """(n, m), of recipes (n, parameters) and (m, parameters)."""
        found = np.ones((len(one), len(other)))
        for ours, theirs, category, theta in zip(one.T, other.T, self.categories, self.theta, strict=True):
            which: np.ndarray | slice = slice(None)
            if category:  # the few different rows are made once: most of a suggestion's time is spent here
                ours, which = np.unique(ours, return_inverse=True)
            weight = -math.expm1(-theta)
            factor = similarity(ours, theirs, category, self.length)
            factor *= weight
            factor += 1 - weight
            found *= factor[which]
        return found


@dataclass(frozen=True)
class Prior:
    """Medians of the lognormal priors of the sum of theta and of the nugget; the length; the prior of the
    variance of the process (inverse gamma): as if DEGREES values of this `deviation` had been seen; the
    default is for scores in the units of `tuners.model.curves.scaled`."""

    theta: float = 0.6
    nugget: float = 0.05
    length: float = LENGTH
    deviation: float = 0.1

    def kernel(self, categories: np.ndarray) -> Kernel:
        """The kernel without any score known."""
        return Kernel(
            categories, np.full(len(categories), self.theta / len(categories)), self.nugget, self.length
        )

    def variance(self, squares: float, count: int) -> float:
        """The process's variance, from the residuals' squares in terms of the inverse correlation. Without a
        prior, two or three scores that happen to be close would make the process certain of everything."""
        return (squares + DEGREES * self.deviation**2) / (count + DEGREES)


SCORES = Prior()


def fit(recipes: np.ndarray, scores: np.ndarray, categories: np.ndarray, prior: Prior = SCORES) -> Kernel:
    """The kernel of the highest posterior density, given scores (n,) of recipes (n, parameters).

    theta and nugget have lognormal priors; the mean and the variance of the process are those of the highest
    likelihood for them.
    """
    count, width = recipes.shape
    pairs = zip(recipes.T, categories, strict=True)
    unlike = np.array([1 - similarity(column, column, category, prior.length) for column, category in pairs])
    centre = np.log(np.r_[np.full(width, prior.theta / width), prior.nugget])

    def cost(logs: np.ndarray) -> tuple[float, np.ndarray]:
        theta, nugget = np.exp(logs[:-1]), np.exp(logs[-1])
        weight = -np.expm1(-theta)
        factors = 1 - weight[:, None, None] * unlike
        correlation = factors.prod(0)
        root = cholesky(correlation + (nugget + JITTER) * np.eye(count), lower=True, check_finite=False)
        inverse = cho_solve((root, True), np.eye(count), check_finite=False)
        residual = scores - inverse.sum(0) @ scores / inverse.sum()
        solved = inverse @ residual
        variance = prior.variance(residual @ solved, count)
        off = (logs - centre) / SPREAD
        value = 0.5 * (count + DEGREES) * math.log(variance) + np.log(root.diagonal()).sum() + 0.5 * off @ off
        # d cost / d matrix of correlations, then through each parameter's factor.
        slope = 0.5 * (inverse - np.outer(solved, solved) / variance)
        through = -(theta * np.exp(-theta)) * np.einsum("ij,pij->p", slope * correlation, unlike / factors)
        return value, np.r_[through, nugget * slope.trace()] + off / SPREAD

    bounds = [(middle - 5 * SPREAD, min(middle + 5 * SPREAD, LARGEST)) for middle in centre]
    found = minimize(cost, centre, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x
    return Kernel(categories, np.exp(found[:-1]), float(np.exp(found[-1])), prior.length)


class Posterior:
    """The process, given scores (n,) of recipes (n, parameters).

    `noise` (n,): variance of each score beyond the nugget's, in the scores' unit squared. `mean` and
    `variance` of the process are of the highest likelihood unless they are given.
    """

    def __init__(
        self,
        kernel: Kernel,
        recipes: np.ndarray,
        scores: np.ndarray,
        noise: np.ndarray | None = None,
        mean: float | None = None,
        variance: float | None = None,
    ):
        self.kernel, self.recipes, self.scores = kernel, recipes, scores
        self.noise = np.zeros(len(scores)) if noise is None else noise
        correlation = kernel.correlation(recipes, recipes)
        correlation[np.diag_indices_from(correlation)] += kernel.nugget + JITTER
        if variance is None:
            self._solve(correlation, mean)
            variance = SCORES.variance((scores - self.mean) @ self._solved, len(scores))
        self.variance = variance
        correlation[np.diag_indices_from(correlation)] += self.noise / variance
        self._solve(correlation, mean)

    def _solve(self, correlation: np.ndarray, mean: float | None) -> None:
        self._root = cholesky(correlation, lower=True, check_finite=False)
        ones = cho_solve((self._root, True), np.ones(len(self.scores)), check_finite=False)
        self.mean = float(ones @ self.scores / ones.sum()) if mean is None else mean
        self._solved = cho_solve((self._root, True), self.scores - self.mean, check_finite=False)

    def believing(self, recipes: np.ndarray) -> "Posterior":
        """The process as if recipes (m, parameters) had been observed at their posterior means."""
        if not len(recipes):
            return self
        return Posterior(
            self.kernel,
            np.concatenate([self.recipes, recipes]),
            np.r_[self.scores, self.mean_at(recipes)],
            np.r_[self.noise, np.zeros(len(recipes))],
            self.mean,
            self.variance,
        )

    def at(self, recipes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and standard deviation (m,) of the noiseless score of recipes (m, parameters)."""
        across = self.kernel.correlation(self.recipes, recipes)
        explained = solve_triangular(self._root, across, lower=True, check_finite=False)
        left = np.maximum(1 - np.einsum("nm,nm->m", explained, explained), 1e-10)
        return self.mean + across.T @ self._solved, np.sqrt(self.variance * left)

    def left_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance (n,) of each score as the others predict it, with all its noise (Rasmussen and
        Williams, 2006, 5.4.2)."""
        inverse = cho_solve((self._root, True), np.eye(len(self.scores)), check_finite=False).diagonal()
        return self.scores - self._solved / inverse, self.variance / inverse

    def mean_at(self, recipes: np.ndarray) -> np.ndarray:
        """The posterior mean alone, which is faster."""
        return self.mean + self.kernel.correlation(self.recipes, recipes).T @ self._solved


def log_expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """log E[max(0, score - best)] of normal scores, exact far below `best`, too (Ament and others, 2023,
    arXiv:2310.20708)."""
    z = (mean - best) / deviation
    near = np.maximum(z, -1)
    log_near = np.log(_density(near) + near * ndtr(near))
    # Below, density + z * cdf = density * (1 - |z| * cdf / density); the second factor tends to 1 / (z^2 +
    # 3).
    far = np.minimum(z, -1)
    log_density = -0.5 * far**2 - 0.5 * math.log(2 * math.pi)
    rest = 1 - np.exp(np.log(-far) + log_ndtr(far) - log_density)
    log_far = log_density + np.log(np.maximum(rest, 1 / (far**2 + 3)))
    return np.log(deviation) + np.where(z > -1, log_near, log_far)


NODES, MASSES = (part[::-1] for part in np.polynomial.hermite_e.hermegauss(17))  # the highest first
MASSES = MASSES / MASSES.sum()


def log_improvement_rate(
    mean: np.ndarray,
    deviation: np.ndarray,
    best: float,
    precision: np.ndarray,
    fraction: np.ndarray,
    left: np.ndarray,
) -> np.ndarray:
    """The logarithm (m,) of the largest expected improvement over `best` per training, of trainings that may
    be given up after their next part. Of a whole training `left` is left, `fraction` is the next part.

    The final score is normal (`mean`, `deviation`); the next part shows it with an error of this `precision`
    (1 / variance). Then only trainings that look good enough go on. The rate is the largest, over the limits
    of what is good enough, of expected improvement / expected cost; without a limit it is expected
    improvement / `left`. It is the Gittins index of the training (Weitzman, Optimal Search for the Best
    Alternative, 1979), as far as one part ahead shows it.
    """
    signal_to_noise = deviation**2 * precision
    after = mean[:, None] + (deviation * np.sqrt(signal_to_noise / (1 + signal_to_noise)))[:, None] * NODES
    still_open = (deviation / np.sqrt(1 + signal_to_noise))[:, None]
    gains = log_expected_improvement(after, still_open, best) + np.log(MASSES)
    cost = fraction[:, None] + (left - fraction)[:, None] * np.cumsum(MASSES)
    cost = np.maximum(cost, 1e-9)  # of one that was interrupted after its last epoch, nothing is left
    return (np.logaddexp.accumulate(gains, axis=1) - np.log(cost)).max(1)


def _density(z: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
