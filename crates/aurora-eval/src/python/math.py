# Mathematics.

pi, e, tau, inf, nan = 3.141592653589793, 2.718281828459045, 6.283185307179586, float('inf'), float('nan')


def _function(name):
    def function(x):
        return _native['_math'](name, float(x))
    function.__name__ = name
    return function


sqrt, exp, log2, log10, log1p, expm1, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh = [
    _function(name) for name in (
        'sqrt', 'exp', 'log2', 'log10', 'log1p', 'expm1', 'sin', 'cos', 'tan', 'asin', 'acos', 'atan',
        'sinh', 'cosh', 'tanh')]


def log(x, base=None):
    natural = _native['_math']('log', float(x))
    return natural if base is None else natural / _native['_math']('log', float(base))


def floor(x): return x if isinstance(x, int) else int(_native['_math']('floor', float(x)))
def ceil(x): return x if isinstance(x, int) else int(_native['_math']('ceil', float(x)))
def trunc(x): return int(x)
def fabs(x): return abs(float(x))
def pow(x, y): return float(x) ** float(y)
def isnan(x): return x != x
def isinf(x): return x in (inf, -inf)
def isfinite(x): return x == x and not isinf(x)
def degrees(x): return x * 180.0 / pi
def radians(x): return x * pi / 180.0
def hypot(x, y): return sqrt(x * x + y * y)
def fsum(values): return float(sum(values))
def copysign(x, y): return abs(float(x)) if str(float(y))[0] != '-' else -abs(float(x))
def fmod(x, y): return float(x) - trunc(float(x) / float(y)) * float(y)


def modf(x):
    whole = float(trunc(x))
    return x - whole, whole


def gcd(*values):
    result = 0
    for value in values:
        value = abs(value)
        while value:
            result, value = value, result % value
    return result


def factorial(n):
    if n < 0:
        raise ValueError('factorial() not defined for negative values')
    result = 1
    for factor in range(2, n + 1):
        result *= factor
    return result


def isqrt(n):
    root = int(n ** 0.5)
    while root * root > n:
        root -= 1
    while (root + 1) * (root + 1) <= n:
        root += 1
    return root


def prod(values, start=1):
    for value in values:
        start = start * value
    return start
