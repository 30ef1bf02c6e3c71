# SPDX-License-Identifier: Apache-2.0
"""JSON patch (RFC 6902), JSON merge patch (RFC 7386), and Kubernetes' strategic merge patch.

Lists with a merge key are known by their field's name, which is unambiguous among the kinds here.
"""
import copy

from .errors import ApiError, bad_request

MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "conditions": ("type",),
    "addresses": ("type",),
    "ports": ("containerPort", "port"),
    "ownerReferences": ("uid",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "podIPs": ("ip",),
    "hostIPs": ("ip",),
    "secrets": ("name",),
    "topologySpreadConstraints": ("topologyKey",),
}
PRIMITIVE_MERGE = {"finalizers", "podCIDRs"}


def merge_key(field, items):
    """The key by which this list merges, or None when it is replaced as a whole."""
    items = [i for i in items if isinstance(i, dict)]
    for key in MERGE_KEYS.get(field, ()):
        if items and all(key in i for i in items if not set(i) <= {"$patch"}):
            return key
    return None


def json_merge(target, patch):
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = json_merge(result.get(key), value)
    return result


def strategic_merge(target, patch):
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != "$patch"}
    if directive == "delete":
        return {}
    result = dict(target) if isinstance(target, dict) else {}
    retain = patch.get("$retainKeys")
    if retain is not None:
        result = {k: v for k, v in result.items() if k in retain}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.split("/", 1)[1]
            result[field] = [v for v in result.get(field) or [] if v not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _merge_list(
                key, result.get(key) or [], value, patch.get(f"$setElementOrder/{key}")
            )
        else:
            result[key] = strategic_merge(result.get(key), value)
    for key, order in patch.items():
        field = key.split("/", 1)[1] if key.startswith("$setElementOrder/") else None
        if field and field not in patch and isinstance(result.get(field), list):
            result[field] = _ordered(result[field], order, merge_key(field, result[field]))
    return result


def _merge_list(field, current, patch, order):
    if field in PRIMITIVE_MERGE:
        return current + [v for v in patch if v not in current]
    key = merge_key(field, current + patch)
    if not key:
        return copy.deepcopy([v for v in patch if v != {"$patch": "replace"}])
    if {"$patch": "replace"} in patch:
        return copy.deepcopy([v for v in patch if v != {"$patch": "replace"}])
    result = list(current)
    for item in patch:
        at = next((i for i, have in enumerate(result) if have.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            if at is not None:
                result.pop(at)
        elif at is None:
            result.append(strategic_merge({}, item))
        else:
            result[at] = strategic_merge(result[at], item)
    return _ordered(result, order, key) if order else result


def _ordered(items, order, key):
    """Items named in `order` first, as it says; the server's own ones keep their place behind."""
    rank = {str(o.get(key) if isinstance(o, dict) else o): i for i, o in enumerate(order)}

    def place(item):
        return rank.get(str(item.get(key) if isinstance(item, dict) else item), len(rank))

    return sorted(items, key=place)


def _pointer(path):
    if path and not path.startswith("/"):
        raise bad_request(f"invalid JSON pointer: {path!r}")
    return [p.replace("~1", "/").replace("~0", "~") for p in path.split("/")[1:]]


def _step(node, part):
    try:
        return node[int(part)] if isinstance(node, list) else node[part]
    except (KeyError, IndexError, ValueError, TypeError):
        raise ApiError(
            422,
            "Invalid",
            f"the server rejected our request due to an error in our request: no {part!r}",
        )


def _set(doc, parts, value, insert):
    if not parts:
        return value
    node = doc
    for part in parts[:-1]:
        node = _step(node, part)
    last = parts[-1]
    if isinstance(node, list):
        if last == "-":
            node.append(value)
        elif insert:
            node.insert(int(last), value)
        else:
            node[int(last)] = value
    else:
        node[last] = value
    return doc


def _take(doc, parts):
    node = doc
    for part in parts[:-1]:
        node = _step(node, part)
    value = _step(node, parts[-1])
    node.pop(int(parts[-1]) if isinstance(node, list) else parts[-1])
    return value


def _at(doc, parts):
    for part in parts:
        doc = _step(doc, part)
    return doc


def json_patch(target, operations):
    doc = copy.deepcopy(target)
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    for op in operations:
        kind, path = op.get("op"), _pointer(op.get("path", ""))
        if kind == "add":
            doc = _set(doc, path, copy.deepcopy(op["value"]), True)
        elif kind == "replace":
            _at(doc, path)
            doc = _set(doc, path, copy.deepcopy(op["value"]), False)
        elif kind == "remove":
            _take(doc, path)
        elif kind == "copy":
            doc = _set(doc, path, copy.deepcopy(_at(doc, _pointer(op["from"]))), True)
        elif kind == "move":
            doc = _set(doc, path, _take(doc, _pointer(op["from"])), True)
        elif kind == "test":
            if _at(doc, path) != op.get("value"):
                raise ApiError(422, "Invalid", f"testing value {op.get('path')} failed")
        else:
            raise bad_request(f"unknown JSON patch operation: {kind!r}")
    return doc
