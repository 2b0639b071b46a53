# The part of the configuration language that is easiest said in Python. Everything with a leading
# underscore that is not defined here is native.

class CoercionError(ValueError): pass
class InvalidRefError(Exception): pass
class Uninterpolatable(Exception): pass
class InvalidConfigError(Exception): pass
class InvalidTask(Exception): pass


class Empty: pass


class frozendict(dict):
    def __hash__(self):
        return hash(tuple(sorted((hash(k), hash(v)) for k, v in self.items())))

    def _refuse(self, *args, **kwargs):
        raise TypeError('the content of a value cannot be changed')

    __setitem__ = __delitem__ = clear = update = pop = popitem = setdefault = _refuse


class Type: pass


class TypeCheck:
    def __init__(self, success, message):
        self._success, self._message = success, message

    @classmethod
    def success(cls):
        return cls(True, '')

    @classmethod
    def failure(cls, message):
        return cls(False, message)

    def ok(self):
        return self._success

    def message(self):
        return self._message

    def __repr__(self):
        return 'TypeCheck(OK)' if self._success else 'TypeCheck(FAILED): %s' % self._message


class TypeSignature:
    def __init__(self, ty, required=False, default=Empty):
        assert _is_type(ty)
        if default is not Empty and not isinstance(default, ty):
            default = ty(default)
        self.ty, self.required, self.default = ty, required, default

    @property
    def klazz(self):
        return self.ty

    @property
    def empty(self):
        return self.default is Empty

    def __repr__(self):
        return 'TypeSignature(%s, required: %s, default: %s, empty: %s)' % (
            self.ty.__name__, self.required, self.default, self.empty)


def Required(ty):
    return TypeSignature(ty, required=True)


def Default(ty, default):
    return TypeSignature(ty, default=default)


class Ref:
    InvalidRefError = InvalidRefError

    def __init__(self, components):
        self._components = tuple(components)

    @classmethod
    def from_address(cls, address):
        return cls(_components(address))

    def components(self):
        return self._components

    def address(self):
        text = ''.join('[%s]' % name if kind == '[' else '.' + name
                       for kind, name in self._components)
        return text[1:] if text.startswith('.') else text

    def scoped_to(self, ref):
        mine, theirs = self._components, ref._components
        if len(mine) < len(theirs) and theirs[:len(mine)] == mine:
            return Ref(theirs[len(mine):])
        return None

    def _key(self):
        return (len(self._components), self._components)

    def __eq__(self, other):
        return isinstance(other, Ref) and self._components == other._components

    def __lt__(self, other): return self._key() < other._key()
    def __le__(self, other): return self._key() <= other._key()
    def __gt__(self, other): return self._key() > other._key()
    def __ge__(self, other): return self._key() >= other._key()
    def __hash__(self): return hash(self._components)
    def __str__(self): return '{{%s}}' % self.address()
    def __repr__(self): return 'Ref(%s)' % self.address()


class Namable: pass


class Object(_Object):
    CoercionError = CoercionError
    InterpolationError = Uninterpolatable

    def json_dump(self, fp):
        fp.write(self.json_dumps())

    @classmethod
    def json_load(cls, fp, strict=False):
        return cls.json_loads(fp.read(), strict)


class StructMetaclass(type):
    def __new__(mcs, name, parents, body):
        for parent in parents:
            if parent is _Struct[0]:
                return _define_struct(name, body)
            if isinstance(parent, StructMetaclass):
                return _derive_struct(name, parent, body)
        return type.__new__(mcs, name, parents, body)

    @property
    def TYPEMAP(cls):
        return _type_map(cls)


_Struct = [None]


class Struct(metaclass=StructMetaclass): pass


_Struct[0] = Struct


class MustacheParser:
    Uninterpolatable = Uninterpolatable

    @classmethod
    def split(cls, text):
        return [Ref.from_address(piece) if is_reference else piece
                for is_reference, piece in _split(text)]

    @classmethod
    def join(cls, pieces, strict=True):
        return ''.join(str(piece) for piece in pieces)


def _native_default(value):
    return dict((k, _native_default(v)) for k, v in value.items()) if isinstance(value, dict) else value


