"""Tabular decision processes: the exact values against enumeration, the estimators against the exact gradient."""

import itertools

import numpy as np
import pytest

import gradlib as gl
from _lib.mdp import (
    MDP,
    gridworld,
    log_policy,
    returns,
    rewards_to_go,
    scatter,
    scores,
    softmax,
    softmax_law,
    weighted_scores,
)


def tiny(horizon=3, discount=0.9, seed=0):
    rng = np.random.default_rng(seed)
    P = rng.random((3, 2, 3))
    return MDP(
        P / P.sum(axis=2, keepdims=True), rng.standard_normal((3, 2)), np.array([0.5, 0.3, 0.2]), horizon, discount
    )


def by_enumeration(mdp, theta, alpha=0.0):
    """J as the sum over all trajectories, with no recursion."""
    pi, total = softmax(theta), 0.0
    for steps in itertools.product(itertools.product(range(3), range(2)), repeat=mdp.horizon):
        probability, gain = mdp.start[steps[0][0]], 0.0
        for t, (s, a) in enumerate(steps):
            probability *= pi[s, a]
            if t + 1 < mdp.horizon:
                probability *= mdp.transitions[s, a, steps[t + 1][0]]
            gain += mdp.discount**t * (mdp.rewards[s, a] - alpha * np.log(pi[s, a]))
        total += probability * gain
    return total


THETA = np.random.default_rng(1).standard_normal((3, 2))


@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_value_and_gradient_by_enumeration(alpha):
    mdp = tiny()
    assert mdp.value(THETA, alpha) == pytest.approx(by_enumeration(mdp, THETA, alpha), rel=1e-12)
    gradient, h = mdp.gradient(THETA, alpha), 1e-5
    for index in np.ndindex(3, 2):
        move = np.zeros((3, 2))
        move[index] = h
        central = (by_enumeration(mdp, THETA + move, alpha) - by_enumeration(mdp, THETA - move, alpha)) / (2 * h)
        assert gradient[index] == pytest.approx(central, abs=1e-8)


def test_occupancy_is_that_of_the_episodes():
    mdp = tiny(horizon=5)
    episodes, d = mdp.rollout(np.random.default_rng(0), THETA, 40_000), mdp.occupancy(THETA)
    assert d.sum(axis=1) == pytest.approx(1)
    for t in range(5):
        seen = np.bincount(episodes.states[:, t], minlength=3) / 40_000
        assert np.abs(seen - d[t]).max() < 5 * np.sqrt(0.25 / 40_000)


def test_episodes_follow_policy_transitions_and_rewards():
    mdp = tiny(horizon=4)
    e = mdp.rollout(np.random.default_rng(2), THETA, 50_000)
    pi = softmax(THETA)
    for s, a in np.ndindex(3, 2):
        here = (e.states == s)[:, :-1]
        share = (e.actions[:, :-1] == a)[here].mean()
        assert abs(share - pi[s, a]) < 5 * np.sqrt(0.25 / here.sum())
        here &= e.actions[:, :-1] == a
        following = np.bincount(e.states[:, 1:][here], minlength=3) / here.sum()
        assert np.abs(following - mdp.transitions[s, a]).max() < 5 * np.sqrt(0.25 / here.sum())
    assert np.array_equal(e.rewards, mdp.rewards[e.states, e.actions])


def estimator(mdp, theta, kind):
    V, _ = mdp.values(theta)
    g = mdp.discount ** np.arange(mdp.horizon)

    def draw(rng, n):
        e = mdp.rollout(rng, theta, n)
        weights = {
            "whole": lambda: returns(e.rewards, mdp.discount),
            "to go": lambda: g * rewards_to_go(e.rewards, mdp.discount),
            "baseline": lambda: g * (rewards_to_go(e.rewards, mdp.discount) - V[np.arange(mdp.horizon), e.states]),
            "no discount": lambda: rewards_to_go(e.rewards, mdp.discount),
        }[kind]()
        return weighted_scores(theta, e, weights)

    return draw


@pytest.mark.parametrize("kind", ["whole", "to go", "baseline"])
def test_unbiased_variants(kind):
    mdp = tiny(horizon=6)
    e = gl.monte_carlo(estimator(mdp, THETA, kind), 100_000, rng=0, block=2**13)
    assert np.abs(e.z(mdp.gradient(THETA))).max() < 5


