r"""Tabular Markov decision processes: episodes to average over, and exact values by dynamic programming.

An episode has T steps. In state s the policy draws an action a with probability
:math:`\pi_\theta(a \mid s) = \exp \theta_{s,a} / \sum_b \exp \theta_{s,b}`, the reward is r(s, a), and the
next state is s' with probability P(s, a, s'). With the discount γ the objective is

.. math:: J(\theta) = \mathbb{E}\Bigl[\sum_{t<T} \gamma^t\, \bigl(r(s_t, a_t) + \alpha\, h_t\bigr)\Bigr],

where the bonus :math:`h_t` is absent (α = 0), sampled, :math:`-\log \pi_\theta(a_t \mid s_t)`, or the entropy
:math:`H(\pi_\theta(\cdot \mid s_t))`. Both bonuses have the same mean.

The exact values come from backward recursions over all states; the estimators see episodes only, and take their
scores from :class:`gradlib.ArrayLaw`.

Source: Sutton and Barto (2018), *Reinforcement learning: an introduction*; Sutton, McAllester, Singh and Mansour
(2000), *Policy gradient methods for reinforcement learning with function approximation*.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import sympy as sp
from sympy.stats import FiniteRV

from gradlib.arrays import ArrayLaw


@dataclass(frozen=True)
class Episodes:
    """n episodes of T steps.

    Attributes:
        states, actions: whole numbers, of shape ``(n, T)``.
        rewards: of shape ``(n, T)``, without discount.
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray


