# SPDX-License-Identifier: Apache-2.0
"""Server-side apply: who owns which field, in metadata.managedFields as FieldsV1.

A field set is a set of paths; a path's part is a field's name, or a list item's key as a tuple
(("name", "web"),). Lists without a merge key are one field. Only objects that somebody applied
carry managedFields; plain updates of such an object take over what they change.
"""
import copy
import json
from datetime import datetime, timezone

from .errors import ApiError
from .patch import merge_key

IGNORED = {
    ("apiVersion",),
    ("kind",),
    ("metadata",),
    ("metadata", "name"),
    ("metadata", "namespace"),
    ("metadata", "resourceVersion"),
    ("metadata", "uid"),
    ("metadata", "creationTimestamp"),
    ("metadata", "generation"),
    ("metadata", "managedFields"),
}


def _item_part(field, item, key):
    part = [(key, item[key])]
    if field == "ports" and key in ("containerPort", "port"):
        part.append(("protocol", item.get("protocol", "TCP")))
    return tuple(part)


def leaves(value, path=(), field=""):
    """The paths of what `value` says, leaves and list items."""
    if path in IGNORED and path != ("metadata",):
        return set()
    if isinstance(value, dict) and value:
        found = set()
        for name, sub in value.items():
            found |= leaves(sub, path + (name,), name)
        return found
    if isinstance(value, list) and value:
        key = merge_key(field, value)
        if key:
            found = set()
            for item in value:
                part = path + (_item_part(field, item, key),)
                found |= {part} | leaves(item, part, "")
            return found
    return {path} if path else set()


def lookup(value, path, field=""):
    """(found, value at path)"""
    for part in path:
        if isinstance(part, tuple):
            key, want = part[0]
            value = next(
                (i for i in value or [] if isinstance(i, dict) and i.get(key) == want), None
            )
            if value is None:
                return False, None
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return False, None
    return True, value


def _remove(value, path):
    ok, parent = lookup(value, path[:-1])
    if not ok:
        return
    last = path[-1]
    if isinstance(last, tuple) and isinstance(parent, list):
        parent[:] = [i for i in parent if i.get(last[0][0]) != last[0][1]]
    elif isinstance(parent, dict):
        parent.pop(last, None)


def _merge(target, config, field=""):
    """`config` laid over `target`; keyed lists by key."""
    if isinstance(config, dict) and isinstance(target, dict):
        result = dict(target)
        for name, value in config.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = _merge(result.get(name), value, name)
        return result
    if isinstance(config, list):
        key = merge_key(field, config)
        if key and isinstance(target, list):
            result = [dict(i) for i in target]
            for item in config:
                at = next(
                    (i for i, have in enumerate(result) if have.get(key) == item.get(key)), None
                )
                if at is None:
                    result.append(copy.deepcopy(item))
                else:
                    result[at] = _merge(result[at], item)
            return result
    return copy.deepcopy(config)


def to_fields(paths):
    tree = {}
    for path in sorted(paths, key=repr):
        node = tree
        for part in path:
            name = (
                "k:" + json.dumps(dict(part), separators=(",", ":"))
                if isinstance(part, tuple)
                else "f:" + part
            )
            node = node.setdefault(name, {})
        if path and isinstance(path[-1], tuple):
            node["."] = {}
    return tree


def from_fields(tree, path=()):
    found = set()
    for name, sub in tree.items():
        if name == ".":
            found.add(path)
            continue
        part = tuple(json.loads(name[2:]).items()) if name.startswith("k:") else name[2:]
        below = path + (part,)
        found |= from_fields(sub, below) if sub else {below}
    return found


def _managers(obj):
    return {
        (m["manager"], m["operation"], m.get("subresource", "")): from_fields(
            m.get("fieldsV1") or {}
        )
        for m in obj["metadata"].get("managedFields") or []
    }


def _store(obj, managers, touched):
    old = {
        (m["manager"], m["operation"], m.get("subresource", "")): m
        for m in obj["metadata"].get("managedFields") or []
    }
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = []
    for (name, operation, sub), paths in managers.items():
        if not paths:
            continue
        have = old.get((name, operation, sub))
        time = now if (name, operation, sub) == touched or not have else have.get("time", now)
        entry = {
            "manager": name,
            "operation": operation,
            "apiVersion": obj["apiVersion"],
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields(paths),
        }
        if sub:
            entry["subresource"] = sub
        entries.append(entry)
    obj["metadata"]["managedFields"] = entries


def apply(current, config, manager, force, sub=""):
    """`current` (or None) with `config` applied by `manager`; raises 409 on fields of others."""
    me = (manager, "Apply", sub)
    wanted = leaves(config)
    if current is None:
        result = copy.deepcopy(config)
        result.setdefault("metadata", {}).pop("managedFields", None)
        _store(result, {me: wanted}, me)
        return result
    managers = _managers(current)
    conflicts = {}
    for other, paths in managers.items():
        if other == me:
            continue
        for path in paths & wanted:
            if isinstance(path[-1], tuple):
                continue  # sharing a list item is fine; its fields are checked one by one
            if lookup(current, path) != lookup(config, path):
                conflicts.setdefault(other, set()).add(path)
    if conflicts and not force:
        raise _conflict(conflicts)
    for other, paths in conflicts.items():
        managers[other] -= paths
    result = copy.deepcopy(current)
    others = set().union(*[p for o, p in managers.items() if o != me])
    for path in sorted(managers.get(me, set()) - wanted - others, key=len, reverse=True):
        _remove(result, path)
    body = {k: v for k, v in config.items() if k not in ("apiVersion", "kind")}
    body["metadata"] = {
        k: v for k, v in (config.get("metadata") or {}).items() if k != "managedFields"
    }
    result = _merge(result, body)
    managers[me] = wanted
    _store(result, managers, me)
    return result


def _text(path):
    return "".join(
        f"[{','.join(f'{k}={json.dumps(v)}' for k, v in p)}]" if isinstance(p, tuple) else f".{p}"
        for p in path
    )


def _conflict(conflicts):
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{other[0]}"',
            "field": _text(path),
        }
        for other, paths in conflicts.items()
        for path in sorted(paths, key=repr)
    ]
    listed = "\n".join(f"- {c['field']}: {c['message']}" for c in causes)
    message = f"Apply failed with {len(causes)} conflict{'s' if len(causes) > 1 else ''}: {listed}"
    return ApiError(409, "Conflict", message, {"causes": causes})


def updated(old, new, manager, sub=""):
    """After a plain update of an object that somebody applied: what it changed is the updater's."""
    if not (old["metadata"].get("managedFields")):
        return
    me = (manager, "Update", sub)
    before, after = leaves(old), leaves(new)
    changed = {p for p in after if p not in before or lookup(old, p) != lookup(new, p)}
    changed = {p for p in changed if not isinstance(p[-1], tuple) or p not in before}
    managers = _managers(old)
    for other in managers:
        managers[other] -= before - after
        if other != me:
            managers[other] -= changed
    managers[me] = managers.get(me, set()) | changed
    new["metadata"]["managedFields"] = copy.deepcopy(old["metadata"]["managedFields"])
    _store(new, managers, me)
