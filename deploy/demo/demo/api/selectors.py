# SPDX-License-Identifier: Apache-2.0
"""Label and field selectors."""
import re

from .errors import bad_request

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")


def _split(text):
    """At commas that are not within parentheses."""
    return [p.strip() for p in re.split(r",(?![^(]*\))", text) if p.strip()]


def _label_term(term):
    found = _SET.match(term)
    if found:
        key, op, raw = found.groups()
        values = {v.strip() for v in raw.split(",")}
        if op == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for op in ("!=", "==", "="):
        if op in term:
            key, value = (p.strip() for p in term.split(op, 1))
            if op == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    if term.startswith("!"):
        return lambda labels: term[1:].strip() not in labels
    if not re.match(r"^[A-Za-z0-9._/-]+$", term):
        raise bad_request(f"unable to parse requirement: {term!r}")
    return lambda labels: term in labels


def _field_value(obj, path):
    value = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _field_term(term):
    for op in ("!=", "==", "="):
        if op in term:
            path, value = (p.strip() for p in term.split(op, 1))
            if op == "!=":
                return lambda obj: _field_value(obj, path) != value
            return lambda obj: _field_value(obj, path) == value
    raise bad_request(f"invalid field selector: {term!r}")


def compile_selectors(labels, fields):
    """A function object -> bool, or None when everything matches."""
    label_terms = [_label_term(t) for t in _split(labels or "")]
    field_terms = [_field_term(t) for t in _split(fields or "")]
    if not label_terms and not field_terms:
        return None

    def match(obj):
        have = obj["metadata"].get("labels") or {}
        return all(t(have) for t in label_terms) and all(t(obj) for t in field_terms)

    return match


def match_label_selector(selector, labels):
    """A metav1.LabelSelector on a label map; an absent selector matches nothing, an empty one everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        key, op, values = term["key"], term["operator"], term.get("values") or []
        ok = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }.get(op, False)
        if not ok:
            return False
    return True
