# Names of built-in types.

FunctionType = LambdaType = type(lambda: 0)
GeneratorType = type((x for x in ()))
BuiltinFunctionType = type(len)
NoneType = type(None)
StringTypes = (str,)
StringType = UnicodeType = str
IntType = LongType = int
FloatType, BooleanType, ListType, TupleType, DictType = float, bool, list, tuple, dict


class SimpleNamespace:
    def __init__(self, **named):
        self.__dict__.update(named)

    def __repr__(self):
        return 'namespace(%s)' % ', '.join('%s=%r' % pair for pair in self.__dict__.items())

    def __eq__(self, other):
        return isinstance(other, SimpleNamespace) and self.__dict__ == other.__dict__
