"""Types of a schema as CEL's checker wants them: protobuf messages, described at run time.

Only the checker sees these messages: values come as plain maps (see `expressions`). Every optional plain value has a
wrapper type, so that it may be compared with null. Message names are the paths of the values, so that an error about
a message can be said in the words of the policy.
"""

from collections.abc import Mapping
from typing import Any, Final

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2, wrappers_pb2

from services.policy.schemas import Field, Kind

Proto = descriptor_pb2.FieldDescriptorProto

_PACKAGE: Final = "clarion_policy"
_ITEM: Final = "__0"
_PLAIN: Final = {
    Kind.STRING: Proto.TYPE_STRING,
    Kind.DATE: Proto.TYPE_STRING,
    Kind.INTEGER: Proto.TYPE_INT64,
    Kind.NUMBER: Proto.TYPE_DOUBLE,
    Kind.BOOL: Proto.TYPE_BOOL,
}
_WRAPPED: Final = {
    Kind.STRING: ".google.protobuf.StringValue",
    Kind.DATE: ".google.protobuf.StringValue",
    Kind.INTEGER: ".google.protobuf.Int64Value",
    Kind.NUMBER: ".google.protobuf.DoubleValue",
    Kind.BOOL: ".google.protobuf.BoolValue",
}


def environment(variables: Mapping[str, Field]) -> Any:
    """Return a CEL environment that knows these variables by their types."""
    described = _Description()
    types = {name: described.variable(name, field) for name, field in variables.items()}
    pool = descriptor_pool.DescriptorPool()
    for module in (wrappers_pb2, timestamp_pb2, struct_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        pool.Add(file)
    pool.Add(described.file)
    return cel.NewEnv(descriptor_pool=pool, variables=types)


def path_of_message(name: str) -> str:
    """Return the path of the value that a message of an error stands for."""
    return name.removeprefix(f"{_PACKAGE}.").replace(_ITEM, "[]").replace("__", ".")


class _Description:
    def __init__(self) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(name="policy.proto", package=_PACKAGE, syntax="proto3")
        self.file.dependency.extend(
            ["google/protobuf/wrappers.proto", "google/protobuf/timestamp.proto", "google/protobuf/struct.proto"]
        )

    def variable(self, name: str, field: Field) -> Any:
        match field.kind:
            case Kind.TIMESTAMP:
                return cel.Type.TIMESTAMP
            case Kind.OBJECT if not field.open:
                return cel.Type(self._message(name, field).removeprefix("."))
            case Kind.OBJECT:
                return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
            case _:
                return cel.Type.DYN

    def _message(self, path: str, field: Field) -> str:
        message = self.file.message_type.add(name=path)
        # Names such as fooBar and foo_bar would collide in protobuf's JSON, which nobody uses here.
        message.options.deprecated_legacy_json_field_conflicts = True
        for number, (name, inner) in enumerate(field.fields.items(), start=1):
            described = message.field.add(name=name, number=number, label=Proto.LABEL_OPTIONAL)
            self._type(described, f"{path}__{name}", inner)
        return f".{_PACKAGE}.{path}"

    def _type(self, described: Proto, path: str, field: Field) -> None:
        if field.kind in _PLAIN and not field.optional:
            described.type = _PLAIN[field.kind]
            return
        if field.kind is Kind.LIST and field.item is not None and field.item.kind is not Kind.LIST:
            described.label = Proto.LABEL_REPEATED
            item = Field(field.item.kind, fields=field.item.fields, item=field.item.item)
            self._type(described, f"{path}{_ITEM}", item)
            return
        described.type = Proto.TYPE_MESSAGE
        match field.kind:
            case Kind.TIMESTAMP:
                described.type_name = ".google.protobuf.Timestamp"
            case Kind.OBJECT if not field.open:
                described.type_name = self._message(path, field)
            case Kind.OBJECT | Kind.LIST | Kind.ANY:
                described.type_name = ".google.protobuf.Value"
            case _:
                described.type_name = _WRAPPED[field.kind]
