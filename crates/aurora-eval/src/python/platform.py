# The machine.

def node(): return _native['_hostname']()
def system(): return 'Linux'
def machine(): return 'x86_64'
def python_version(): return '3.14.0'
