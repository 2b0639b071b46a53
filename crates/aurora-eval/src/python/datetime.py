# Dates and times, without time zones other than UTC and fixed offsets.

import time as _time

MINYEAR, MAXYEAR = 1, 9999
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_in(year, month):
    return 29 if month == 2 and _leap(year) else _MONTHS[month - 1]


def _before(year):
    y = year - 1
    return y * 365 + y // 4 - y // 100 + y // 400


def _ordinal(year, month, day):
    return _before(year) + sum(_days_in(year, m) for m in range(1, month)) + day


def _from_ordinal(ordinal):
    year = ordinal // 366 + 1
    while _before(year + 1) < ordinal:
        year += 1
    rest, month = ordinal - _before(year), 1
    while rest > _days_in(year, month):
        rest -= _days_in(year, month)
        month += 1
    return year, month, rest


class timedelta:
    def __init__(self, days=0, seconds=0, microseconds=0, milliseconds=0, minutes=0, hours=0, weeks=0):
        seconds = seconds + 60 * minutes + 3600 * hours + 86400 * (days + 7 * weeks)
        total = round(1000000 * seconds + microseconds + 1000 * milliseconds)
        self._us = int(total)

    @property
    def days(self): return self._us // 86400000000

    @property
    def seconds(self): return self._us % 86400000000 // 1000000

    @property
    def microseconds(self): return self._us % 1000000

    def total_seconds(self): return self._us / 1000000.0

    def __add__(self, other):
        return timedelta(microseconds=self._us + other._us) if isinstance(other, timedelta) else NotImplemented

    def __sub__(self, other):
        return timedelta(microseconds=self._us - other._us) if isinstance(other, timedelta) else NotImplemented

    def __mul__(self, factor): return timedelta(microseconds=self._us * factor)
    __rmul__ = __mul__

    def __floordiv__(self, other):
        if isinstance(other, timedelta):
            return self._us // other._us
        return timedelta(microseconds=self._us // other)

    def __truediv__(self, other):
        if isinstance(other, timedelta):
            return self._us / float(other._us)
        return timedelta(microseconds=self._us / float(other))

    def __neg__(self): return timedelta(microseconds=-self._us)
    def __abs__(self): return timedelta(microseconds=abs(self._us))
    def __bool__(self): return self._us != 0
    def __eq__(self, other): return isinstance(other, timedelta) and self._us == other._us
    def __lt__(self, other): return self._us < other._us
    def __le__(self, other): return self._us <= other._us
    def __gt__(self, other): return self._us > other._us
    def __ge__(self, other): return self._us >= other._us
    def __hash__(self): return hash(self._us)

    def __str__(self):
        minutes, seconds = divmod(self.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        text = '%d:%02d:%02d' % (hours, minutes, seconds)
        if self.microseconds:
            text += '.%06d' % self.microseconds
        if self.days:
            text = '%d day%s, %s' % (self.days, '' if abs(self.days) == 1 else 's', text)
        return text

    def __repr__(self):
        return 'datetime.timedelta(days=%d, seconds=%d, microseconds=%d)' % (
            self.days, self.seconds, self.microseconds)


class tzinfo: pass


class timezone(tzinfo):
    def __init__(self, offset, name=None):
        self._offset, self._name = offset, name

    def utcoffset(self, when): return self._offset

    def tzname(self, when):
        if self._name or not self._offset:
            return self._name or 'UTC'
        minutes = self._offset._us // 60000000
        return 'UTC%s%02d:%02d' % ('-' if minutes < 0 else '+', abs(minutes) // 60, abs(minutes) % 60)


timezone.utc = timezone(timedelta(0))

_DAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')
_NAMES = ('January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September',
          'October', 'November', 'December')


def _offset_text(offset, separator=''):
    if offset is None:
        return ''
    minutes = offset._us // 60000000
    return '%s%02d%s%02d' % ('-' if minutes < 0 else '+', abs(minutes) // 60, separator, abs(minutes) % 60)


def _format(when, form):
    hour, minute, second, us = (getattr(when, name, 0) for name in ('hour', 'minute', 'second', 'microsecond'))
    zone = getattr(when, 'tzinfo', None)
    first = _ordinal(when.year, 1, 1)
    day = when.toordinal() - first + 1
    table = {
        'Y': '%04d' % when.year, 'm': '%02d' % when.month, 'd': '%02d' % when.day, 'y': '%02d' % (when.year % 100),
        'H': '%02d' % hour, 'M': '%02d' % minute, 'S': '%02d' % second, 'f': '%06d' % us,
        'I': '%02d' % ((hour + 11) % 12 + 1), 'p': 'PM' if hour >= 12 else 'AM', 'j': '%03d' % day,
        'A': _DAYS[when.weekday()], 'a': _DAYS[when.weekday()][:3], 'B': _NAMES[when.month - 1],
        'b': _NAMES[when.month - 1][:3], 'h': _NAMES[when.month - 1][:3], 'w': str(when.isoweekday() % 7),
        'u': str(when.isoweekday()), 'U': '%02d' % ((day + 6 - when.isoweekday() % 7) // 7),
        'W': '%02d' % ((day + 6 - when.weekday()) // 7), 'n': '\n', 't': '\t', '%': '%',
        'z': _offset_text(zone and zone.utcoffset(when)), 'Z': zone.tzname(when) if zone else '',
        'V': '%02d' % when.isocalendar()[1], 'G': '%04d' % when.isocalendar()[0],
    }
    table.update({
        'F': '%(Y)s-%(m)s-%(d)s' % table, 'T': '%(H)s:%(M)s:%(S)s' % table, 'R': '%(H)s:%(M)s' % table,
        'D': '%(m)s/%(d)s/%(y)s' % table, 'X': '%(H)s:%(M)s:%(S)s' % table, 'x': '%(m)s/%(d)s/%(y)s' % table,
        'e': '%2d' % when.day,
        'c': '%s %s %2d %s:%s:%s %s' % (table['a'], table['b'], when.day, table['H'], table['M'], table['S'], table['Y']),
    })
    if getattr(when, 'hour', None) is not None:
        moment = (when.toordinal() - 719163) * 86400 + hour * 3600 + minute * 60 + second
        table['s'] = str(moment)
    out, at = [], 0
    while at < len(form):
        if form[at] == '%' and at + 1 < len(form):
            out.append(table.get(form[at + 1], form[at:at + 2]))
            at += 2
        else:
            out.append(form[at])
            at += 1
    return ''.join(out)


class date:
    def __init__(self, year, month, day):
        if not (MINYEAR <= year <= MAXYEAR and 1 <= month <= 12 and 1 <= day <= _days_in(year, month)):
            raise ValueError('%s-%s-%s is no date' % (year, month, day))
        self.year, self.month, self.day = year, month, day

    @classmethod
    def today(cls):
        return cls(*_time.localtime()[:3])

    @classmethod
    def fromordinal(cls, ordinal):
        return cls(*_from_ordinal(ordinal))

    @classmethod
    def fromtimestamp(cls, moment):
        return cls(*_time.localtime(moment)[:3])

    @classmethod
    def fromisoformat(cls, text):
        return cls(*[int(part) for part in text.split('-')])

    def toordinal(self): return _ordinal(self.year, self.month, self.day)
    def weekday(self): return (self.toordinal() + 6) % 7
    def isoweekday(self): return self.weekday() + 1
    def isoformat(self): return '%04d-%02d-%02d' % (self.year, self.month, self.day)

    def isocalendar(self):
        thursday = self.toordinal() - self.weekday() + 3
        year = _from_ordinal(thursday)[0]
        return (year, (thursday - _ordinal(year, 1, 1)) // 7 + 1, self.isoweekday())

    def strftime(self, form): return _format(self, form)
    def __format__(self, form): return _format(self, form) if form else str(self)

    def replace(self, year=None, month=None, day=None):
        return date(year or self.year, month or self.month, day or self.day)

    def timetuple(self):
        return (self.year, self.month, self.day, 0, 0, 0, self.weekday(),
                self.toordinal() - _ordinal(self.year, 1, 1) + 1, -1)

    def __add__(self, delta): return date.fromordinal(self.toordinal() + delta.days)
    __radd__ = __add__

    def __sub__(self, other):
        if isinstance(other, timedelta):
            return date.fromordinal(self.toordinal() - other.days)
        return timedelta(days=self.toordinal() - other.toordinal())

    def _key(self): return (self.year, self.month, self.day)
    def __eq__(self, other): return type(self) is type(other) and self._key() == other._key()
    def __lt__(self, other): return self._key() < other._key()
    def __le__(self, other): return self._key() <= other._key()
    def __gt__(self, other): return self._key() > other._key()
    def __ge__(self, other): return self._key() >= other._key()
    def __hash__(self): return hash(self._key())
    def __str__(self): return self.isoformat()
    def __repr__(self): return 'datetime.date(%d, %d, %d)' % self._key()


class time:
    def __init__(self, hour=0, minute=0, second=0, microsecond=0, tzinfo=None):
        self.hour, self.minute, self.second, self.microsecond = hour, minute, second, microsecond
        self.tzinfo = tzinfo

    def isoformat(self):
        text = '%02d:%02d:%02d' % (self.hour, self.minute, self.second)
        return text + ('.%06d' % self.microsecond if self.microsecond else '')

    __str__ = isoformat

    def __repr__(self):
        return 'datetime.time(%d, %d, %d)' % (self.hour, self.minute, self.second)


class datetime(date):
    def __init__(self, year, month, day, hour=0, minute=0, second=0, microsecond=0, tzinfo=None):
        date.__init__(self, year, month, day)
        if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60 and 0 <= microsecond < 1000000):
            raise ValueError('%s:%s:%s.%s is no time' % (hour, minute, second, microsecond))
        self.hour, self.minute, self.second, self.microsecond = hour, minute, second, microsecond
        self.tzinfo = tzinfo

    @classmethod
    def _at(cls, us, zone=None):
        days, rest = divmod(us, 86400000000)
        seconds, us = divmod(rest, 1000000)
        year, month, day = _from_ordinal(days)
        return cls(year, month, day, seconds // 3600, seconds // 60 % 60, seconds % 60, us, zone)

    @classmethod
    def utcfromtimestamp(cls, moment):
        return cls._at(719163 * 86400000000 + int(round(moment * 1000000)))

    @classmethod
    def fromtimestamp(cls, moment, tz=None):
        if tz is not None:
            return cls.utcfromtimestamp(moment + tz.utcoffset(None).total_seconds()).replace(tzinfo=tz)
        parts = _time.localtime(moment)
        return cls(*parts[:6], int(moment * 1000000) % 1000000)

    @classmethod
    def now(cls, tz=None): return cls.fromtimestamp(_time.time(), tz)

    @classmethod
    def utcnow(cls): return cls.utcfromtimestamp(_time.time())

    @classmethod
    def today(cls): return cls.now()

    @classmethod
    def combine(cls, day, moment):
        return cls(day.year, day.month, day.day, moment.hour, moment.minute, moment.second,
                   moment.microsecond, moment.tzinfo)

    @classmethod
    def fromisoformat(cls, text):
        day, _, moment = text.replace(' ', 'T').partition('T')
        moment, _, fraction = moment.partition('.')
        parts = [int(part) for part in moment.split(':')] if moment else []
        parts += [0] * (3 - len(parts))
        return cls(*[int(part) for part in day.split('-')], *parts, int((fraction + '000000')[:6]))

    @classmethod
    def strptime(cls, text, form):
        return cls(*_time.strptime(text, form)[:6])

    def date(self): return date(self.year, self.month, self.day)
    def time(self): return time(self.hour, self.minute, self.second, self.microsecond)

    def _us(self):
        seconds = (self.toordinal() * 24 + self.hour) * 3600 + self.minute * 60 + self.second
        return seconds * 1000000 + self.microsecond

    def timestamp(self):
        if self.tzinfo is None:
            return _time.mktime(self.timetuple()) + self.microsecond / 1000000.0
        return (self._us() - 719163 * 86400000000 - self.tzinfo.utcoffset(self)._us) / 1000000.0

    def timetuple(self):
        return (self.year, self.month, self.day, self.hour, self.minute, self.second, self.weekday(),
                self.toordinal() - _ordinal(self.year, 1, 1) + 1, -1)

    def isoformat(self, sep='T'):
        text = '%s%s%02d:%02d:%02d' % (date.isoformat(self), sep, self.hour, self.minute, self.second)
        if self.microsecond:
            text += '.%06d' % self.microsecond
        return text + _offset_text(self.tzinfo and self.tzinfo.utcoffset(self), ':')

    def replace(self, **parts):
        names = ('year', 'month', 'day', 'hour', 'minute', 'second', 'microsecond', 'tzinfo')
        return datetime(*[parts.get(name, getattr(self, name)) for name in names])

    def __add__(self, delta): return datetime._at(self._us() + delta._us, self.tzinfo)
    __radd__ = __add__

    def __sub__(self, other):
        if isinstance(other, timedelta):
            return datetime._at(self._us() - other._us, self.tzinfo)
        return timedelta(microseconds=self._us() - other._us())

    def _key(self):
        return (self.year, self.month, self.day, self.hour, self.minute, self.second, self.microsecond)

    def __str__(self): return self.isoformat(' ')
    def __repr__(self): return 'datetime.datetime(%d, %d, %d, %d, %d, %d, %d)' % self._key()


UTC = timezone.utc
