# JSON.

class JSONDecodeError(ValueError): pass


def loads(s, **named):
    if isinstance(s, (bytes, bytearray)):
        s = bytes(s).decode('utf-8')
    try:
        return _hooked(_native['_json_loads'](s), named)
    except JSONDecodeError:
        raise
    except ValueError as error:
        raise JSONDecodeError(str(error)) from None


def load(fp, **named):
    return loads(fp.read(), **named)


def _hooked(value, named):
    pairs, plain = named.get('object_pairs_hook'), named.get('object_hook')
    if not pairs and not plain:
        return value
    if isinstance(value, dict):
        items = [(key, _hooked(item, named)) for key, item in value.items()]
        return pairs(items) if pairs else plain(dict(items))
    if isinstance(value, list):
        return [_hooked(item, named) for item in value]
    return value


def dumps(obj, skipkeys=False, ensure_ascii=True, check_circular=True, allow_nan=True, cls=None,
          indent=None, separators=None, default=None, sort_keys=False, **named):
    if isinstance(indent, int):
        indent = ' ' * indent
    comma, colon = separators or ((', ', ': ') if indent is None else (',', ': '))
    out = []
    _dump(obj, out, (ensure_ascii, indent, comma, colon, default, sort_keys, skipkeys), '\n')
    return ''.join(out)


def dump(obj, fp, **named):
    fp.write(dumps(obj, **named))


_ESCAPES = {'"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\b': '\\b', '\f': '\\f'}


def _quote(text, ascii_only):
    out = ['"']
    for c in text:
        if c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif ' ' <= c < '\x7f' or (c > '\x7f' and not ascii_only):
            out.append(c)
        elif c > '\uffff':
            rest = ord(c) - 0x10000
            out.append('\\u%04x\\u%04x' % (0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff)))
        else:
            out.append('\\u%04x' % ord(c))
    out.append('"')
    return ''.join(out)


def _atom(obj):
    if obj is None:
        return 'null'
    if obj is True:
        return 'true'
    if obj is False:
        return 'false'
    if isinstance(obj, int):
        return str(obj)
    if isinstance(obj, float):
        return {'nan': 'NaN', 'inf': 'Infinity', '-inf': '-Infinity'}.get(repr(obj), repr(obj))
    return None


def _dump(obj, out, options, line):
    ascii_only, indent, comma, colon, default, sort_keys, skipkeys = options
    atom = _atom(obj)
    if atom is not None:
        out.append(atom)
    elif isinstance(obj, str):
        out.append(_quote(obj, ascii_only))
    elif isinstance(obj, (dict, list, tuple)):
        is_dict = isinstance(obj, dict)
        opening, closing = '{}' if is_dict else '[]'
        if not obj:
            out.append(opening + closing)
            return
        inner = line if indent is None else line + indent
        out.append(opening)
        items = (sorted(obj.items()) if sort_keys else list(obj.items())) if is_dict else obj
        for count, item in enumerate(items):
            if count:
                out.append(comma)
            if indent is not None:
                out.append(inner)
            if is_dict:
                key = item[0] if isinstance(item[0], str) else _atom(item[0])
                if key is None:
                    raise TypeError('keys must be str, int, float, bool or None, not ' + type(item[0]).__name__)
                out.append(_quote(key, ascii_only) + colon)
                item = item[1]
            _dump(item, out, options, inner)
        if indent is not None:
            out.append(line)
        out.append(closing)
    elif default is not None:
        _dump(default(obj), out, options, line)
    else:
        raise TypeError('Object of type %s is not JSON serializable' % type(obj).__name__)
