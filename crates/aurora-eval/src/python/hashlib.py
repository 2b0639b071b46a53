# Hashes.

algorithms_available = algorithms_guaranteed = {'md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'}


class _Hash:
    def __init__(self, name, content=b''):
        self.name, self._parts = name, []
        self.digest_size = {'md5': 16, 'sha1': 20, 'sha224': 28, 'sha256': 32, 'sha384': 48, 'sha512': 64}[name]
        self.update(content)

    def update(self, content):
        if isinstance(content, str):
            raise TypeError("Strings must be encoded before hashing: write .encode('utf-8')")
        self._parts.append(bytes(content))

    def digest(self):
        return _native['_hash'](self.name, b''.join(self._parts))

    def hexdigest(self):
        return self.digest().hex()

    def copy(self):
        return _Hash(self.name, b''.join(self._parts))


def new(name, content=b'', **named):
    if name.lower() not in algorithms_available:
        raise ValueError('unsupported hash type ' + name)
    return _Hash(name.lower(), content)


def md5(content=b'', **named): return _Hash('md5', content)
def sha1(content=b'', **named): return _Hash('sha1', content)
def sha224(content=b'', **named): return _Hash('sha224', content)
def sha256(content=b'', **named): return _Hash('sha256', content)
def sha384(content=b'', **named): return _Hash('sha384', content)
def sha512(content=b'', **named): return _Hash('sha512', content)