class TypeFactory:
    @classmethod
    def new(cls, type_dict, kind, *parameters):
        if not parameters and kind in ('String', 'Integer', 'Float', 'Boolean'):
            made = _standard[kind]
        elif kind == 'Enum':
            made = _enum(parameters[0], tuple(parameters[1]))
        elif kind == 'List':
            made = _list(cls.new(type_dict, *parameters[0]))
        elif kind == 'Map':
            made = _map(*[cls.new(type_dict, *part) for part in parameters])
        elif kind == 'Choice':
            made = _choice(parameters[0], [cls.new(type_dict, *part) for part in parameters[1]])
        elif kind == 'Struct':
            body = {}
            for name, (required, default, empty, ty) in parameters[1:]:
                ty = cls.new(type_dict, *ty)
                body[name] = TypeSignature(ty, required, Empty if empty else _native_default(default))
            made = _define_struct(parameters[0], body)
        else:
            raise ValueError('there is no kind of type %r' % (kind,))
        type_dict[made.__name__] = made
        return made

    @classmethod
    def load(cls, parameters, into=None):
        into = {} if into is None else into
        cls.new(into, *parameters)
        return into


def List(element):
    return _list(element)


def Map(key, value):
    return _map(key, value)


def Enum(*words):
    if len(words) == 2 and isinstance(words[1], (tuple, list)):
        if isinstance(words[1], list):
            raise TypeError("unhashable type: 'list'")
        return _enum(words[0], words[1])
    return _enum(None, words)


def Choice(*arguments):
    if len(arguments) == 2:
        return _choice(arguments[0], list(arguments[1]))
    return _choice(None, list(arguments[0]))


_finish(globals())
_standard = dict(_classes())
globals().update(_standard)

BYTES = 1
KB = 1024 * BYTES
MB = 1024 * KB
GB = 1024 * MB
TB = 1024 * GB

Job = MesosJob
Service = Job(service=True)
DefaultHealthChecker = HealthCheckerConfig(http=HttpHealthChecker())
DefaultLifecycleConfig = LifecycleConfig(http=HttpLifecycleConfig())
DisableLifecycle = LifecycleConfig()
AURORA_EXECUTOR_NAME = 'AuroraExecutor'


def order(*processes):
    names = []
    for process in processes:
        if isinstance(process, Process):
            names.append(process.name())
        elif isinstance(process, (str, String)):
            names.append(process)
        else:
            raise ValueError('Unknown value for process order: %r' % (process,))
    return [Constraint(order=names)]


def java_options(*options, **more):
    return _options(lambda name: '-', options, more)


def python_options(*options, **more):
    return _options(lambda name: '--' if len(name) > 1 else '-', options, more)


def _options(dash, options, more):
    pairs = []
    for option in options + (more,):
        if isinstance(option, str):
            pairs.append((option, None))
        elif isinstance(option, dict):
            pairs.extend(option.items())
        else:
            raise ValueError('options are strings and dictionaries, got %r' % (option,))
    return ' '.join(dash(name) + name + (' %s' % (value,) if value else '') for name, value in pairs)


class Options:
    java = staticmethod(java_options)
    python = staticmethod(python_options)


class Processes:
    order = staticmethod(order)


def _amount(value):
    return 0 if value is Empty else value.get()


def _unique(lists):
    kept = []
    for values in lists:
        for value in values:
            if value not in kept:
                kept.append(value)
    return kept


class Units:
    @staticmethod
    def optional_resources(resources):
        return Resources() if resources is Empty else resources

    @staticmethod
    def resources_sum(*resources):
        return Resources(
            cpu=sum(_amount(r.cpu()) for r in resources),
            ram=sum(_amount(r.ram()) for r in resources),
            disk=sum(_amount(r.disk()) for r in resources),
            gpu=sum(_amount(r.gpu()) for r in resources))

    @staticmethod
    def resources_max(resources):
        return Resources(
            cpu=max(_amount(r.cpu()) for r in resources),
            ram=max(_amount(r.ram()) for r in resources),
            disk=max(_amount(r.disk()) for r in resources),
            gpu=max(_amount(r.gpu()) for r in resources))

    @staticmethod
    def finalization_wait_sum(tasks):
        return sum(_amount(task.finalization_wait()) for task in tasks)

    @staticmethod
    def finalization_wait_max(tasks):
        return max(_amount(task.finalization_wait()) for task in tasks)

    @staticmethod
    def processes_merge(tasks):
        return _unique(task.processes() for task in tasks)

    @staticmethod
    def constraints_merge(tasks):
        return _unique(task.constraints() for task in tasks)


