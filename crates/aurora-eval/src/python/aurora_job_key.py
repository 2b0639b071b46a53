# The key of a job, as hooks get it.

from gen.apache.aurora.api.ttypes import JobKey, TaskQuery

_ALLOWED = set('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-')


class AuroraJobKey:
    class Error(Exception): pass
    class TypeError(TypeError, Error): pass
    class InvalidIdentifier(ValueError, Error): pass
    class ParseError(ValueError, Error): pass

    def __init__(self, cluster, role, env, name):
        if not isinstance(cluster, str):
            raise self.TypeError('cluster must be a string')
        for kind, text in (('role', role), ('env', env), ('name', name)):
            if not isinstance(text, str):
                raise self.TypeError('%s must be a string' % kind)
            if not text or set(text) - _ALLOWED:
                raise self.InvalidIdentifier("Invalid %s '%s'" % (kind, text))
        self._parts = (cluster, role, env, name)

    @classmethod
    def from_path(cls, path):
        parts = path.split('/')
        if len(parts) != 4:
            raise cls.ParseError('%r is not in the form CLUSTER/ROLE/ENV/NAME' % (path,))
        return cls(*parts)

    @classmethod
    def from_thrift(cls, cluster, key):
        return cls(cluster, key.role, key.environment, key.name)

    @property
    def cluster(self): return self._parts[0]

    @property
    def role(self): return self._parts[1]

    @property
    def env(self): return self._parts[2]

    environment = env

    @property
    def name(self): return self._parts[3]

    def to_path(self): return '/'.join(self._parts)

    def to_thrift(self):
        return JobKey(role=self.role, environment=self.env, name=self.name)

    def to_thrift_query(self):
        return TaskQuery(jobKeys=[self.to_thrift()])

    def __iter__(self): return iter(self._parts)
    def __str__(self): return self.to_path()
    def __repr__(self): return 'AuroraJobKey(%r, %r, %r, %r)' % self._parts
    def __hash__(self): return hash(self._parts)
    def __eq__(self, other): return isinstance(other, AuroraJobKey) and self._parts == other._parts
    def __lt__(self, other): return self._parts < other._parts
    def __le__(self, other): return self._parts <= other._parts
    def __gt__(self, other): return self._parts > other._parts
    def __ge__(self, other): return self._parts >= other._parts
