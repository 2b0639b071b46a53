# Copies.

_PLAIN = (int, float, str, bytes, bool, type(None), type, type(lambda: 0), complex)


def copy(x):
    if isinstance(x, _PLAIN) or isinstance(x, tuple):
        return x
    if isinstance(x, (dict, list, set)) or hasattr(x, 'copy'):
        return x.copy()
    made = object.__new__(type(x))
    made.__dict__.update(x.__dict__)
    return made


def deepcopy(x, memo=None):
    memo = {} if memo is None else memo
    if isinstance(x, _PLAIN):
        return x
    if id(x) in memo:
        return memo[id(x)]
    if hasattr(x, '__deepcopy__'):
        return x.__deepcopy__(memo)
    if isinstance(x, dict):
        made = x.copy()
        memo[id(x)] = made
        for key in made:
            made[key] = deepcopy(made[key], memo)
        return made
    if isinstance(x, list):
        made = x.copy()
        memo[id(x)] = made
        made[:] = [deepcopy(value, memo) for value in x]
        return made
    if isinstance(x, (set, frozenset)):
        return type(x)([deepcopy(value, memo) for value in x])
    if isinstance(x, tuple):
        values = [deepcopy(value, memo) for value in x]
        return type(x)._make(values) if hasattr(type(x), '_make') else tuple(values)
    if hasattr(x, 'interpolate') and hasattr(x, 'copy'):
        return x.copy()
    made = object.__new__(type(x))
    memo[id(x)] = made
    made.__dict__.update({name: deepcopy(value, memo) for name, value in x.__dict__.items()})
    return made
