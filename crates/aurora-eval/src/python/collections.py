# Containers.

from _collections import deque


class defaultdict(dict):
    def __init__(self, default_factory=None, *arguments, **named):
        dict.__init__(self, *arguments, **named)
        self.default_factory = default_factory

    def __missing__(self, key):
        if self.default_factory is None:
            raise KeyError(key)
        self[key] = self.default_factory()
        return self[key]

    def copy(self):
        return type(self)(self.default_factory, self)

    def __repr__(self):
        return 'defaultdict(%r, %s)' % (self.default_factory, dict.__repr__(self))


def namedtuple(typename, field_names, rename=False, defaults=None, module=None):
    if isinstance(field_names, str):
        field_names = field_names.replace(',', ' ').split()
    fields = tuple(field_names)
    for name in (typename,) + fields:
        if not name.isidentifier():
            raise ValueError('Type names and field names must be valid identifiers: %r' % name)
    if len(set(fields)) != len(fields):
        raise ValueError('Encountered duplicate field name in %r' % (fields,))
    preset = dict(zip(reversed(fields), reversed(tuple(defaults or ()))))

    def __new__(cls, *values, **named):
        if len(values) > len(fields):
            raise TypeError('%s takes %d values, got %d' % (typename, len(fields), len(values)))
        given = dict(preset)
        given.update(zip(fields, values))
        for name, value in named.items():
            if name not in fields:
                raise TypeError('%s has no field %r' % (typename, name))
            if name in fields[:len(values)]:
                raise TypeError('%s got two values for %r' % (typename, name))
            given[name] = value
        missing = [name for name in fields if name not in given]
        if missing:
            raise TypeError('%s lacks a value for %s' % (typename, ', '.join(missing)))
        return tuple.__new__(cls, [given[name] for name in fields])

    def __repr__(self):
        return '%s(%s)' % (typename, ', '.join('%s=%r' % pair for pair in zip(fields, self)))

    def _asdict(self):
        return dict(zip(fields, self))

    def _replace(self, **named):
        unknown = set(named) - set(fields)
        if unknown:
            raise ValueError('Got unexpected field names: %r' % sorted(unknown))
        return type(self)(*[named.get(name, value) for name, value in zip(fields, self)])

    body = {
        '__slots__': (), '__new__': __new__, '__repr__': __repr__, '_fields': fields,
        '_asdict': _asdict, '_replace': _replace, '_field_defaults': preset,
        '_make': classmethod(lambda cls, values: cls(*values)),
    }
    for index, name in enumerate(fields):
        body[name] = property(lambda self, index=index: self[index])
    return type(typename, (tuple,), body)


class OrderedDict(dict):
    def popitem(self, last=True):
        if not self:
            raise KeyError('dictionary is empty')
        key = next(reversed(self)) if last else next(iter(self))
        return key, self.pop(key)

    def move_to_end(self, key, last=True):
        value = self.pop(key)
        if last:
            self[key] = value
        else:
            rest = list(self.items())
            self.clear()
            self[key] = value
            self.update(rest)

    def copy(self):
        return type(self)(self)

    def __eq__(self, other):
        if isinstance(other, OrderedDict):
            return list(self.items()) == list(other.items())
        return dict.__eq__(self, other)

    def __repr__(self):
        return '%s(%r)' % (type(self).__name__, list(self.items()) or '')

    __hash__ = None


class Counter(dict):
    def __init__(self, iterable=None, **counts):
        dict.__init__(self)
        self.update(iterable, **counts)

    def __missing__(self, key):
        return 0

    def _change(self, sign, iterable, counts):
        if iterable is not None:
            pairs = iterable.items() if isinstance(iterable, dict) else ((key, 1) for key in iterable)
            for key, count in pairs:
                self[key] = self[key] + sign * count
        for key, count in counts.items():
            self[key] = self[key] + sign * count

    def update(self, iterable=None, **counts):
        self._change(1, iterable, counts)

    def subtract(self, iterable=None, **counts):
        self._change(-1, iterable, counts)

    def most_common(self, n=None):
        ordered = sorted(self.items(), key=lambda pair: pair[1], reverse=True)
        return ordered if n is None else ordered[:n]

    def elements(self):
        for key, count in self.items():
            for _ in range(count):
                yield key

    def __add__(self, other):
        keys = list(self) + [key for key in other if key not in self]
        return Counter({key: self[key] + other[key] for key in keys if self[key] + other[key] > 0})

    def __sub__(self, other):
        return Counter({key: self[key] - other[key] for key in self if self[key] - other[key] > 0})


class ChainMap:
    def __init__(self, *maps):
        self.maps = list(maps) or [{}]

    def __getitem__(self, key):
        for table in self.maps:
            if key in table:
                return table[key]
        raise KeyError(key)

    def get(self, key, default=None):
        return self[key] if key in self else default

    def __setitem__(self, key, value):
        self.maps[0][key] = value

    def __contains__(self, key):
        return any(key in table for table in self.maps)

    def __iter__(self):
        return iter({key: None for table in reversed(self.maps) for key in table})

    def __len__(self):
        return len(list(iter(self)))

    def keys(self):
        return list(self)

    def items(self):
        return [(key, self[key]) for key in self]

    def values(self):
        return [self[key] for key in self]