@dataclass(frozen=True, eq=False)
class MDP:
    """A tabular Markov decision process with episodes of a fixed length.

    Attributes:
        transitions: P, of shape ``(S, A, S)``; each ``P[s, a]`` sums to 1.
        rewards: r, of shape ``(S, A)``.
        start: the distribution of the first state, of shape ``(S,)``.
        horizon: T, the number of steps.
        discount: γ, in (0, 1].

    Raises:
        ValueError: for shapes that do not fit, probabilities that do not sum to 1, an episode
            of no steps, or a discount outside (0, 1].

    Examples:
        >>> import numpy as np
        >>> from _lib.mdp import gridworld
        >>> world = gridworld()
        >>> world.states, world.actions
        (25, 4)
        >>> theta = np.zeros((25, 4))
        >>> episodes = world.rollout(np.random.default_rng(0), theta, 1000)
        >>> episodes.states.shape == (1000, world.horizon)
        True
    """

    transitions: np.ndarray
    rewards: np.ndarray
    start: np.ndarray
    horizon: int
    discount: float

    def __post_init__(self):
        S, A = self.rewards.shape
        if self.transitions.shape != (S, A, S) or self.start.shape != (S,):
            raise ValueError(
                f"rewards of shape ({S}, {A}) need transitions of shape ({S}, {A}, {S}) and a start of shape ({S},); "
                f"got {self.transitions.shape} and {self.start.shape}"
            )
        for name, p in (("transitions", self.transitions), ("start", self.start)):
            if (p < 0).any() or not np.allclose(p.sum(axis=-1), 1):
                raise ValueError(f"{name}: probabilities must be non-negative and sum to 1")
        if self.horizon < 1:
            raise ValueError(f"an episode needs at least one step, got horizon={self.horizon}")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount must be in (0, 1], got {self.discount}")

    @property
    def states(self) -> int:
        return self.rewards.shape[0]

    @property
    def actions(self) -> int:
        return self.rewards.shape[1]

    # --- episodes ------------------------------------------------------------------

    def rollout(self, rng: np.random.Generator, theta: np.ndarray, n: int) -> Episodes:
        """n independent episodes under the softmax policy with logits theta, of shape ``(S, A)``."""
        policy = softmax(self._checked(theta)).cumsum(axis=1)
        moves, start = self.transitions.cumsum(axis=2), self.start.cumsum()
        states, actions = np.empty((n, self.horizon), int), np.empty((n, self.horizon), int)
        s = _pick(rng, np.broadcast_to(start, (n, self.states)))
        for t in range(self.horizon):
            a = _pick(rng, policy[s])
            states[:, t], actions[:, t] = s, a
            s = _pick(rng, moves[s, a])
        return Episodes(states, actions, self.rewards[states, actions])

    def _checked(self, theta: np.ndarray) -> np.ndarray:
        theta = np.asarray(theta)
        if theta.shape != self.rewards.shape:
            raise ValueError(f"theta must be an array of logits of shape {self.rewards.shape}, got {theta.shape}")
        return theta

    # --- exact, by dynamic programming ----------------------------------------------

    def values(self, theta: np.ndarray, alpha: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        r"""State and action values, backwards in time.

        .. math:: Q_t(s, a) = r(s, a) + \gamma \sum_{s'} P(s, a, s')\, V_{t+1}(s'), \qquad
                  V_t(s) = \sum_a \pi(a \mid s)\,(Q_t(s, a) - \alpha \log \pi(a \mid s)), \qquad V_T = 0

        Returns:
            V of shape ``(T + 1, S)`` and Q of shape ``(T, S, A)``; not discounted to time 0. Complex if theta is.
        """
        theta = self._checked(theta)
        log_policy = theta - _log_sum(theta)
        policy = np.exp(log_policy)
        V = np.zeros((self.horizon + 1, self.states), theta.dtype if np.iscomplexobj(theta) else float)
        Q = np.zeros((self.horizon, self.states, self.actions), V.dtype)
        for t in reversed(range(self.horizon)):
            Q[t] = self.rewards + self.discount * self.transitions @ V[t + 1]
            V[t] = (policy * (Q[t] - alpha * log_policy)).sum(axis=1)
        return V, Q

    def value(self, theta: np.ndarray, alpha: float = 0.0) -> float:
        """J(θ), exactly."""
        return self.start @ self.values(theta, alpha)[0][0]

    def gradient(self, theta: np.ndarray, alpha: float = 0.0) -> np.ndarray:
        r"""∇J, of shape ``(S, A)``, by the complex step: :math:`\operatorname{Im} J(\theta + i h e)/h`.

        J is analytic in θ, so the error is of the order h² with h = 10⁻³⁰: none in double precision. No formula for a
        gradient, and no score, enters.
        """
        theta, step = np.asarray(theta, float), 1e-30
        gradient = np.empty(theta.shape)
        for index in np.ndindex(theta.shape):
            moved = theta.astype(complex)
            moved[index] += 1j * step
            gradient[index] = self.value(moved, alpha).imag / step
        return gradient

    def occupancy(self, theta: np.ndarray) -> np.ndarray:
        """The probability of each state at each time, of shape ``(T, S)``."""
        policy, d = softmax(self._checked(theta)), np.empty((self.horizon, self.states))
        d[0] = self.start
        for t in range(1, self.horizon):
            d[t] = np.einsum("s,sa,sab->b", d[t - 1], policy, self.transitions)
        return d

    def soft_optimum(self, alpha: float) -> tuple[np.ndarray, np.ndarray]:
        r"""Soft value iteration over the horizon: the best policy of all, which may depend on time.

        .. math:: V^*_t(s) = \alpha \log \sum_a \exp(Q^*_t(s, a)/\alpha), \qquad
                  \pi^*_t(a \mid s) = \exp((Q^*_t(s, a) - V^*_t(s))/\alpha)

        Returns:
            V* of shape ``(T + 1, S)`` and π* of shape ``(T, S, A)``.
        """
        if not alpha > 0:
            raise ValueError(f"the temperature alpha must be positive, got {alpha}")
        V = np.zeros((self.horizon + 1, self.states))
        policy = np.empty((self.horizon, self.states, self.actions))
        for t in reversed(range(self.horizon)):
            Q = self.rewards + self.discount * self.transitions @ V[t + 1]
            V[t] = alpha * _log_sum(Q / alpha)[:, 0]
            policy[t] = np.exp((Q - V[t][:, None]) / alpha)
        return V, policy


# --- estimators: from episodes to gradients ----------------------------------------------


@lru_cache(maxsize=None)
def softmax_law(actions: int) -> ArrayLaw:
    """One action by its logits, elementwise on arrays: the score comes from this."""
    logits = sp.symbols(f"l0:{actions}", real=True)
    weights = [sp.exp(logit) for logit in logits]
    return ArrayLaw(FiniteRV("a", {a: w / sum(weights) for a, w in enumerate(weights)}))


def scores(theta: np.ndarray, episodes: Episodes) -> np.ndarray:
    r""":math:`\partial \log \pi(a_t \mid s_t) / \partial \theta_{s_t, b}` by step and action b: ``(n, T, A)``."""
    policy = softmax_law(theta.shape[1])
    at = {symbol: theta[episodes.states, b] for b, symbol in enumerate(policy.parameters)}
    return np.stack(list(policy.score(episodes.actions, at).values()), axis=-1)


def log_policy(theta: np.ndarray, episodes: Episodes) -> np.ndarray:
    """log π(a_t | s_t), of shape ``(n, T)``."""
    policy = softmax_law(theta.shape[1])
    return policy.log_density(
        episodes.actions, {symbol: theta[episodes.states, b] for b, symbol in enumerate(policy.parameters)}
    )


def weighted_scores(theta: np.ndarray, episodes: Episodes, weights: np.ndarray) -> np.ndarray:
    r"""The gradient of each episode, :math:`\sum_t w_t \nabla_\theta \log \pi(a_t \mid s_t)`, of shape ``(n, S, A)``.

    Args:
        theta: logits, of shape ``(S, A)``.
        episodes: n episodes of T steps.
        weights: of shape ``(n, T)``; see :func:`returns` and :func:`rewards_to_go`.
    """
    return scatter(theta, episodes, weights[..., None] * scores(theta, episodes))


def scatter(theta: np.ndarray, episodes: Episodes, steps: np.ndarray) -> np.ndarray:
    """Sum what belongs to the steps' states, of shape ``(n, T, A)``, into arrays of shape ``(n, S, A)``."""
    (n, _), (S, A) = episodes.states.shape, theta.shape
    row = np.arange(n)[:, None] * S + episodes.states
    flat = (row[..., None] * A + np.arange(A)).ravel()
    return np.bincount(flat, steps.ravel(), n * S * A).reshape(n, S, A)


def returns(rewards: np.ndarray, discount: float) -> np.ndarray:
    r"""The discounted return :math:`\sum_k \gamma^k r_k` of each episode, repeated for every step: shape ``(n, T)``."""
    total = rewards @ discount ** np.arange(rewards.shape[1])
    return np.broadcast_to(total[:, None], rewards.shape)


def rewards_to_go(rewards: np.ndarray, discount: float) -> np.ndarray:
    r""":math:`\sum_{k \ge t} \gamma^{k - t} r_k` for each step t, discounted to that step: shape ``(n, T)``."""
    total, result = np.zeros(len(rewards)), np.empty(rewards.shape)
    for t in reversed(range(rewards.shape[1])):
        total = rewards[:, t] + discount * total
        result[:, t] = total
    return result


# --- a world ---------------------------------------------------------------------------


def gridworld(size: int = 5, slip: float = 0.2, horizon: int = 30, discount: float = 0.95) -> MDP:
    """A square of rooms. A step costs 0.1, the pit in the middle costs 1, and the far corner pays 1 and is never left.

    Args:
        size: the length of a side, at least 3; there are size² states, and 4 actions.
        slip: the probability of going sideways instead (half of it to each side). Walls keep you where you are.
        horizon: steps in an episode.
        discount: γ.
    """
    if size < 3:
        raise ValueError(f"the square needs a side of at least 3, got {size}")
    if not 0 <= slip <= 1:
        raise ValueError(f"slip is a probability, got {slip}")
    directions = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])  # right, down, left, up
    S, goal, pit = size * size, size * size - 1, (size // 2) * size + size // 2
    P, r = np.zeros((S, 4, S)), np.full((S, 4), -0.1)
    for s in range(S):
        for a in range(4):
            for turn, probability in ((0, 1 - slip), (1, slip / 2), (-1, slip / 2)):
                row, column = np.clip(np.array(divmod(s, size)) + directions[(a + turn) % 4], 0, size - 1)
                P[s, a, row * size + column] += probability
    P[goal] = np.eye(S)[goal]
    r[goal], r[pit] = 1.0, -1.0
    return MDP(P, r, np.eye(S)[0], horizon, discount)


# --- small tools -------------------------------------------------------------------------


def softmax(theta: np.ndarray) -> np.ndarray:
    """Probabilities of the actions, row by row."""
    return np.exp(theta - _log_sum(theta))


def _log_sum(theta: np.ndarray) -> np.ndarray:
    """log Σ exp of each row, for complex numbers as well."""
    top = theta.real.max(axis=-1, keepdims=True)
    return top + np.log(np.exp(theta - top).sum(axis=-1, keepdims=True))


def _pick(rng: np.random.Generator, cumulated: np.ndarray) -> np.ndarray:
    """One index a row, from cumulated probabilities."""
    u = rng.random(len(cumulated))
    index = (u[:, None] < cumulated).argmax(axis=1)  # the first that exceeds u
    index[u >= cumulated[:, -1]] = cumulated.shape[1] - 1  # rounding may leave none
    return index
