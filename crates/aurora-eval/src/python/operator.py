# Operators as functions.

from _operator import *


def itemgetter(item, *more):
    if not more:
        return lambda value: value[item]
    items = (item,) + more
    return lambda value: tuple(value[item] for item in items)


def attrgetter(name, *more):
    def get(value, path):
        for part in path.split('.'):
            value = getattr(value, part)
        return value
    if not more:
        return lambda value: get(value, name)
    names = (name,) + more
    return lambda value: tuple(get(value, name) for name in names)


def methodcaller(name, *arguments, **named):
    return lambda value: getattr(value, name)(*arguments, **named)
