# Paths, as text and as what is there.

sep, pardir, curdir, extsep = '/', '..', '.', '.'


def join(first, *more):
    path = first
    for part in more:
        if part.startswith('/'):
            path = part
        elif not path or path.endswith('/'):
            path += part
        else:
            path += '/' + part
    return path


def split(path):
    at = path.rfind('/') + 1
    head, tail = path[:at], path[at:]
    if head and head.strip('/'):
        head = head.rstrip('/')
    return head, tail


def basename(path): return split(path)[1]
def dirname(path): return split(path)[0]
def isabs(path): return path.startswith('/')
def splitdrive(path): return '', path


def splitext(path):
    folder, name = path[:path.rfind('/') + 1], path[path.rfind('/') + 1:]
    stripped = name.lstrip('.')
    dot = stripped.rfind('.')
    if dot < 0:
        return path, ''
    cut = len(name) - len(stripped) + dot
    return folder + name[:cut], name[cut:]


def normpath(path):
    if not path:
        return '.'
    root = '/' if path.startswith('/') else ''
    if path.startswith('//') and not path.startswith('///'):
        root = '//'
    parts = []
    for part in path.split('/'):
        if part in ('', '.'):
            continue
        if part != '..' or (not root and not parts) or (parts and parts[-1] == '..'):
            parts.append(part)
        elif parts:
            parts.pop()
    return root + '/'.join(parts) or '.'


def abspath(path):
    return normpath(path if isabs(path) else join(_native['_cwd'](), path))


realpath = abspath


def relpath(path, start='.'):
    here, there = abspath(start).strip('/').split('/'), abspath(path).strip('/').split('/')
    common = 0
    while common < min(len(here), len(there)) and here[common] == there[common]:
        common += 1
    return '/'.join(['..'] * len([p for p in here[common:] if p]) + there[common:]) or '.'


def commonprefix(paths):
    if not paths:
        return ''
    low, high = min(paths), max(paths)
    for at, c in enumerate(low):
        if c != high[at]:
            return low[:at]
    return low


def expandvars(path):
    import os
    import re
    return re.sub(r'\$(\w+|\{[^}]*\})', lambda m: os.environ.get(m.group(1).strip('{}'), m.group(0)), path)


def expanduser(path):
    import os
    if path == '~' or path.startswith('~/'):
        return os.environ.get('HOME', '~') + path[1:]
    return path


def exists(path): return _native['_stat'](str(path))[0] != ''
lexists = exists
def isfile(path): return _native['_stat'](str(path))[0] == 'f'
def isdir(path): return _native['_stat'](str(path))[0] == 'd'


def getsize(path):
    kind, size = _native['_stat'](str(path))
    if not kind:
        raise FileNotFoundError("[Errno 2] No such file or directory: '%s'" % path)
    return size
