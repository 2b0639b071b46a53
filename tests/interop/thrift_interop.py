#!/usr/bin/env python3
"""Talks to the Rust peer with Python's Thrift library: thrift_interop.py PEER

The classes mirror crates/aurora-api/tests/idl. Needs the `thrift` package and nothing else.
"""

import json
import math
import subprocess
import sys
import unittest

from thrift.protocol.TBase import TBase, TExceptionBase
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TApplicationException, TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

PEER = None
SEQ = 7
FORMS = ["binary", "non-strict", "tjson"]

BOOL, I8, I16, I32, I64 = TType.BOOL, TType.BYTE, TType.I16, TType.I32, TType.I64
DOUBLE, STRING, STRUCT = TType.DOUBLE, TType.STRING, TType.STRUCT
TEXT, BINARY = "UTF8", "BINARY"


def struct(name, *fields, base=TBase):
    """A class of a Thrift struct; each field is (id, type, name, arguments of the type)."""
    spec = [None] * (max((f[0] for f in fields), default=-1) + 1)
    for number, kind, field, args in fields:
        spec[number] = (number, kind, field, args, None)
    names = [f[2] for f in fields]

    def init(self, **values):
        for field in names:
            setattr(self, field, values.pop(field, None))
        assert not values, values

    def key(self):
        return tuple(getattr(self, field) for field in names)

    return type(
        name,
        (base,),
        {
            "thrift_spec": tuple(spec),
            "__init__": init,
            "__eq__": lambda a, b: type(a) is type(b) and key(a) == key(b),
            "__hash__": lambda self: hash(repr(key(self))),
            "__repr__": lambda self: name
            + repr({f: getattr(self, f) for f in names if getattr(self, f) is not None}),
        },
    )


def of(cls):
    return [cls, cls.thrift_spec]


Point = struct("Point", (1, I32, "x", None), (2, I32, "y", None))
Shape = struct(
    "Shape",
    (1, DOUBLE, "circle", None),
    (2, STRUCT, "point", of(Point)),
    (3, TType.SET, "names", (STRING, TEXT, False)),
    (5, I32, "color", None),
    (6, STRING, "raw", BINARY),
)
Bases = struct(
    "Bases",
    (1, BOOL, "aBool", None),
    (2, I8, "aByte", None),
    (3, I16, "anI16", None),
    (4, I32, "anI32", None),
    (5, I64, "anI64", None),
    (6, DOUBLE, "aDouble", None),
    (7, STRING, "aString", TEXT),
    (8, STRING, "aBinary", BINARY),
    (9, I32, "aColor", None),
    (10, I64, "aTime", None),
)
Containers = struct(
    "Containers",
    (1, TType.LIST, "bools", (BOOL, None, False)),
    (2, TType.SET, "longs", (I64, None, False)),
    (3, TType.MAP, "byNumber", (I32, None, STRING, TEXT, False)),
    (4, TType.MAP, "byColor", (I32, None, DOUBLE, None, False)),
    (5, TType.MAP, "byPoint", (STRUCT, of(Point), STRING, BINARY, False)),
    (6, TType.SET, "shapes", (STRUCT, of(Shape), False)),
    (8, TType.LIST, "listOfNames", (TType.SET, (STRING, TEXT, False), False)),
    (
        9,
        TType.MAP,
        "deep",
        (BOOL, None, TType.LIST, (TType.MAP, (STRING, TEXT, I16, None, False), False), False),
    ),
    (10, TType.MAP, "byDouble", (DOUBLE, None, I8, None, False)),
)
Tree = struct("Tree", (6, STRING, "label", TEXT))
# Itself as a list element; the specification can refer to the class only afterwards.
Tree.thrift_spec = (
    Tree.thrift_spec[:3]
    + ((3, TType.LIST, "children", (STRUCT, [Tree, None], False), None),)
    + Tree.thrift_spec[4:]
)
Tree.thrift_spec[3][3][1][1] = Tree.thrift_spec
Tree.children = None
Tree.__eq__ = lambda a, b: (a.label, a.children) == (b.label, b.children)
Empty = struct("Empty")
Everything = struct(
    "Everything",
    (2, TType.STRUCT, "containers", of(Containers)),
    (5, STRUCT, "tree", of(Tree)),
    (7, STRUCT, "empty", of(Empty)),
    (8, STRUCT, "shape", of(Shape)),
    (30, STRUCT, "bases", of(Bases)),
    (32767, STRING, "last", TEXT),
)
# A newer version: everything in it is unknown to the other side.
Newer = struct(
    "Newer",
    (1, TType.LIST, "list", (STRUCT, of(Shape), False)),
    (9, TType.MAP, "map", (STRING, TEXT, I64, None, False)),
    (100, STRING, "text", TEXT),
    (101, DOUBLE, "double", None),
    (30, STRUCT, "bases", of(Bases)),
)

