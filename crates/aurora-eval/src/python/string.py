# Text.

import re as _re

ascii_lowercase = lowercase = 'abcdefghijklmnopqrstuvwxyz'
ascii_uppercase = uppercase = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
ascii_letters = letters = ascii_lowercase + ascii_uppercase
digits, hexdigits, octdigits = '0123456789', '0123456789abcdefABCDEF', '01234567'
punctuation = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'
whitespace = ' \t\n\r\x0b\x0c'
printable = digits + ascii_letters + punctuation + whitespace


def capwords(s, sep=None):
    return (sep or ' ').join(word.capitalize() for word in s.split(sep))


class Template:
    delimiter = '$'

    def __init__(self, template):
        self.template = template

    def _replace(self, table, named, strict):
        table = dict(table or {}, **named)

        def one(match):
            if match.group(1):
                return '$'
            name = match.group(2) or match.group(3)
            if name is None:
                if strict:
                    raise ValueError('Invalid placeholder in string')
                return match.group(0)
            if name in table:
                return str(table[name])
            if strict:
                raise KeyError(name)
            return match.group(0)
        return _re.sub(r'\$(?:(\$)|([_a-zA-Z][_a-zA-Z0-9]*)|\{([_a-zA-Z][_a-zA-Z0-9]*)\})?', one, self.template)

    def substitute(self, mapping=None, **named): return self._replace(mapping, named, True)
    def safe_substitute(self, mapping=None, **named): return self._replace(mapping, named, False)


class Formatter:
    def format(self, form, *arguments, **named): return form.format(*arguments, **named)
    def vformat(self, form, arguments, named): return form.format(*arguments, **named)


def join(words, sep=' '): return sep.join(words)
def split(s, sep=None, maxsplit=-1): return s.split(sep, maxsplit)
def replace(s, old, new, maxsplit=-1): return s.replace(old, new, maxsplit)
def upper(s): return s.upper()
def lower(s): return s.lower()
def strip(s): return s.strip()
