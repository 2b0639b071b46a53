# What is known of the interpreter.

argv, path, modules = ['aurora'], [], {}
platform, byteorder = 'linux', 'little'
maxsize = 9223372036854775807
maxint = maxsize
version = '3.14.0'
version_info = (3, 14, 0, 'final', 0)
executable = prefix = ''
hexversion = 0x030e00f0
stdout, stderr = _native['_output']()
stdin = None


def exit(status=None):
    raise SystemExit(status)


def getdefaultencoding(): return 'utf-8'
def getfilesystemencoding(): return 'utf-8'
def setdefaultencoding(name): pass
def getrecursionlimit(): return 1000
def setrecursionlimit(limit): pass
def exc_info(): raise AttributeError('sys.exc_info does not exist here: write `except Error as e`')
