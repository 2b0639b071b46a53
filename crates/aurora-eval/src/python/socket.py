# The name of this host. There is no network.

def gethostname(): return _native['_hostname']()
getfqdn = gethostname


def __getattr__(name):
    raise AttributeError("module 'socket' has no attribute '%s' here: there is no network" % name)
