"""Prints what the protos of this environment's SDK hold: {"package.Message": {"field": number}, "package.Service": ["Method"]}."""
import json

from e2b.envd.filesystem import filesystem_pb
from e2b.envd.process import process_pb

found = {}


def add(message):
    found[message.type_name] = {field.proto.name: field.proto.number for field in message.fields}
    for nested in message.nested_messages:
        add(nested)


for file in (filesystem_pb.desc(), process_pb.desc()):
    for message in file.messages:
        add(message)
    for service in file.services:
        found[service.type_name] = sorted(method.name for method in service.methods)
print(json.dumps(found))
