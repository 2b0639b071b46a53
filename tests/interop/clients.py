#!/usr/bin/env python3
"""Calls a running scheduler with Python's Thrift library: clients.py HOST PORT API_THRIFT

The classes are made from the IDL at run time. Each method is called in both encodings, on one
connection: without arguments, with empty ones, with every field set, and with what this version does
not know. The recorded steps of gorealis are made as well.

Needs the `thrift` package and nothing else.
"""

import base64
import http.client
import json
import os
import re
import sys
import unittest

from thrift.protocol.TBase import TBase
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TMessageType, TType
from thrift.transport.TTransport import TMemoryBuffer

SCHEDULER = None
API = None

BINARY = "application/vnd.apache.thrift.binary"
JSON = "application/vnd.apache.thrift.json"
# Encoding, its protocol, and headers as known clients send them.
FORMS = {
    "binary": (TBinaryProtocol, [("Content-Type", BINARY), ("Accept", BINARY)], BINARY),
    "json": (TJSONProtocol, [("Content-Type", JSON)], JSON),
    # gorealis sends its type twice and accepts whatever comes.
    "gorealis": (
        TJSONProtocol,
        [("Content-Type", "application/x-thrift"), ("Content-Type", "application/x-thrift")],
        JSON,
    ),
}

BASE = {
    "bool": TType.BOOL,
    "byte": TType.BYTE,
    "i8": TType.BYTE,
    "i16": TType.I16,
    "i32": TType.I32,
    "i64": TType.I64,
    "double": TType.DOUBLE,
    "string": TType.STRING,
    "binary": TType.STRING,
}


class Idl:
    """Structs as classes, enums as numbers, and the methods of all services."""

    def __init__(self, text):
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"(//|#).*", "", text)
        text = re.sub(r"<[^>\n]*>", lambda found: found.group().replace(" ", ""), text)
        self.enums, self.fields, self.classes, self.methods = {}, {}, {}, {}
        self.unions = set()
        for name, body in re.findall(r"\benum (\w+)\s*{(.*?)}", text, re.S):
            self.enums[name] = {n: int(v) for n, v in re.findall(r"(\w+)\s*=\s*(\d+)", body)}
        for kind, name, body in re.findall(r"\b(struct|union|exception) (\w+)\s*{(.*?)\n}", text, re.S):
            self.fields[name] = self.parse_fields(body)
            if kind == "union":
                self.unions.add(name)
        # First the classes, then what refers to them.
        for name in self.fields:
            self.classes[name] = type(name, (TBase,), {"__init__": init, "__hash__": deep_hash})
        for name, fields in self.fields.items():
            self.define(self.classes[name], fields)
        for body in re.findall(r"\bservice \w+(?: extends \w+)?\s*{(.*?)\n}", text, re.S):
            for name, arguments in re.findall(r"\bResponse (\w+)\((.*?)\)", body, re.S):
                cls = type(name + "Args", (TBase,), {"__init__": init})
                self.methods[name] = (cls, self.parse_fields(arguments))
                self.define(cls, self.methods[name][1])
        self.reply = type("Reply", (TBase,), {"__init__": init})
        self.define(self.reply, [(0, "Response", "success")])

    @staticmethod
    def parse_fields(text):
        found = re.findall(r"(\d+)\s*:\s*(?:optional |required )?([\w<>,]+)\s+(\w+)\s*(?:=[^,;\n]*)?[,;\n)]?", text)
        return [(int(number), kind, name) for number, kind, name in found]

    def define(self, cls, fields):
        spec = [None] * (max((number for number, _, _ in fields), default=-1) + 1)
        for number, kind, name in fields:
            wire, arguments = self.kind(kind)
            spec[number] = (number, wire, name, arguments, None)
        cls.thrift_spec = tuple(spec)

    @staticmethod
    def inner(name):
        found = re.fullmatch(r"(\w+)<(.*)>", name)
        assert found, f"no type: {name}"
        return found.groups()

    def kind(self, name):
        """Wire type and arguments of a type."""
        if name in BASE:
            return BASE[name], "UTF8" if name == "string" else None
        if name in self.enums:
            return TType.I32, None
        if name in self.classes:
            return TType.STRUCT, Lazy(self.classes[name])
        container, inner = self.inner(name)
        if container == "map":
            key, value = inner.split(",", 1)
            return TType.MAP, (*self.kind(key), *self.kind(value), False)
        return {"list": TType.LIST, "set": TType.SET}[container], (*self.kind(inner), False)

    def sample(self, kind, depth=0):
        """A value with everything set: of a union, the first field."""
        if kind in BASE:
            return {"bool": True, "double": 1.5, "string": "text", "binary": b"text"}.get(kind, 3)
        if kind in self.enums:
            return min(self.enums[kind].values())
        if kind in self.fields:
            fields = self.fields[kind][:1] if kind in self.unions else self.fields[kind]
            return self.classes[kind](**{name: self.sample(of, depth + 1) for _, of, name in fields})
        container, inner = self.inner(kind)
        if container == "map":
            key, value = inner.split(",", 1)
            return {self.sample(key): self.sample(value)}
        items = [self.sample(inner, depth + 1)]
        return set(items) if container == "set" else items