def concat_tasks(*tasks, **attributes):
    if not tasks:
        return Task()
    constraints = Units.constraints_merge(tasks)
    for earlier, later in zip(tasks, tasks[1:]):
        for before in earlier.processes():
            for after in later.processes():
                if before != after:
                    constraints.append(Constraint(order=[before.name(), after.name()]))
    return tasks[-1](
        resources=Units.resources_max([Units.optional_resources(t.resources()) for t in tasks]),
        processes=Units.processes_merge(tasks),
        constraints=constraints,
        finalization_wait=Units.finalization_wait_sum(tasks))(**attributes)


def combine_tasks(*tasks, **attributes):
    if not tasks:
        return Task()
    return tasks[-1](
        resources=Units.resources_sum(*[Units.optional_resources(t.resources()) for t in tasks]),
        processes=Units.processes_merge(tasks),
        constraints=Units.constraints_merge(tasks),
        finalization_wait=Units.finalization_wait_max(tasks))(**attributes)


def SimpleTask(name, command):
    return Task(
        name=name,
        processes=[Process(name=name, cmdline=command)],
        resources=Resources(cpu=1.0, ram=GB, disk=GB))


def _sequential(task):
    if len(list(task.constraints())) > 0:
        raise ValueError('Cannot turn a Task with existing constraints into a SequentialTask!')
    if task.processes() is Empty:
        return task
    return task(constraints=order(*task.processes()))


def SequentialTask(*arguments, **attributes):
    return _sequential(Task(*arguments, **attributes))


class Tasks:
    concat = staticmethod(concat_tasks)
    combine = staticmethod(combine_tasks)
    simple = staticmethod(SimpleTask)
    sequential = staticmethod(_sequential)


# What files see.

_PYSTACHIO = [
    'String', 'Integer', 'Float', 'Boolean', 'Enum', 'Choice', 'List', 'Map', 'Struct', 'Required',
    'Default', 'Empty', 'Environment', 'Ref', 'Namable', 'MustacheParser', 'Type', 'TypeCheck',
    'TypeFactory']
_SUBMODULES = [
    'base', 'basic', 'choice', 'compatibility', 'composite', 'config', 'container', 'naming',
    'parsing', 'typing']
_THERMOS = [
    'Process', 'Task', 'Resources', 'Constraint', 'RotatePolicy', 'Logger', 'LoggerDestination',
    'LoggerMode', 'ThermosContext', 'order', 'java_options', 'python_options', 'Options',
    'Processes', 'Units', 'concat_tasks', 'combine_tasks', 'SimpleTask', 'SequentialTask', 'Tasks',
    'BYTES', 'KB', 'MB', 'GB', 'TB']
_AURORA = [name for name in _standard if name not in _THERMOS and name not in _PYSTACHIO] + [
    'Job', 'Service', 'DefaultHealthChecker', 'DefaultLifecycleConfig', 'DisableLifecycle',
    'AURORA_EXECUTOR_NAME']


# Modules: only what is provided here can be imported.

import sys as _sys
import builtins as _builtins

_native_import = _builtins.__import__
_Module = type(_sys)
_modules = {}
# Packages of which some modules are known.
_PACKAGES = {'apache', 'gen', 'twitter'}
_NATIVE = {'itertools', '_collections', '_functools', '_operator', '_io', 'errno', 'time'}


def _module(name, names):
    module = _Module(name)
    module.__dict__.update(names)
    _modules[name] = module
    return module


def _pick(names):
    found = globals()
    return {name: found[name] for name in names}


