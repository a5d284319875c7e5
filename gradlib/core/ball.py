"""Expressions on balls: a number with a proved bound of its error.

A *ball* is a midpoint and a radius. Arb, under the name of ``flint``, gives for balls that hold the arguments a ball
that holds the value, whatever was rounded on the way; its exponents have no limits, so that nothing underflows. Its
integrator asks in addition whether a function is analytic on a complex ball, since then a bound of the function there
bounds the error of a Gauss–Legendre rule. A function answers with a ball that is not finite where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sympy as sp
from flint import acb, arb, ctx, fmpq
from sympy.codegen.numpy_nodes import logaddexp
from sympy.core.relational import Relational
from sympy.logic.boolalg import Boolean

from gradlib.core.function import spelled
from gradlib.core.stable import expm1, log1p, log_ndtr, ndtr

UNKNOWN = acb(arb.nan(), arb.nan())


class NoBall(Exception):
    """The expression holds a function that has no meaning on balls."""


def exactly(number) -> arb:
    """The ball of a binary number of SymPy or mpmath, of no width."""
    if not number:
        return arb(0)
    sign, mantissa, exponent, _ = number._mpf_
    return arb(((-1) ** sign * int(mantissa), int(exponent)))


def function_on_balls(arguments: Sequence[sp.Symbol], expression: sp.Expr) -> Callable:
    """``f(*balls, analytic)``. What holds no argument is computed once for each precision.

    Raises:
        NoBall: for a function that Arb does not have.
    """
    expression = spelled(expression)
    printer = _Printer(arguments, expression)
    body = printer(expression)
    source = "\n".join(
        [
            "def fixed(an=False):",
            f"    return ({' '.join(text + ',' for text in printer.fixed.values())})",
            f"def f({', '.join([*(printer.names[a] for a in arguments), 'an'])}):",
            "    K = constants()" if printer.fixed else "",
            *printer.lines,
            f"    return acb({body})",
        ]
    )
    space = dict(_SPACE, **printer.numbers)
    exec(source, space)  # noqa: S102 (our own text)
    at: dict[int, tuple] = {}

    def constants() -> tuple:
        if ctx.prec not in at:
            at[ctx.prec] = space["fixed"]()
        return at[ctx.prec]

    space["constants"] = constants
    return space["f"]


# --- functions with a cut or a jump: finite on a ball only where they are analytic on it ------------------


def _right(z: acb) -> bool:
    """Whether a ball lies off the half-line of numbers that are not positive."""
    return bool(z.real > 0) or not z.imag.contains(0)


def _between(z: acb) -> bool:
    """Whether a ball lies off the real numbers beyond ±1."""
    return bool(abs(z.real) < 1) or not z.imag.contains(0)


def _guarded(method: Callable, inside: Callable) -> Callable:
    return lambda z, an: UNKNOWN if an and not inside(z) else method(z)


def _real(z: acb) -> arb:
    if not z.imag.is_zero():
        raise NoBall
    return z.real


def _atan2(y: acb, x: acb, an: bool) -> acb:
    return UNKNOWN if an else acb(arb.atan2(_real(y), _real(x)))


def _fold(method: Callable) -> Callable:
    def of(an, first, *rest):
        for other in rest:
            first = method(first, other, analytic=an)
        return first

    return of


def _sign_of(z) -> int | None:
    """Of a real part, where all of the ball has the same."""
    r = acb(z).real
    return 1 if r > 0 else -1 if r < 0 else 0 if r.is_zero() else None


def _truth(kind: str, difference) -> bool | None:
    sign = _sign_of(difference)
    if sign is None:
        r = acb(difference).real
        return (
            True
            if kind == ">=" and r >= 0 or kind == "<=" and r <= 0
            else False
            if kind == ">" and r <= 0 or kind == "<" and r >= 0
            else None
        )
    return {">": sign > 0, ">=": sign >= 0, "<": sign < 0, "<=": sign <= 0, "==": sign == 0, "!=": sign != 0}[kind]


def _and(*parts):
    return False if False in parts else None if None in parts else True


def _or(*parts):
    return True if True in parts else None if None in parts else False


def _not(part):
    return None if part is None else not part


def _choose(an: bool, *pieces) -> acb:
    """A Piecewise: the piece, or all that may be it."""
    found = None
    for condition, piece in pieces:
        truth = condition()
        if truth is False:
            continue
        if truth is None and an:
            return UNKNOWN
        value = acb(piece())
        found = value if found is None else found.union(value)
        if truth:
            return found
    return UNKNOWN if found is None else found


def _integral(f: Callable, low, high, an: bool) -> acb:
    return acb.integral(f, acb(low), acb(high))


def _logaddexp(a, b, an: bool) -> acb:
    """The larger one out of the logarithm: what is left has its cut elsewhere."""
    a, b = acb(a), acb(b)
    a, b = (a, b) if a.real.mid() >= b.real.mid() else (b, a)
    return a + (1 + _exp(b - a)).log(analytic=an)


def _ndtr(z: acb) -> acb:
    return (-z / arb(2).sqrt()).erfc() / 2


_NEARLY_ZERO = arb(-(2**62)).exp().abs_upper()


def _exp(z) -> acb:
    """Arb gives no bound of exp on a wide ball far to the left."""
    z = acb(z)
    found = z.exp()
    return found if found.is_finite() or not z.real < -(2**62) else acb(arb(0, _NEARLY_ZERO), arb(0, _NEARLY_ZERO))


_SPACE = {
    "acb": acb,
    "exp": _exp,
    "logaddexp": _logaddexp,
    "ndtr": lambda z, an: _ndtr(z),
    "log_ndtr": lambda z, an: _ndtr(z).log(analytic=an),
    "log": lambda z, an: acb(z).log(analytic=an),
    "log1p": _guarded(acb.log1p, lambda z: _right(1 + z)),
    "root": lambda z, an: z.sqrt(analytic=an),
    "power": lambda z, w, an: acb(z).pow(acb(w), analytic=an),
    "lgamma": _guarded(acb.lgamma, _right),
    "Abs": lambda z, an: acb(z).real_abs(analytic=an),
    "sgn": lambda z, an: acb(z).real_sgn(analytic=an),
    "step": lambda z, an: acb(z).real_heaviside(analytic=an),
    "floor": lambda z, an: acb(z).real_floor(analytic=an),
    "ceiling": lambda z, an: acb(z).real_ceil(analytic=an),
    "maximum": _fold(lambda z, w, analytic: acb(z).real_max(acb(w), analytic=analytic)),
    "minimum": _fold(lambda z, w, analytic: acb(z).real_min(acb(w), analytic=analytic)),
    "asin": _guarded(acb.asin, _between),
    "acos": _guarded(acb.acos, _between),
    "atanh": _guarded(acb.atanh, _between),
    "acosh": _guarded(acb.acosh, lambda z: bool(z.real > 1) or not z.imag.contains(0)),
    "asinh": _guarded(acb.asinh, lambda z: bool(abs(z.imag) < 1) or not z.real.contains(0)),
    "atan": _guarded(acb.atan, lambda z: bool(abs(z.imag) < 1) or not z.real.contains(0)),
    "atan2": _atan2,
    "lambertw": _guarded(acb.lambertw, lambda z: bool(z.real > -0.36) or not z.imag.contains(0)),
    "expint": lambda s, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).expint(acb(s)),
    "ei": _guarded(acb.ei, _right),
    "li": _guarded(acb.li, lambda z: bool(z.real > 1) or not z.imag.contains(0)),
    "chi": _guarded(acb.chi, _right),
    "ci": _guarded(acb.ci, _right),
    "gamma_lower": lambda s, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).gamma_lower(acb(s)),
    "gamma_upper": lambda s, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).gamma_upper(acb(s)),
    "bessel_i": lambda n, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).bessel_i(acb(n)),
    "bessel_k": lambda n, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).bessel_k(acb(n)),
    "bessel_j": lambda n, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).bessel_j(acb(n)),
    "bessel_y": lambda n, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).bessel_y(acb(n)),
    "polygamma": lambda n, z, an: UNKNOWN if an and not _right(acb(z)) else acb(z).polygamma(acb(n)),
    "beta": lambda a, b, an: acb(a).gamma() * acb(b).gamma() * (acb(a) + acb(b)).rgamma(),
    "erfinv": lambda z, an: UNKNOWN if an else acb(_real(acb(z)).erfinv()),
    "erfcinv": lambda z, an: UNKNOWN if an else acb(_real(acb(z)).erfcinv()),
    "truth": _truth,
    "And": _and,
    "Or": _or,
    "Not": _not,
    "choose": _choose,
    "integral": _integral,
    "pi": arb.pi,
    "e": arb.const_e,
    "euler": arb.const_euler,
    "catalan": arb.const_catalan,
}

# Analytic wherever they are finite: a method of the ball.
_METHODS = {
    sp.sin: "sin",
    sp.cos: "cos",
    sp.tan: "tan",
    sp.cot: "cot",
    sp.sec: "sec",
    sp.csc: "csc",
    sp.sinh: "sinh",
    sp.cosh: "cosh",
    sp.tanh: "tanh",
    sp.coth: "coth",
    sp.sech: "sech",
    sp.csch: "csch",
    sp.sinc: "sinc",
    expm1: "expm1",
    sp.erf: "erf",
    sp.erfc: "erfc",
    sp.erfi: "erfi",
    sp.gamma: "gamma",
    sp.digamma: "digamma",
    sp.Si: "si",
    sp.Shi: "shi",
    sp.fresnels: "fresnel_s",
    sp.fresnelc: "fresnel_c",
    sp.airyai: "airy_ai",
    sp.airybi: "airy_bi",
    sp.zeta: "zeta",
}

# With a cut or a jump: a function that is told whether it must be analytic.
_CUTS = {
    sp.log: "log",
    log1p: "log1p",
    logaddexp: "logaddexp",
    ndtr: "ndtr",
    log_ndtr: "log_ndtr",
    sp.Abs: "Abs",
    sp.sign: "sgn",
    sp.floor: "floor",
    sp.ceiling: "ceiling",
    sp.asin: "asin",
    sp.acos: "acos",
    sp.atan: "atan",
    sp.asinh: "asinh",
    sp.acosh: "acosh",
    sp.atanh: "atanh",
    sp.atan2: "atan2",
    sp.loggamma: "lgamma",
    sp.lowergamma: "gamma_lower",
    sp.uppergamma: "gamma_upper",
    sp.besseli: "bessel_i",
    sp.besselk: "bessel_k",
    sp.besselj: "bessel_j",
    sp.bessely: "bessel_y",
    sp.polygamma: "polygamma",
    sp.beta: "beta",
    sp.expint: "expint",
    sp.Ei: "ei",
    sp.li: "li",
    sp.Ci: "ci",
    sp.Chi: "chi",
    sp.erfinv: "erfinv",
    sp.erfcinv: "erfcinv",
    sp.LambertW: "lambertw",
}

# Printed as something else.
_SAME = {
    sp.factorial: lambda n: sp.gamma(n + 1),
    sp.Mod: lambda a, b: a - b * sp.floor(a / b),
    sp.frac: lambda a: a - sp.floor(a),
}

_CONSTANTS = {sp.pi: "pi()", sp.E: "e()", sp.EulerGamma: "euler()", sp.Catalan: "catalan()"}


class _Printer:
    """Python's text of an expression on balls."""

    def __init__(self, arguments: Sequence[sp.Symbol], expression: sp.Expr):
        self.arguments = frozenset(arguments)
        self.names: dict[sp.Basic, str] = {argument: f"v{i}" for i, argument in enumerate(arguments)}
        self.lines: list[str] = []  # of parts that occur more than once
        self.numbers: dict[str, object] = {}  # exact
        self.fixed: dict[sp.Expr, str] = {}  # without an argument, to be computed once
        self.inside_fixed = False
        self.again: set[sp.Basic] = set()
        seen: set[sp.Basic] = set()
        below = sp.preorder_traversal(expression)
        for part in below:
            if part.args:
                if part in seen:
                    self.again.add(part)
                    below.skip()
                seen.add(part)

    def moves(self, part: sp.Basic) -> bool:
        """Whether an argument stands in it."""
        return not self.names.keys().isdisjoint(part.free_symbols)

    def number(self, value) -> str:
        name = f"n{len(self.numbers)}"
        self.numbers[name] = value
        return name

    def call(self, name: str, *arguments: sp.Expr) -> str:
        return f"{name}({', '.join([*map(self, arguments), 'an'])})"

    def __call__(self, e: sp.Basic) -> str:
        if e in self.names:
            return self.names[e]
        if e.is_Integer:
            return f"({e})" if abs(e) < 2**62 else self.number(arb(int(e)))
        if e.is_Rational:
            return self.number(fmpq(int(e.p), int(e.q)))
        if e.is_Float:
            return self.number(exactly(e))
        if e in _CONSTANTS:
            return _CONSTANTS[e]
        if isinstance(e, (Boolean, Relational)):
            return self.condition(e)
        if not self.moves(e) and e.args:
            if self.inside_fixed:
                return self.text(e)
            if e not in self.fixed:
                self.inside_fixed = True
                self.fixed[e] = self.text(e)
                self.inside_fixed = False
            return f"K[{list(self.fixed).index(e)}]"
        text = self.text(e)
        if e in self.again and not self.inside_fixed and e.free_symbols <= self.arguments:
            name = f"w{len(self.names)}"
            self.lines.append(f"    {name} = {text}")
            self.names[e] = text = name
        return text

    def text(self, e: sp.Basic) -> str:
        if e.is_Add:
            return "(" + " + ".join(map(self, e.args)) + ")"
        if e.is_Mul:
            return "(" + "*".join(map(self, e.args)) + ")"
        if e.is_Pow:
            return self.power(*e.args)
        if isinstance(e, sp.Piecewise):
            pieces = (f"((lambda: {self(condition)}), (lambda: {self(value)}))" for value, condition in e.args)
            return f"choose(an, {', '.join(pieces)})"
        if isinstance(e, sp.Heaviside):
            return self.call("step", e.args[0])
        if isinstance(e, (sp.Max, sp.Min)):
            return f"{'maximum' if isinstance(e, sp.Max) else 'minimum'}(an, {', '.join(map(self, e.args))})"
        if isinstance(e, sp.binomial):  # the reciprocal of gamma has no pole
            n, k = e.args
            return f"(acb({self(n + 1)}).gamma()*acb({self(k + 1)}).rgamma()*acb({self(n - k + 1)}).rgamma())"
        for kind, same in _SAME.items():
            if isinstance(e, kind):
                return self(same(*e.args))
        if isinstance(e, sp.Integral) and len(e.limits) == 1 and len(e.limits[0]) == 3:
            variable, low, high = e.limits[0]
            if low.is_finite is False or high.is_finite is False:
                raise NoBall(e)
            inner = sp.Dummy()
            self.names[inner] = name = f"u{len(self.names)}"
            body = self(e.function.xreplace({variable: inner}))
            return f"integral(lambda {name}, an: acb({body}), {self(low)}, {self(high)}, an)"
        if isinstance(e, sp.exp):
            return f"exp({self(e.args[0])})"
        if e.func in _METHODS:
            return f"acb({self(e.args[0])}).{_METHODS[e.func]}({', '.join(map(self, e.args[1:]))})"
        if e.func in _CUTS:
            return f"{_CUTS[e.func]}({', '.join([*('acb(' + self(a) + ')' for a in e.args), 'an'])})"
        if e.is_Function and (same := e.rewrite(sp.gamma)) != e:  # Catalan's numbers, rising factorials
            return self(same)
        raise NoBall(e)

    def power(self, base: sp.Expr, exponent: sp.Expr) -> str:
        if exponent.is_Integer and abs(exponent) < 2**62:
            return f"(acb({self(base)})**({exponent}))" if exponent > 0 else f"(1/acb({self(base)})**({-exponent}))"
        if exponent == sp.Rational(1, 2):
            return f"root(acb({self(base)}), an)"
        if exponent == -sp.Rational(1, 2):
            return f"(1/root(acb({self(base)}), an))"
        if base.is_number and base.is_positive:
            return f"exp({self(exponent)}*{self(sp.log(base))})"
        return self.call("power", base, exponent)

    def condition(self, e: sp.Basic) -> str:
        if e in (sp.true, sp.false):
            return str(bool(e))
        if isinstance(e, Relational):
            return f"truth({e.rel_op!r}, {self(e.lhs - e.rhs)})"
        if isinstance(e, (sp.And, sp.Or, sp.Not)):
            return f"{e.func.__name__}({', '.join(map(self, e.args))})"
        raise NoBall(e)
