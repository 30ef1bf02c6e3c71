# SPDX-License-Identifier: Apache-2.0
"""Objects of CRDs against their structural schemas, in the words of kube-apiserver.

    schema = Schema(version["schema"]["openAPIV3Schema"])
    schema.prune(obj)     # drops unknown fields and nulls; what it dropped
    schema.errors(obj)    # [(field, why)]
"""
import json
import re
import sys

from . import cel

_TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
}
_META = ("apiVersion", "kind", "metadata")  # have their own checks


def type_name(value):
    for name, fits in _TYPES.items():
        if fits(value):
            return name
    return "null"


def shown(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Schema:
    def __init__(self, schema):
        self.schema = schema or {}
        self.rules = {}
        self._compile(self.schema)

    def _compile(self, schema):
        for rule in schema.get("x-kubernetes-validations") or []:
            try:
                self.rules[rule["rule"]] = cel.compile_rule(rule["rule"])
            except cel.Unsupported as error:
                print(f"rule {rule['rule']!r} is not checked: {error}", file=sys.stderr, flush=True)
        for part in (schema.get("properties") or {}).values():
            self._compile(part)
        for field in ("items", "additionalProperties"):
            if isinstance(schema.get(field), dict):
                self._compile(schema[field])

    # Pruning.
    def prune(self, obj):
        if not self.schema:
            return []
        dropped = []
        for name in [n for n in obj if n not in _META]:
            self._prune_field(self.schema, obj, name, name, dropped)
        return dropped

    def _prune_field(self, schema, parent, name, path, dropped):
        part = (schema.get("properties") or {}).get(name, schema.get("additionalProperties"))
        free = schema.get("x-kubernetes-preserve-unknown-fields")
        if part in (None, False):
            if not free:
                dropped.append(path)
                del parent[name]
        elif isinstance(part, dict):
            if parent[name] is None and not part.get("nullable"):
                del parent[name]
            else:
                self._prune(part, parent[name], path, dropped)

    def _prune(self, schema, value, path, dropped):
        if isinstance(value, dict):
            for name in list(value):
                self._prune_field(schema, value, name, f"{path}.{name}", dropped)
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            for i, item in enumerate(value):
                self._prune(schema["items"], item, f"{path}[{i}]", dropped)

    # Validation.
    def errors(self, obj):
        found = []
        for name in self.schema.get("required") or []:
            if name not in obj:
                found.append((name, "Required value"))
        for name, part in (self.schema.get("properties") or {}).items():
            if name in obj and name not in _META:
                self._check(part, obj[name], name, found)
        return found

    def _check(self, schema, value, path, found):
        before = len(found)
        wanted = schema.get("type")
        if schema.get("x-kubernetes-int-or-string"):
            if not isinstance(value, (int, str)) or isinstance(value, bool):
                found.append((path, f"Invalid value: {shown(value)}: must be integer or string"))
        elif value is None and schema.get("nullable"):
            return
        elif wanted and not _TYPES[wanted](value):
            why = f"{path} in body must be of type {wanted}: {shown(type_name(value))}"
            found.append((path, f"Invalid value: {shown(type_name(value))}: {why}"))
            return
        if schema.get("enum") and value not in schema["enum"]:
            values = ", ".join(shown(v) for v in schema["enum"])
            found.append((path, f"Unsupported value: {shown(value)}: supported values: {values}"))
        if isinstance(value, dict):
            self._check_object(schema, value, path, found)
        elif isinstance(value, list):
            self._check_list(schema, value, path, found)
        elif isinstance(value, str):
            _check_text(schema, value, path, found)
        elif not isinstance(value, bool) and isinstance(value, (int, float)):
            _check_number(schema, value, path, found)
        if len(found) == before:  # rules are for values whose form is right
            self._check_rules(schema, value, path, found)

    def _check_object(self, schema, value, path, found):
        _check_size(schema, value, path, ("minProperties", "maxProperties", "properties"), found)
        for name in schema.get("required") or []:
            if name not in value:
                found.append((f"{path}.{name}", "Required value"))
        for name, item in value.items():
            part = (schema.get("properties") or {}).get(name)
            if part is not None:
                self._check(part, item, f"{path}.{name}", found)
            elif isinstance(schema.get("additionalProperties"), dict):
                self._check(schema["additionalProperties"], item, f"{path}.{name}", found)

    def _check_list(self, schema, value, path, found):
        _check_size(schema, value, path, ("minItems", "maxItems", "items"), found)
        for i, item in enumerate(value):
            if isinstance(schema.get("items"), dict):
                self._check(schema["items"], item, f"{path}[{i}]", found)
        keys = {
            "set": lambda item: item,
            "map": lambda item: {k: item.get(k) for k in schema["x-kubernetes-list-map-keys"]}
            if isinstance(item, dict)
            else item,
        }.get(schema.get("x-kubernetes-list-type"))
        seen = set()
        for i, item in enumerate(value if keys else []):
            key = json.dumps(keys(item), sort_keys=True)
            if key in seen:
                found.append((f"{path}[{i}]", f"Duplicate value: {shown(keys(item))}"))
            seen.add(key)

    def _check_rules(self, schema, value, path, found):
        for rule in schema.get("x-kubernetes-validations") or []:
            judge = self.rules.get(rule["rule"])
            try:
                if judge and not judge(value):
                    why = rule.get("message") or f"failed rule: {rule['rule']}"
                    found.append((path, f"Invalid value: {shown(type_name(value))}: {why}"))
            except (KeyError, TypeError) as error:
                why = f"rule {rule['rule']!r} can't be evaluated: {error!r}"
                found.append((path, f"Invalid value: {shown(type_name(value))}: {why}"))


def _check_size(schema, value, path, names, found):
    least, most, what = names
    if len(value) > schema.get(most, len(value)):
        why = f"must have at most {schema[most]} {'items' if what == 'items' else 'properties'}"
        found.append((path, f"Too many: {len(value)}: {why}"))
    if len(value) < schema.get(least, 0):
        why = f"{path} in body should have at least {schema[least]} {what}"
        found.append((path, f"Invalid value: {len(value)}: {why}"))


def _check_text(schema, value, path, found):
    most = schema.get("maxLength")
    if most is not None and len(value) > most:
        found.append((path, f"Too long: may not be more than {most} bytes"))
    if len(value) < schema.get("minLength", 0):
        why = f"{path} in body should be at least {schema['minLength']} chars long"
        found.append((path, f"Invalid value: {shown(value)}: {why}"))
    if schema.get("pattern") and not re.search(schema["pattern"], value):
        why = f"{path} in body should match '{schema['pattern']}'"
        found.append((path, f"Invalid value: {shown(value)}: {why}"))


def _check_number(schema, value, path, found):
    if value < schema.get("minimum", value):
        why = f"{path} in body should be greater than or equal to {schema['minimum']}"
        found.append((path, f"Invalid value: {shown(value)}: {why}"))
    if value > schema.get("maximum", value):
        why = f"{path} in body should be less than or equal to {schema['maximum']}"
        found.append((path, f"Invalid value: {shown(value)}: {why}"))