def _load(name):
    if name in _modules:
        return _modules[name]
    if name in _NATIVE:
        module = _native_import(name)
    elif name == 'pystachio' or name.split('.')[0] == 'pystachio' and name.split('.')[-1] in _SUBMODULES:
        module = _module(name, _pick(_PYSTACHIO))
    elif name in ('apache.thermos.config.schema', 'apache.thermos.config.schema_base',
                  'apache.thermos.config.schema_helpers'):
        module = _module(name, _pick(_PYSTACHIO + _THERMOS))
    elif name in ('apache.aurora.config.schema.base', 'apache.aurora.config.schema'):
        module = _module(name, _pick(_PYSTACHIO + _THERMOS + _AURORA))
    elif _has_source(name):
        module = _Module(name)
        _modules[name] = module
        module.__dict__['__builtins__'] = _builtins
        try:
            _run_source(name, module.__dict__)
        except BaseException:
            del _modules[name]
            raise
    elif name == 'pystachio' or name in _PACKAGES or any(
            known.startswith(name + '.') for known in _sources()):
        module = _module(name, {})
    else:
        return None
    _modules[name] = module
    return module


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    if level:
        raise ImportError('relative imports are not possible here; include() reads another file')
    parts = name.split('.')
    for count in range(1, len(parts) + 1):
        path = '.'.join(parts[:count])
        module = _load(path)
        if module is None and count < len(parts) and parts[0] in _PACKAGES:
            module = _module(path, {})
        if module is None:
            raise ModuleNotFoundError(
                "No module named '%s'; configuration files can import %s, and read other files "
                'with include()' % (name, _importable()))
        if count > 1:
            parent = _modules['.'.join(parts[:count - 1])]
            if parts[count - 1] not in parent.__dict__:
                parent.__dict__[parts[count - 1]] = module
    if not fromlist:
        return _modules[parts[0]]
    for item in fromlist:
        if item != '*' and item not in module.__dict__:
            _load(name + '.' + item)
            if name + '.' + item in _modules:
                module.__dict__[item] = _modules[name + '.' + item]
    return module


def _importable():
    return ', '.join(sorted(
        [name for name in _sources() if not name.startswith('_') and '.' not in name]
        + [name for name in _NATIVE if not name.startswith('_')]))


_builtins.__import__ = _import


# Files are read, never written.

def open(file, mode='r', buffering=-1, encoding=None, errors=None, newline=None, closefd=True,
         opener=None):
    if set(mode) - set('rbtU') or 'r' not in mode and 'U' not in mode:
        raise PermissionError('files can only be read here, not opened with mode %r' % (mode,))
    content = _read(str(file))
    io = _native_import('_io')
    if 'b' in mode:
        return io.BytesIO(content)
    return io.StringIO(content.decode(encoding or 'utf-8', errors or 'strict'))


def _print(*values, sep=' ', end='\n', file=None, flush=False):
    text = (' ' if sep is None else sep).join(str(value) for value in values)
    text += '\n' if end is None else end
    if file is None:
        _write(text)
    else:
        file.write(text)


class _Output:
    encoding = 'utf-8'

    def __init__(self, write):
        self._write = write

    def write(self, text):
        self._write(str(text))
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self): pass
    def isatty(self): return False


_stdout, _stderr = _Output(_write), _Output(_complain)


def _output():
    return _stdout, _stderr


def _exit(status=None):
    raise SystemExit(status)


def _no_input(*arguments):
    raise EOFError('there is nobody to ask while a configuration is read')


def _input(prompt=''):
    answer = _ask(str(prompt))
    if answer is None:
        _no_input()
    if not answer:
        raise EOFError('there was no answer')
    return answer[0]


def _unicode(*arguments, **keywords):
    raise NameError("name 'unicode' is not defined: all text is Unicode here, write str")


_builtins.print = _print
_builtins.open = open
_builtins.exit = _builtins.quit = _exit
_builtins.input = _builtins.raw_input = _input
_builtins.breakpoint = _no_input
_builtins.unicode = _unicode
_builtins.basestring = str
_builtins.long = int
_builtins.xrange = range
_builtins.unichr = chr
_builtins.reduce = _native_import('_functools').reduce
_sys.stdout, _sys.stderr = _stdout, _stderr


def _names(thermos):
    names = _pick(_PYSTACHIO + _THERMOS + ([] if thermos else _AURORA))
    names['sys'] = _load('sys')
    for name in _SUBMODULES:
        names[name] = _load('pystachio.' + name)
    names['include'] = _include
    if thermos:
        names['export'] = _export
    return names