Exhausted = struct(
    "Exhausted", (1, STRING, "message", TEXT), (2, I32, "code", None), base=TExceptionBase
)
NotFound = struct(
    "NotFound",
    (1, STRING, "what", TEXT),
    (2, TType.SET, "known", (STRING, TEXT, False)),
    base=TExceptionBase,
)
ARGS = {
    "ping": struct("ping_args"),
    "forget": struct("forget_args", (1, STRING, "name", TEXT)),
    "add": struct("add_args", (1, I32, "a", None), (2, I32, "b", None)),
    "echo": struct("echo_args", (1, STRUCT, "value", of(Everything)), (2, STRING, "note", TEXT)),
    "store": struct("store_args", (1, STRING, "name", TEXT), (3, STRUCT, "shape", of(Shape))),
    "names": struct("names_args"),
}
RESULTS = {
    "ping": struct("ping_result"),
    "add": struct(
        "add_result", (0, I32, "success", None), (1, STRUCT, "exhausted", of(Exhausted))
    ),
    "echo": struct("echo_result", (0, STRUCT, "success", of(Everything))),
    "store": struct(
        "store_result",
        (1, STRUCT, "missing", of(NotFound)),
        (2, STRUCT, "full", of(Exhausted)),
    ),
    "names": struct("names_result", (0, TType.LIST, "success", (STRING, TEXT, False))),
}


def protocol(form, data=b""):
    buffer = TMemoryBuffer(data)
    if form == "tjson":
        return TJSONProtocol(buffer)
    strict = form == "binary"
    return TBinaryProtocol(buffer, strictRead=strict, strictWrite=strict)


def encode(form, value):
    out = protocol(form)
    value.write(out)
    return out.trans.getvalue()


def decode(form, cls, data):
    value = cls()
    value.read(protocol(form, data))
    return value


