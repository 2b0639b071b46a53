# The environment and the file system, to be looked at.

import os.path as path

name, sep, linesep, pathsep, curdir, pardir, extsep, devnull = 'posix', '/', '\n', ':', '.', '..', '.', '/dev/null'
environ = _native['_environ']()
error = OSError


def getenv(key, default=None): return environ.get(key, default)
def getcwd(): return _native['_cwd']()
getcwdu = getcwd
def getuid(): return _native['_uid']()
geteuid = getuid
def getlogin(): return _native['_login']()
def listdir(path='.'): return _native['_listdir'](str(path))
def uname(): return ('Linux', _native['_hostname'](), '', '', 'x86_64')
def fspath(path): return path


def walk(top):
    names = listdir(top)
    folders = [name for name in names if path.isdir(path.join(top, name))]
    yield top, folders, [name for name in names if name not in folders]
    for folder in folders:
        for entry in walk(path.join(top, folder)):
            yield entry


def __getattr__(name):
    raise AttributeError(
        "module 'os' has no attribute '%s' here: a configuration file can look at files and the "
        'environment, but not change anything or start programs' % name)
