# Regular expressions.

import functools as _functools

I = IGNORECASE = 2
L = LOCALE = 4
M = MULTILINE = 8
S = DOTALL = 16
U = UNICODE = 32
X = VERBOSE = 64
A = ASCII = 256


class error(Exception): pass


PatternError = error


class Match:
    def __init__(self, pattern, string, spans):
        self.re, self.string, self._spans = pattern, string, spans

    def _number(self, group):
        if isinstance(group, str):
            if group not in self.re.groupindex:
                raise IndexError('no such group')
            return self.re.groupindex[group]
        if not 0 <= group < len(self._spans):
            raise IndexError('no such group')
        return group

    def span(self, group=0):
        span = self._spans[self._number(group)]
        return (-1, -1) if span is None else (span[0][0], span[1][0])

    def start(self, group=0): return self.span(group)[0]
    def end(self, group=0): return self.span(group)[1]

    def _get(self, group, default=None):
        start, end = self.span(group)
        return default if start < 0 else self.string[start:end]

    def group(self, *groups):
        if not groups:
            return self._get(0)
        found = tuple(self._get(group) for group in groups)
        return found[0] if len(found) == 1 else found

    def groups(self, default=None):
        return tuple(self._get(group, default) for group in range(1, len(self._spans)))

    def groupdict(self, default=None):
        return {name: self._get(name, default) for name in self.re.groupindex}

    def __getitem__(self, group): return self._get(group)

    @property
    def lastindex(self):
        found = [group for group in range(1, len(self._spans)) if self._spans[group] is not None]
        return found[-1] if found else None

    def expand(self, template): return _expand(template, self)

    def __repr__(self):
        return '<re.Match object; span=%r, match=%r>' % (self.span(), self.group())


def _expand(template, match):
    out, at = [], 0
    while at < len(template):
        c = template[at]
        if c != '\\' or at + 1 == len(template):
            out.append(c)
            at += 1
            continue
        c = template[at + 1]
        at += 2
        if c == 'g' and template[at:at + 1] == '<':
            end = template.index('>', at)
            name = template[at + 1:end]
            out.append(match._get(int(name) if name.isdigit() else name, ''))
            at = end + 1
        elif c.isdigit() and c != '0':
            number = c
            if template[at:at + 1].isdigit():
                number += template[at]
                at += 1
            out.append(match._get(int(number), ''))
        else:
            out.append({'n': '\n', 't': '\t', 'r': '\r', '\\': '\\', '0': '\0'}.get(c, '\\' + c))
    return ''.join(out)


class Pattern:
    def __init__(self, pattern, flags):
        self.pattern, self.flags = pattern, flags
        letters = ''.join(letter for bit, letter in ((I, 'i'), (M, 'm'), (S, 's'), (X, 'x')) if flags & bit)
        # `$` also matches before a line end that ends the text, and `\Z` only at the end.
        text = _translate(pattern, bool(flags & M))
        self._text = '(?%s)%s' % (letters, text) if letters else text
        try:
            names = _native['_re_groups'](self._text)
        except ValueError as problem:
            raise error(str(problem)) from None
        self.groups = len(names) - 1
        self.groupindex = {name: number for number, name in enumerate(names) if name}

    def _find(self, string, at, kind=''):
        text = {'': '%s', 'match': r'\G(?:%s)', 'full': r'\G(?:%s)\z'}[kind] % self._text
        spans = _native['_re_search'](text, string, at)
        return None if spans is None else Match(self, string, spans)

    def _byte(self, string, pos): return len(string[:pos].encode('utf-8', 'replace')) if pos else 0

    def search(self, string, pos=0): return self._find(string, self._byte(string, pos))
    def match(self, string, pos=0): return self._find(string, self._byte(string, pos), 'match')
    def fullmatch(self, string, pos=0): return self._find(string, self._byte(string, pos), 'full')

    def finditer(self, string, pos=0):
        at = self._byte(string, pos)
        size = len(string.encode('utf-8', 'replace'))
        while at <= size:
            match = self._find(string, at)
            if match is None:
                return
            yield match
            (start, first), (end, last) = match._spans[0]
            at = last
            if first == last:
                if end >= len(string):
                    return
                at += len(string[end].encode('utf-8', 'replace'))

    def findall(self, string, pos=0):
        found = []
        for match in self.finditer(string, pos):
            groups = match.groups('')
            found.append(match.group() if not groups else groups[0] if len(groups) == 1 else groups)
        return found

    def subn(self, repl, string, count=0):
        out, at, done = [], 0, 0
        for match in self.finditer(string):
            out.append(string[at:match.start()])
            out.append(repl(match) if callable(repl) else _expand(repl, match))
            at, done = match.end(), done + 1
            if done == count:
                break
        out.append(string[at:])
        return ''.join(out), done

    def sub(self, repl, string, count=0): return self.subn(repl, string, count)[0]

    def split(self, string, maxsplit=0):
        out, at, done = [], 0, 0
        for match in self.finditer(string):
            out.append(string[at:match.start()])
            out.extend(match.groups())
            at, done = match.end(), done + 1
            if done == maxsplit:
                break
        out.append(string[at:])
        return out

    def __repr__(self): return 're.compile(%r)' % self.pattern


def _translate(pattern, multiline):
    out, at, in_class = [], 0, False
    while at < len(pattern):
        c = pattern[at]
        if c == '\\' and at + 1 < len(pattern):
            out.append(r'\z' if pattern[at + 1] == 'Z' and not in_class else pattern[at:at + 2])
            at += 2
            continue
        if in_class:
            in_class = c != ']' or pattern[at - 1] == '[' or pattern[at - 2:at] == '[^'
            # Inside a class these mean nothing special to Python.
            out.append('\\' + c if c == '[' or (c in '&~' and pattern[at:at + 2] == c * 2) else c)
        elif c == '[':
            in_class = True
            out.append(c)
        elif c == '$' and not multiline:
            out.append(r'(?=\n?\z)')
        else:
            out.append(c)
        at += 1
    return ''.join(out)


@_functools.lru_cache()
def _compiled(pattern, flags):
    return Pattern(pattern, flags)


def compile(pattern, flags=0):
    return pattern if isinstance(pattern, Pattern) else _compiled(pattern, int(flags))


def search(pattern, string, flags=0): return compile(pattern, flags).search(string)
def match(pattern, string, flags=0): return compile(pattern, flags).match(string)
def fullmatch(pattern, string, flags=0): return compile(pattern, flags).fullmatch(string)
def finditer(pattern, string, flags=0): return compile(pattern, flags).finditer(string)
def findall(pattern, string, flags=0): return compile(pattern, flags).findall(string)
def split(pattern, string, maxsplit=0, flags=0): return compile(pattern, flags).split(string, maxsplit)
def sub(pattern, repl, string, count=0, flags=0): return compile(pattern, flags).sub(repl, string, count)
def subn(pattern, repl, string, count=0, flags=0): return compile(pattern, flags).subn(repl, string, count)


def escape(pattern):
    return ''.join(c if c.isalnum() or c == '_' or c > '\x7f' else '\\' + c for c in pattern)


def purge(): pass
