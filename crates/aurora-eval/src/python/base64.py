# Base64, of bytes.

def b64encode(s, altchars=None):
    encoded = _native['_b64encode'](bytes(s), False)
    if altchars:
        encoded = encoded.replace(b'+', altchars[:1]).replace(b'/', altchars[1:2])
    return encoded


def b64decode(s, altchars=None, validate=False):
    s = s.encode('ascii') if isinstance(s, str) else bytes(s)
    if altchars:
        s = s.replace(altchars[:1], b'+').replace(altchars[1:2], b'/')
    return _native['_b64decode'](s, False)


def urlsafe_b64encode(s):
    return _native['_b64encode'](bytes(s), True)


def urlsafe_b64decode(s):
    return _native['_b64decode'](s.encode('ascii') if isinstance(s, str) else bytes(s), True)


standard_b64encode, standard_b64decode = b64encode, b64decode
encodebytes = encodestring = lambda s: b64encode(s) + b'\n'
decodebytes = decodestring = b64decode


def b16encode(s):
    return bytes(s).hex().upper().encode('ascii')


def b16decode(s, casefold=False):
    return bytes.fromhex(s if isinstance(s, str) else s.decode('ascii'))
