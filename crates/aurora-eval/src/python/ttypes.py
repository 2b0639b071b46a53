# Structs and enumerations of the scheduler's API, as hooks see them in answers.


class _Struct:
    def __init__(self, **fields):
        self.__dict__.update(fields)

    # Fields that are not set are None.
    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(name)
        return None

    def __eq__(self, other): return isinstance(other, _Struct) and self.__dict__ == other.__dict__
    def __hash__(self): return hash(repr(self))

    def __repr__(self):
        fields = ', '.join('%s=%r' % field for field in sorted(self.__dict__.items()))
        return '%s(%s)' % (self.__class__.__name__, fields)


class JobKey(_Struct): pass
class InstanceKey(_Struct): pass
class JobUpdateKey(_Struct): pass
class Metadata(_Struct): pass
class TaskQuery(_Struct): pass
class JobConfiguration(_Struct): pass
class TaskConfig(_Struct): pass
class Response(_Struct): pass
class ResponseDetail(_Struct): pass
class Result(_Struct): pass


class _Enumeration:
    def __init__(self, **values):
        self.__dict__.update(values)
        self._NAMES_TO_VALUES = values
        self._VALUES_TO_NAMES = {value: name for name, value in values.items()}


ResponseCode = _Enumeration(
    INVALID_REQUEST=0, OK=1, ERROR=2, WARNING=3, AUTH_FAILED=4, JOB_UPDATING_ERROR=5,
    ERROR_TRANSIENT=6)
CronCollisionPolicy = _Enumeration(KILL_EXISTING=0, CANCEL_NEW=1, RUN_OVERLAP=2)
ScheduleStatus = _Enumeration(
    INIT=11, THROTTLED=16, PENDING=0, ASSIGNED=9, STARTING=1, RUNNING=2, FINISHED=3, PREEMPTING=13,
    RESTARTING=12, DRAINING=17, FAILED=4, KILLED=5, KILLING=6, LOST=7, PARTITIONED=18)
JobUpdateStatus = _Enumeration(
    ROLLING_FORWARD=0, ROLLING_BACK=1, ROLL_FORWARD_PAUSED=2, ROLL_BACK_PAUSED=3, ROLLED_FORWARD=4,
    ROLLED_BACK=5, ABORTED=6, ERROR=7, FAILED=8, ROLL_FORWARD_AWAITING_PULSE=9,
    ROLL_BACK_AWAITING_PULSE=10)

# What is known of fields by their names: others are structs of no name, and numbers or text.
_STRUCTS = {
    'key': JobKey, 'job': JobKey, 'jobKey': JobKey, 'taskConfig': TaskConfig, 'result': Result,
    'details': ResponseDetail, 'metadata': Metadata}
_ENUMERATIONS = {'responseCode': ResponseCode, 'cronCollisionPolicy': CronCollisionPolicy}


def _made(value, field=None, kind=None):
    if isinstance(value, dict):
        fields = {name: _made(part, name) for name, part in value.items()}
        if kind is None:
            kind = JobUpdateKey if 'id' in fields and 'job' in fields else _STRUCTS.get(field, _Struct)
        return kind(**fields)
    if isinstance(value, list):
        return [_made(part, field) for part in value]
    if field in _ENUMERATIONS and isinstance(value, str):
        return _ENUMERATIONS[field]._NAMES_TO_VALUES.get(value, value)
    return value
