# Lines for the user, in the form that the client's own have.

CRITICAL, ERROR, WARNING, INFO, DEBUG, NOTSET = 50, 40, 30, 20, 10, 0
FATAL, WARN = CRITICAL, WARNING
_NAMES = ((ERROR, 'error'), (WARNING, 'warn'), (INFO, 'info'), (NOTSET, 'debug'))


class Logger:
    def __init__(self, name='root'):
        self.name = name

    def log(self, level, message, *args, **named):
        text = str(message) % (args[0] if len(args) == 1 and isinstance(args[0], dict) else args) \
            if args else str(message)
        _native['_log']([name for least, name in _NAMES if level >= least][0], text)

    def debug(self, message, *args, **named): self.log(DEBUG, message, *args)
    def info(self, message, *args, **named): self.log(INFO, message, *args)
    def warning(self, message, *args, **named): self.log(WARNING, message, *args)
    def error(self, message, *args, **named): self.log(ERROR, message, *args)
    def critical(self, message, *args, **named): self.log(CRITICAL, message, *args)

    warn, exception, fatal = warning, error, critical

    # How much is said is up to whoever runs the client.
    def setLevel(self, level): pass
    def addHandler(self, handler): pass
    def isEnabledFor(self, level): return True


_loggers = {}


def getLogger(name=None):
    return _loggers.setdefault(name, Logger(name or 'root'))


root = getLogger()
log, debug, info, warning, error = root.log, root.debug, root.info, root.warning, root.error
critical, warn, exception, fatal = root.critical, root.warn, root.exception, root.fatal


def basicConfig(**named): pass
