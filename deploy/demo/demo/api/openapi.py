# SPDX-License-Identifier: Apache-2.0
"""As much OpenAPI as kubectl asks for before it applies: that the server validates fields itself, so
that kubectl neither needs schemas nor refuses. Version 2 is for kubectl before 1.27; an empty one
tells it to skip its own validation. There are no schemas: `kubectl explain` has nothing to say."""

_PARAMETERS = [
    {"name": n, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
    for n in ("dryRun", "fieldManager", "fieldValidation")
]


def _base(res):
    root = f"/apis/{res.group}/{res.version}" if res.group else f"/api/{res.version}"
    return root + ("/namespaces/{namespace}/" if res.namespaced else "/") + res.plural + "/{name}"


def v3_index(registry):
    paths = {}
    for res in registry.all():
        name = f"apis/{res.group}/{res.version}" if res.group else f"api/{res.version}"
        paths[name] = {"serverRelativeURL": f"/openapi/v3/{name}?hash={abs(hash(res)) % 10**8}"}
    return {"paths": paths}


def v3_document(registry, group, version):
    paths = {}
    for res in registry.all():
        if (res.group, res.version) != (group, version):
            continue
        gvk = {"group": res.group, "version": res.version, "kind": res.kind}
        operation = {
            "parameters": _PARAMETERS,
            "x-kubernetes-group-version-kind": gvk,
            "responses": {"200": {"description": "OK"}},
        }
        paths[_base(res)] = {
            "patch": {**operation, "x-kubernetes-action": "patch"},
            "put": {**operation, "x-kubernetes-action": "put"},
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "netloom-demo", "version": "v1"},
        "paths": paths,
        "components": {},
    }


def v2_json():
    return {
        "swagger": "2.0",
        "info": {"title": "netloom-demo", "version": "v1"},
        "paths": {},
        "definitions": {},
    }


def v2_protobuf():
    """openapi.v2.Document {swagger = 1, info = 2 {title = 1, version = 2}, paths = 8, definitions = 9}"""

    def field(number, payload):
        return bytes([number << 3 | 2, len(payload)]) + payload

    info = field(1, b"netloom-demo") + field(2, b"v1")
    return field(1, b"2.0") + field(2, info) + field(8, b"") + field(9, b"")