def test_leaving_out_the_discount_is_seen():
    """A bias of the size that the exact mean of this estimator says."""
    mdp = tiny(horizon=6)
    e = gl.monte_carlo(estimator(mdp, THETA, "no discount"), 100_000, rng=0, block=2**13)
    assert np.abs(e.z(mdp.gradient(THETA))).max() > 10
    (V, Q), d, pi = mdp.values(THETA), mdp.occupancy(THETA), softmax(THETA)
    mean = sum(d[t][:, None] * pi * (Q[t] - V[t][:, None]) for t in range(6))
    assert np.abs(e.z(mean)).max() < 5


def test_the_scores_are_those_of_the_density():
    mdp = tiny()
    e = mdp.rollout(np.random.default_rng(0), THETA, 10)
    expected = (e.actions[..., None] == np.arange(2)) - softmax(THETA)[e.states]
    assert scores(THETA, e) == pytest.approx(expected, abs=1e-12)
    assert log_policy(THETA, e) == pytest.approx(np.log(softmax(THETA)[e.states, e.actions]))
    assert softmax_law(2) is softmax_law(2)


def test_scatter_adds_up_what_belongs_to_a_state():
    mdp = tiny(horizon=4)
    e = mdp.rollout(np.random.default_rng(0), THETA, 7)
    steps = np.random.default_rng(1).standard_normal((7, 4, 2))
    expected = np.zeros((7, 3, 2))
    for i, t in np.ndindex(7, 4):
        expected[i, e.states[i, t]] += steps[i, t]
    assert scatter(THETA, e, steps) == pytest.approx(expected)


def test_returns():
    rewards = np.array([[1.0, 2.0, 4.0]])
    assert returns(rewards, 0.5).tolist() == [[3.0, 3.0, 3.0]]
    assert rewards_to_go(rewards, 0.5).tolist() == [[3.0, 4.0, 4.0]]


def test_no_policy_beats_the_soft_optimum():
    mdp, alpha = tiny(horizon=4), 0.3
    V, policy = mdp.soft_optimum(alpha)
    assert policy.sum(axis=2) == pytest.approx(1)
    best = mdp.start @ V[0]
    assert all(mdp.value(np.random.default_rng(i).standard_normal((3, 2)) * 3, alpha) < best for i in range(50))
    one_step = tiny(horizon=1)  # here the optimum does not depend on time, and a softmax policy reaches it
    assert one_step.value(one_step.rewards / alpha, alpha) == pytest.approx(
        one_step.start @ one_step.soft_optimum(alpha)[0][0]
    )


def test_gridworld():
    world = gridworld()
    assert world.states == 25 and world.actions == 4
    assert world.transitions[0, 0, 1] == pytest.approx(0.8) and world.transitions[0, 0, 5] == pytest.approx(0.1)
    assert world.transitions[0, 0, 0] == pytest.approx(0.1), "the wall above"
    assert np.array_equal(world.transitions[24], np.eye(25)[[24] * 4]), "the goal is never left"


@pytest.mark.parametrize(
    "change, message",
    [
        ({"transitions": np.ones((3, 2, 3))}, "transitions: probabilities"),
        ({"transitions": np.ones((3, 3))}, "need transitions of shape"),
        ({"start": np.array([1.0, 0.5, -0.5])}, "start: probabilities"),
        ({"horizon": 0}, "at least one step"),
        ({"discount": 1.1}, "discount must be in"),
    ],
)
def test_bad_worlds(change, message):
    good = tiny()
    fields = {name: getattr(good, name) for name in ("transitions", "rewards", "start", "horizon", "discount")}
    with pytest.raises(ValueError, match=message):
        MDP(**fields | change)


def test_bad_calls():
    mdp = tiny()
    with pytest.raises(ValueError, match="logits of shape"):
        mdp.value(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="alpha must be positive"):
        mdp.soft_optimum(0)
    with pytest.raises(ValueError, match="side of at least 3"):
        gridworld(2)
    with pytest.raises(ValueError, match="slip is a probability"):
        gridworld(slip=2)