def peer(*args, data=b""):
    done = subprocess.run([PEER, *args], input=data, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError("%s: %s" % (" ".join(args), done.stderr.decode()))
    return done.stdout


def sample(control="\n\t"):
    """A value with as much in it as Python's library can write and read again."""
    tree = Tree(label="root")
    leaf = Tree(label="leaf")
    leaf.children = []
    tree.children = [leaf]
    return Everything(
        bases=Bases(
            aBool=True,
            aByte=-128,
            anI16=-32768,
            anI32=2**31 - 1,
            anI64=-(2**63),
            aDouble=-1.5e-300,
            aString="\u00e9\U0001f600 \"quoted\" \\ / " + control,
            aBinary=bytes(range(256)),
            aColor=77,
            aTime=0,
        ),
        containers=Containers(
            bools=[True, False],
            longs={1, -1},
            byNumber={-5: "minus five", 5: ""},
            byColor={0: 0.5, 6: -0.0},
            byPoint={Point(x=1): b"\xff\x00"},
            shapes={Shape(circle=1.25), Shape(names=set()), Shape(raw=b"r")},
            listOfNames=[{"a"}, set()],
            deep={True: [{"k": 1}], False: []},
            byDouble={2.5: 1},
        ),
        tree=tree,
        empty=Empty(),
        shape=Shape(point=Point(x=0)),
        last="",
    )


class Values(unittest.TestCase):
    def test_both_encodings_in_and_out(self):
        value = sample()
        for source in ("binary", "tjson"):
            for target in ("binary", "tjson"):
                with self.subTest(source=source, target=target):
                    back = peer("convert", source, target, data=encode(source, value))
                    self.assertEqual(decode(target, Everything, back), value)

    def test_unset_is_not_empty(self):
        for value in (Everything(), Everything(last=""), Everything(containers=Containers(bools=[]))):
            for form in ("binary", "tjson"):
                back = peer("convert", form, form, data=encode(form, value))
                self.assertEqual(back, encode(form, value))

    def test_through_the_readable_form(self):
        readable = peer("convert", "binary", "readable", data=encode("binary", sample()))
        tree = json.loads(readable)
        self.assertEqual(tree["bases"]["aColor"], 77)
        self.assertEqual(tree["containers"]["byColor"], {"RED": 0.5, "blue": -0.0})
        self.assertEqual(tree["shape"], {"point": {"x": 0}})
        back = peer("convert", "readable", "binary", data=readable)
        self.assertEqual(decode("binary", Everything, back), sample())

    def test_unknown_fields_survive(self):
        newer = Newer(
            list=[Shape(circle=0.5)],
            map={"k": 2**40},
            text="later",
            double=0.25,
            bases=Bases(anI32=3),
        )
        for source in ("binary", "tjson"):
            for target in ("binary", "tjson", "readable"):
                back = peer("convert", source, target, data=encode(source, newer))
                if target == "readable":
                    back = peer("convert", "readable", source, data=back)
                    target = source
                self.assertEqual(decode(target, Newer, back), newer)

    def test_what_python_writes_beyond_the_standard(self):
        # Control characters without escapes and bare infinities.
        value = Everything(
            bases=Bases(aString="".join(map(chr, range(32))), aDouble=math.inf),
            containers=Containers(byDouble={-math.inf: 1}),
        )
        text = encode("tjson", value)
        self.assertIn(b"\x01", text)
        self.assertIn(b'{"dbl":inf}', text)
        back = peer("convert", "tjson", "binary", data=text)
        self.assertEqual(decode("binary", Everything, back), value)
        back = peer("convert", "tjson", "tjson", data=text)
        self.assertEqual(decode("tjson", Everything, back), value)

        value = Everything(bases=Bases(aDouble=math.nan))
        back = peer("convert", "tjson", "tjson", data=encode("tjson", value))
        self.assertTrue(math.isnan(decode("tjson", Everything, back).bases.aDouble))

    def test_other_spellings(self):
        plain = b'{"30":{"rec":{"4":{"i32":5},"6":{"dbl":2.5},"8":{"str":"YQ=="}}}}'
        other = b'{"30":{"rec":{"4":{"i32":"5"},"6":{"dbl":"2.5"},"8":{"str":"YQ"}}}}'
        for text in (plain, other):
            back = peer("convert", "tjson", "tjson", data=text)
            self.assertEqual(back, plain)
            bases = decode("tjson", Everything, back).bases
            self.assertEqual((bases.anI32, bases.aDouble, bases.aBinary), (5, 2.5, b"a"))

    def test_text_that_is_not_utf8_is_refused(self):
        out = protocol("binary")
        out.writeFieldBegin("last", STRING, 32767)
        out.writeBinary(b"\xff")
        out.writeFieldStop()
        with self.assertRaisesRegex(AssertionError, "in last: .* not UTF-8"):
            peer("convert", "binary", "binary", data=out.trans.getvalue())


class PythonCalls(unittest.TestCase):
    """Python's calls of the Rust service."""

    def call(self, form, method, args, target=None):
        target = target or form
        out = protocol(form)
        out.writeMessageBegin(method, TMessageType.CALL, SEQ)
        args.write(out)
        out.writeMessageEnd()
        reply = protocol(target, peer("serve", form, target, data=out.trans.getvalue()))
        name, kind, seq = reply.readMessageBegin()
        self.assertEqual((name, seq), (method, SEQ))
        if kind == TMessageType.EXCEPTION:
            error = TApplicationException()
            error.read(reply)
            reply.readMessageEnd()
            return error
        self.assertEqual(kind, TMessageType.REPLY)
        result = RESULTS[method]()
        result.read(reply)
        reply.readMessageEnd()
        return result

    def test_results(self):
        for form in FORMS:
            with self.subTest(form=form):
                self.assertEqual(self.call(form, "add", ARGS["add"](a=1, b=2)).success, 3)
                self.call(form, "ping", ARGS["ping"]())
                value = sample()
                echo = self.call(form, "echo", ARGS["echo"](value=value))
                self.assertEqual(echo.success, value)
                names = self.call(form, "names", ARGS["names"]())
                self.assertEqual(names.success, ["one", ""])

    def test_one_encoding_in_another_out(self):
        for form, target in (("binary", "tjson"), ("tjson", "binary"), ("non-strict", "binary")):
            reply = self.call(form, "add", ARGS["add"](a=1, b=2), target)
            self.assertEqual(reply.success, 3)

    def test_null_arguments(self):
        for form in FORMS:
            self.assertEqual(self.call(form, "add", ARGS["add"](b=2)).success, 2)
            self.assertEqual(self.call(form, "store", ARGS["store"](name="x")), RESULTS["store"]())

    def test_declared_exceptions(self):
        for form in FORMS:
            reply = self.call(form, "add", ARGS["add"](a=2**31 - 1, b=1))
            self.assertIsNone(reply.success)
            self.assertEqual(
                (reply.exhausted.message, reply.exhausted.code), ("2147483647 + 1", 32)
            )
            reply = self.call(form, "store", ARGS["store"]())
            self.assertEqual(reply.missing.what, "name")
            self.assertIsNone(reply.full)

    def test_application_exceptions(self):
        for form in FORMS:
            error = self.call(form, "nope", ARGS["add"]())
            self.assertEqual(error.type, TApplicationException.UNKNOWN_METHOD)
            error = self.call(form, "echo", ARGS["echo"]())
            self.assertEqual(error.type, TApplicationException.INTERNAL_ERROR)
            self.assertEqual(error.message, "nothing to echo")
            # A union without a field, as a broken client sends it.
            error = self.call(form, "store", ARGS["store"](shape=Shape()))
            self.assertEqual(error.type, TApplicationException.PROTOCOL_ERROR)
            self.assertIn("in shape: the union Shape has no field set", error.message)

    def test_oneway(self):
        for form in FORMS:
            out = protocol(form)
            out.writeMessageBegin("forget", TMessageType.ONEWAY, SEQ)
            ARGS["forget"](name="x").write(out)
            out.writeMessageEnd()
            self.assertEqual(peer("serve", form, form, data=out.trans.getvalue()), b"")


class RustCalls(unittest.TestCase):
    """Rust's calls, answered by Python."""

    def call(self, form, method, args, answer, kind=TMessageType.REPLY):
        data = peer("call", form, method, json.dumps(args))
        received = protocol(form, data)
        self.assertEqual(received.readMessageBegin(), (method, TMessageType.CALL, SEQ))
        found = ARGS[method]()
        found.read(received)
        received.readMessageEnd()
        out = protocol(form)
        out.writeMessageBegin(method, kind, SEQ)
        answer(found).write(out)
        out.writeMessageEnd()
        return peer("reply", form, method, data=out.trans.getvalue()).decode()

    def test_results(self):
        for form in FORMS:
            add = lambda args: RESULTS["add"](success=args.a + args.b)
            self.assertEqual(self.call(form, "add", {"a": 1, "b": 2}, add), "ok 3")
            self.assertEqual(self.call(form, "ping", {}, lambda _: RESULTS["ping"]()), "ok ")
            echo = lambda args: RESULTS["echo"](success=args.value)
            args = {"value": {"last": "x", "shape": {"names": []}}}
            self.assertEqual(
                self.call(form, "echo", args, echo), 'ok {"shape":{"names":[]},"last":"x"}'
            )

    def test_null_arguments(self):
        for form in FORMS:
            seen = []
            self.call(form, "add", {"b": 1}, lambda a: seen.append(a) or RESULTS["add"](success=0))
            self.assertEqual(seen, [ARGS["add"](b=1)])

    def test_exceptions(self):
        for form in FORMS:
            answer = lambda _: RESULTS["add"](exhausted=Exhausted(message="m", code=1))
            found = self.call(form, "add", {}, answer)
            self.assertEqual(found, 'fault Exhausted {"message":"m","code":1}')
            found = self.call(form, "store", {}, lambda _: RESULTS["store"](missing=NotFound()))
            self.assertEqual(found, "fault NotFound {}")
            answer = lambda _: TApplicationException(TApplicationException.INTERNAL_ERROR, "oops")
            found = self.call(form, "add", {}, answer, TMessageType.EXCEPTION)
            self.assertEqual(found, "fault oops (internal error)")
            found = self.call(form, "add", {}, lambda _: RESULTS["add"]())
            self.assertIn("(missing result)", found)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PEER = sys.argv.pop(1)
    unittest.main()