class Lazy:
    """[class, spec] of a struct whose spec comes later."""

    def __init__(self, cls):
        self.cls = cls

    def __getitem__(self, index):
        return (self.cls, self.cls.thrift_spec)[index]

    def __iter__(self):
        return iter((self.cls, self.cls.thrift_spec))


def init(self, **values):
    for spec in self.thrift_spec:
        if spec:
            setattr(self, spec[2], values.pop(spec[2], None))
    assert not values, values


def deep_hash(self):
    return hash(repr(sorted((name, repr(value)) for name, value in vars(self).items())))


class Calls(unittest.TestCase):
    def setUp(self):
        self.connection = http.client.HTTPConnection(*SCHEDULER, timeout=60)
        self.connection.connect()
        self.socket = self.connection.sock
        self.seq = 40

    def tearDown(self):
        self.connection.close()

    def call(self, form, method, write):
        """Sends a message whose arguments `write` writes; returns the Response."""
        self.seq += 1
        out = TMemoryBuffer()
        oprot = FORMS[form][0](out)
        oprot.writeMessageBegin(method, TMessageType.CALL, self.seq)
        write(oprot)
        oprot.writeMessageEnd()
        return self.send(form, method, self.seq, out.getvalue())

    def send(self, form, method, seq, body):
        """Sends a message as it is; returns the Response."""
        protocol, headers, answer_type = FORMS[form]
        self.connection.putrequest("POST", "/api")
        for name, value in headers:
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Length", str(len(body)))
        self.connection.endheaders(body)
        response = self.connection.getresponse()
        data = response.read()
        self.assertEqual(response.status, 200, (method, data))
        self.assertEqual(response.getheader("Content-Type"), answer_type)
        self.assertIs(self.connection.sock, self.socket, "the connection was not kept")
        iprot = protocol(TMemoryBuffer(data))
        self.assertEqual(iprot.readMessageBegin(), (method, TMessageType.REPLY, seq))
        reply = API.reply()
        reply.read(iprot)
        iprot.readMessageEnd()
        response = reply.success
        self.assertIsNotNone(response, method)
        self.assertIn(response.responseCode, API.enums["ResponseCode"].values())
        self.assertEqual(response.serverInfo.clusterName, "local")
        self.assertIsNotNone(response.details)
        if response.responseCode != API.enums["ResponseCode"]["OK"]:
            self.assertTrue(response.details and response.details[0].message, method)
        return response

    def every(self, write):
        for form in FORMS:
            for method, (cls, fields) in sorted(API.methods.items()):
                with self.subTest(form=form, method=method):
                    self.call(form, method, lambda oprot: write(oprot, cls, fields))

    def test_all_methods_are_known(self):
        self.assertGreater(len(API.methods), 40)

    def test_arguments_that_are_absent(self):
        self.every(lambda oprot, cls, fields: cls().write(oprot))

    def test_arguments_that_are_empty(self):
        def write(oprot, cls, fields):
            def empty(kind):
                if kind in API.fields and kind not in API.unions:
                    return API.classes[kind]()
                if kind in BASE and kind != "string" or kind in API.enums or kind in API.unions:
                    return None
                return {"string": "", "set": set(), "list": [], "map": {}}[kind.split("<")[0]]

            cls(**{name: empty(kind) for _, kind, name in fields}).write(oprot)

        self.every(write)

    def test_arguments_with_every_field(self):
        # All at once would be a cluster's maintenance and a job; neither exists, nobody is harmed.
        self.every(
            lambda oprot, cls, fields: cls(
                **{name: API.sample(kind) for _, kind, name in fields}
            ).write(oprot)
        )

    def test_arguments_that_nobody_knows(self):
        def write(oprot, cls, fields):
            oprot.writeStructBegin(cls.__name__)
            oprot.writeFieldBegin("new", TType.MAP, 90)
            oprot.writeMapBegin(TType.STRING, TType.LIST, 1)
            oprot.writeString("key")
            oprot.writeListBegin(TType.DOUBLE, 1)
            oprot.writeDouble(0.5)
            oprot.writeListEnd()
            oprot.writeMapEnd()
            oprot.writeFieldEnd()
            # A known id of another type is as good as absent.
            for number, kind, name in fields:
                if API.kind(kind)[0] != TType.BOOL:
                    oprot.writeFieldBegin(name, TType.BOOL, number)
                    oprot.writeBool(True)
                    oprot.writeFieldEnd()
            oprot.writeFieldStop()
            oprot.writeStructEnd()

        self.every(write)

    def test_enum_values_that_nobody_knows(self):
        for form in FORMS:
            for method, name, kind, values in [
                ("getTasksStatus", "query", "TaskQuery", {"statuses": {99}}),
                ("getTasksWithoutConfigs", "query", "TaskQuery", {"statuses": {99}}),
                ("getJobUpdateSummaries", "jobUpdateQuery", "JobUpdateQuery", {"updateStatuses": {99}}),
                ("createJob", "description", "JobConfiguration", {"cronCollisionPolicy": 99}),
            ]:
                with self.subTest(form=form, method=method):
                    args = API.methods[method][0](**{name: API.classes[kind](**values)})
                    self.call(form, method, args.write)
            with self.subTest(form=form, method="forceTaskState"):
                args = API.methods["forceTaskState"][0](taskId="none", status=99)
                self.call(form, "forceTaskState", args.write)

    def test_zero_means_no_limit(self):
        # gorealis always sends them; and its set is empty, not absent, when it means the whole job.
        for form in FORMS:
            query = API.classes["JobUpdateQuery"](offset=0, limit=0)
            args = API.methods["getJobUpdateSummaries"][0](jobUpdateQuery=query)
            response = self.call(form, "getJobUpdateSummaries", args.write)
            self.assertEqual(response.responseCode, API.enums["ResponseCode"]["OK"])
            job = API.classes["JobKey"](role="web", environment="prod", name="none")
            args = API.methods["killTasks"][0](job=job, instances=set(), message="")
            response = self.call(form, "killTasks", args.write)
            self.assertEqual(response.responseCode, API.enums["ResponseCode"]["OK"])
            self.assertEqual(response.details[0].message, "No tasks to kill.")

    def test_recorded_steps_of_gorealis(self):
        # Those that succeed whatever there is: each answer leads the client to its next step.
        safe = re.compile("get|kill|snapshot|trigger|pulse")
        requests, cases = recorded("requests"), recorded("gorealis")
        played = 0
        for case in cases:
            calls = [call for step in case["steps"] for call in step["calls"]]
            if not calls or not all(c["outcome"] == "OK" and safe.match(c["method"]) for c in calls):
                continue
            played += 1
            for call in calls:
                file, line = call["request"]["body"].split(":")
                self.assertEqual(file, "requests")
                request = requests[int(line) - 1]
                body = request["text"].encode() if "text" in request else base64.b64decode(request["base64"])
                form = "gorealis" if request["form"] == "tjson" else "binary"
                with self.subTest(case=case["case"], method=call["method"]):
                    response = self.send(form, call["method"], request["seq"], body)
                    self.assertEqual(response.responseCode, API.enums["ResponseCode"]["OK"])
        self.assertGreater(played, 40)


def recorded(name):
    """The lines of a file of recordings."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../fixtures/clients")
    with open(os.path.join(folder, name + ".jsonl")) as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    SCHEDULER = (sys.argv[1], int(sys.argv[2]))
    with open(sys.argv[3]) as file:
        API = Idl(file.read())
    unittest.main(argv=sys.argv[:1], verbosity=1)
