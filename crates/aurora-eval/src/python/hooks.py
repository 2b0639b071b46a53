# What hooks are given, and how they are found and called.

from apache.aurora.common.aurora_job_key import AuroraJobKey
from gen.apache.aurora.api.ttypes import Response, ResponseCode, _made

_Job, _Environment = _native['Job'], _native['Environment']


# The job of the file. What a hook changes here is what is sent.
class AuroraConfig:
    class Error(Exception): pass
    class InvalidConfig(Error, ValueError): pass

    def __init__(self, job, hooks):
        self._job, self._metadata, self.hooks = job, [], hooks

    def raw(self): return self._job
    def job_key(self): return AuroraJobKey(self.cluster(), self.role(), self.environment(), self.name())
    def name(self): return self._job.name().get()
    def role(self): return self._job.role().get()
    def cluster(self): return self._job.cluster().get()
    def environment(self): return self._job.environment().get()
    def instances(self): return self._job.instances().get()
    def update_config(self): return self._job.update_config()
    def health_check_config(self): return self._job.health_check_config()
    def is_dedicated(self): return self._job.has_constraints() and 'dedicated' in self._job.constraints()
    def has_health_port(self): return 'health' in self.ports()

    def context(self, instance=None):
        named = {} if not instance else {'instance': instance}
        return _Environment(mesos=_native['MesosContext'](**named))

    def task(self, instance): return (self._job % self.context(instance)).task()
    def bind(self, binding): self._job = self._job.bind(binding)
    def add_metadata(self, key, value): self._metadata.append((str(key), str(value)))

    def update_job(self, job):
        if not isinstance(job, _Job):
            raise TypeError('update_job is given a Job, not %r' % (job,))
        self._job = job

    def _sent(self):
        answer = _native['_sent'](self._job, self._metadata)
        if 'error' in answer:
            raise self.InvalidConfig(answer['error'])
        return answer

    def job(self): return _made(self._sent()['thrift'])
    def ports(self): return set(self._sent()['ports'])
    def __repr__(self): return 'AuroraConfig(%r)' % (self._job,)


class HookConfig:
    def __init__(self, config, job_key):
        self.config, self.job_key = config, job_key

    def __iter__(self): return iter((self.config, self.job_key))


class RestartSettings:
    def __init__(self, **settings):
        self.__dict__.update(settings)

    def __eq__(self, other): return self.__dict__ == other.__dict__
    def __repr__(self): return 'RestartSettings(%r)' % (self.__dict__,)


# Why a call failed.
class Error(Exception): pass
class CommandError(Error): pass
class TimeoutError(Error): pass
class NotRetriableError(Error): pass
class ThriftInternalError(Error): pass


class APIError(Error):
    def __init__(self, response):
        Error.__init__(self, response)
        self.response = response

    def __str__(self):
        name = ResponseCode._VALUES_TO_NAMES.get(self.response.responseCode, 'UNKNOWN')
        messages = [detail.message for detail in self.response.details or () if detail.message]
        return 'APIError: %s: %s' % (name, ', '.join(messages))


def _failure(name, message):
    made = {kind.__name__: kind for kind in (CommandError, TimeoutError, NotRetriableError,
                                             ThriftInternalError)}.get(name, Error)(message)
    made.msg = made.message = message
    return made


_current = [None]
_SPECIAL = {
    'config': lambda content: _current[0],
    'key': lambda parts: AuroraJobKey(*parts),
    'map': lambda content: content,
    'settings': lambda content: RestartSettings(**content),
    'response': lambda content: _made(content, kind=Response),
    'refusal': lambda content: APIError(_made(content, kind=Response)),
    'failure': lambda parts: _failure(*parts),
}


def _argument(value):
    if isinstance(value, dict):
        [(kind, content)] = value.items()
        return _SPECIAL[kind](content)
    return value


def _named(hook):
    return hook.__name__ if isinstance(hook, type) else hook.__class__.__name__


# A class in the list has no object for its methods.
def _check(hook, name):
    if isinstance(hook, type):
        for parent in hook.__mro__:
            if name in parent.__dict__:
                if not isinstance(parent.__dict__[name], (classmethod, staticmethod)):
                    made = TypeError('%s.%s needs an object of the class %s' % (hook.__name__, name, hook.__name__))
                    made.help = 'hooks has the class itself: write hooks = [%s()]' % hook.__name__
                    raise made
                return


# How methods are called, for those who define them otherwise.
_LEADS = {'pre': (), 'post': ('result',), 'err': ('exc',)}
_PARAMETERS = {
    'create_job': ('config',), 'add_instances': ('job_key', 'instance_id', 'count'),
    'kill_job': ('job_key',), 'restart': ('job_key', 'shards', 'restart_settings'),
    'start_cronjob': ('job_key',), 'start_job_update': ('config', 'message')}


def begin(job, hooks):
    config = _current[0] = AuroraConfig(job, hooks)
    config._known = (job, [])


# The name of the method that is to be called, and how; or nothing.
def find(hook, key, event, method, arguments, keywords, extra):
    config = _current[0]
    arguments = tuple(_argument(value) for value in arguments)
    keywords = {name: _argument(value) for name, value in keywords.items()}
    extra = _argument(extra)
    name = '%s_%s' % (event, method)
    if callable(getattr(hook, name, None)):
        given = arguments if event == 'pre' else (extra,) + arguments
        shown = _LEADS[event] + _PARAMETERS.get(method, ()) + tuple('%s=…' % word for word in keywords)
    elif getattr(hook, 'generic_hook', None) is not None:
        name = 'generic_hook'
        given = (HookConfig(config, AuroraJobKey(*key)), event, method, extra, arguments, keywords)
        shown, keywords = ('hook_config', 'event', 'method_name', 'result_or_err', 'args', 'kw'), {}
    else:
        return None

    def call():
        _check(hook, name)
        result = getattr(hook, name)(*given, **keywords)
        return bool(result), repr(result)[:200]

    return name, call, 'it is called as %s(%s)' % (name, ', '.join(shown))


# The job and its metadata if hooks have changed them since the last time.
def changed():
    config = _current[0]
    now = (config._job, list(config._metadata))
    if now[0] is config._known[0] and now[1] == config._known[1]:
        return None
    config._known = now
    return now
