# Functions of functions.

from _functools import reduce, partial

WRAPPER_ASSIGNMENTS = ('__module__', '__name__', '__qualname__', '__doc__')


def update_wrapper(wrapper, wrapped, assigned=WRAPPER_ASSIGNMENTS, updated=('__dict__',)):
    for name in assigned:
        if hasattr(wrapped, name):
            setattr(wrapper, name, getattr(wrapped, name))
    wrapper.__wrapped__ = wrapped
    return wrapper


def wraps(wrapped, assigned=WRAPPER_ASSIGNMENTS, updated=('__dict__',)):
    return lambda wrapper: update_wrapper(wrapper, wrapped)


def cmp_to_key(compare):
    class Key:
        def __init__(self, value): self.value = value
        def __lt__(self, other): return compare(self.value, other.value) < 0
        def __gt__(self, other): return compare(self.value, other.value) > 0
        def __eq__(self, other): return compare(self.value, other.value) == 0
        def __le__(self, other): return compare(self.value, other.value) <= 0
        def __ge__(self, other): return compare(self.value, other.value) >= 0
        __hash__ = None
    return Key


def lru_cache(maxsize=128, typed=False):
    def decorate(function):
        known = {}

        def cached(*arguments, **named):
            key = (arguments, tuple(sorted(named.items())))
            if key not in known:
                known[key] = function(*arguments, **named)
            return known[key]
        return update_wrapper(cached, function)
    if callable(maxsize):
        function, maxsize = maxsize, 128
        return decorate(function)
    return decorate


cache = lru_cache(None)


def total_ordering(cls):
    if '__lt__' in cls.__dict__:
        cls.__gt__ = lambda self, other: not (self < other or self == other)
        cls.__le__ = lambda self, other: self < other or self == other
        cls.__ge__ = lambda self, other: not self < other
    elif '__gt__' in cls.__dict__:
        cls.__lt__ = lambda self, other: not (self > other or self == other)
        cls.__ge__ = lambda self, other: self > other or self == other
        cls.__le__ = lambda self, other: not self > other
    return cls
