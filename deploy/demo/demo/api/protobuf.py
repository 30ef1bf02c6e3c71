# SPDX-License-Identifier: Apache-2.0
"""Bodies in Kubernetes' protobuf encoding, for what `kubectl create` makes of its flags.

Newer kubectls send `create namespace|configmap|secret|serviceaccount|deployment|service` so, whatever
the server would rather have. Field numbers are those of k8s.io/api's generated.proto files.
"""
import base64

from .errors import ApiError, bad_request

MAGIC = b"k8s\x00"
S, I, B, BYTES = "string", "int", "bool", "bytes"


def many(schema):
    return ("many", schema)


def mapping(value):
    return ("map", value)


META = {
    1: ("name", S),
    2: ("generateName", S),
    3: ("namespace", S),
    6: ("resourceVersion", S),
    11: ("labels", mapping(S)),
    12: ("annotations", mapping(S)),
}
SELECTOR = {1: ("matchLabels", mapping(S))}
ENV = {1: ("name", S), 2: ("value", S)}
CONTAINER_PORT = {
    1: ("name", S),
    2: ("hostPort", I),
    3: ("containerPort", I),
    4: ("protocol", S),
    5: ("hostIP", S),
}
CONTAINER = {
    1: ("name", S),
    2: ("image", S),
    3: ("command", many(S)),
    4: ("args", many(S)),
    5: ("workingDir", S),
    6: ("ports", many(CONTAINER_PORT)),
    7: ("env", many(ENV)),
    14: ("imagePullPolicy", S),
}
POD_SPEC = {
    2: ("containers", many(CONTAINER)),
    3: ("restartPolicy", S),
    4: ("terminationGracePeriodSeconds", I),
    7: ("nodeSelector", mapping(S)),
    8: ("serviceAccountName", S),
    10: ("nodeName", S),
    11: ("hostNetwork", B),
}
TEMPLATE = {1: ("metadata", META), 2: ("spec", POD_SPEC)}
INT_OR_STRING = "intorstring"
SERVICE_PORT = {
    1: ("name", S),
    2: ("protocol", S),
    3: ("port", I),
    4: ("targetPort", INT_OR_STRING),
    5: ("nodePort", I),
}
SERVICE_SPEC = {
    1: ("ports", many(SERVICE_PORT)),
    2: ("selector", mapping(S)),
    3: ("clusterIP", S),
    4: ("type", S),
    5: ("externalIPs", many(S)),
    10: ("externalName", S),
}
SCHEMAS = {
    "Namespace": {1: ("metadata", META)},
    "ServiceAccount": {1: ("metadata", META)},
    "ConfigMap": {
        1: ("metadata", META),
        2: ("data", mapping(S)),
        3: ("binaryData", mapping(BYTES)),
        4: ("immutable", B),
    },
    "Secret": {
        1: ("metadata", META),
        2: ("data", mapping(BYTES)),
        3: ("type", S),
        4: ("stringData", mapping(S)),
        5: ("immutable", B),
    },
    "Pod": {1: ("metadata", META), 2: ("spec", POD_SPEC)},
    "Service": {1: ("metadata", META), 2: ("spec", SERVICE_SPEC)},
    "Deployment": {
        1: ("metadata", META),
        2: ("spec", {1: ("replicas", I), 2: ("selector", SELECTOR), 3: ("template", TEMPLATE)}),
    },
}
UNKNOWN = {1: ("typeMeta", {1: ("apiVersion", S), 2: ("kind", S)}), 2: ("raw", BYTES)}


def _varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise bad_request("truncated protobuf body")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data):
    """(number, integer or bytes) pairs of one message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
            value, at = data[at : at + length], at + length
        else:
            raise bad_request(f"protobuf wire type {wire}")
        if at > len(data):
            raise bad_request("truncated protobuf body")
        yield number, value


def _value(kind, raw):
    if isinstance(kind, dict):
        return decode(kind, raw)
    if kind == I:
        return raw - (1 << 64) if raw >> 63 else raw
    if kind == B:
        return bool(raw)
    if kind == BYTES:
        return base64.b64encode(raw).decode()
    if kind == INT_OR_STRING:
        parts = dict(_fields(raw))
        return parts.get(3, b"").decode() if parts.get(1) else parts.get(2, 0)
    return raw.decode()


def decode(schema, data):
    result = {}
    for number, raw in _fields(data):
        if number not in schema:
            continue
        name, kind = schema[number]
        if isinstance(kind, tuple) and kind[0] == "map":
            entry = dict(_fields(raw))
            result.setdefault(name, {})[entry.get(1, b"").decode()] = _value(
                kind[1], entry.get(2, b"")
            )
        elif isinstance(kind, tuple):
            result.setdefault(name, []).append(_value(kind[1], raw))
        else:
            value = _value(kind, raw)
            if value != "":
                result[name] = value
    return result


def decode_body(body):
    """The object, or {} for what comes without one (delete options)."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is not Kubernetes protobuf")
    envelope = decode(UNKNOWN, body[len(MAGIC) :])
    kind = envelope.get("typeMeta", {}).get("kind", "")
    if kind == "DeleteOptions":
        return {}
    if kind not in SCHEMAS:
        raise ApiError(
            415, "UnsupportedMediaType", f"{kind}: only JSON and YAML bodies are understood"
        )
    return {
        **envelope["typeMeta"],
        **decode(SCHEMAS[kind], base64.b64decode(envelope.get("raw", ""))),
    }
