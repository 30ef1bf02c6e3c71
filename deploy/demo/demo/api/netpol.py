# SPDX-License-Identifier: Apache-2.0
"""NetworkPolicies as kube-apiserver judges them (pkg/apis/networking/validation)."""
import ipaddress
import re

from .cel import is_cidr
from .schema import shown

_NAME = re.compile(r"^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$")
_PREFIX = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_PORT_NAME = re.compile(r"^(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("Egress", "Ingress")


class _Wrong(list):
    """[(field, why)]"""

    def invalid(self, path, value, why):
        self.append((path, f"Invalid value: {shown(value)}: {why}"))

    def required(self, path, why=""):
        self.append((path, "Required value" + (f": {why}" if why else "")))

    def forbidden(self, path, why):
        self.append((path, f"Forbidden: {why}"))

    def unsupported(self, path, value, supported):
        values = ", ".join(shown(s) for s in supported)
        self.append((path, f"Unsupported value: {shown(value)}: supported values: {values}"))

    def fits(self, path, value, kind):
        """Absent (None) fits everything."""
        if value is None or isinstance(value, kind) and not isinstance(value, bool):
            return True
        word = {dict: "an object", list: "a list", str: "a string", int: "an integer"}[kind]
        self.invalid(path, value, f"must be {word}")
        return False

    def items(self, parent, path, field, kind):
        """(path, item) of a list whose items have the right type."""
        value = parent.get(field)
        if not self.fits(f"{path}.{field}", value, list):
            return []
        named = [(f"{path}.{field}[{i}]", item) for i, item in enumerate(value or [])]
        for at, item in named:
            if item is None:
                self.invalid(at, item, "must not be null")
        return [(a, i) for a, i in named if i is not None and self.fits(a, i, kind)]


def _label_key(wrong, path, key):
    prefix, slash, name = key.rpartition("/")
    bad = slash and (not _PREFIX.match(prefix) or len(prefix) > 253)
    if bad or not _NAME.match(name) or len(name) > 63:
        why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start"
        wrong.invalid(path, key, why + " and end with an alphanumeric character")


def _label_value(wrong, path, value):
    if not isinstance(value, str):
        wrong.invalid(path, value, "must be a string")
    elif value and (not _NAME.match(value) or len(value) > 63):
        why = "a valid label must be an empty string or consist of at most 63 alphanumeric characters"
        wrong.invalid(path, value, why + ", '-', '_' or '.', and start and end with an alphanumeric")


def _requirement(wrong, path, term):
    key, op = term.get("key"), term.get("operator")
    values = [v for _, v in wrong.items(term, path, "values", str)]
    if op in ("In", "NotIn"):
        if not values:
            wrong.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    elif op in ("Exists", "DoesNotExist"):
        if values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            wrong.forbidden(f"{path}.values", why)
    else:
        wrong.invalid(f"{path}.operator", op, "not a valid selector operator")
    if wrong.fits(f"{path}.key", key, str):
        _label_key(wrong, f"{path}.key", key or "")
    for i, value in enumerate(values):
        _label_value(wrong, f"{path}.values[{i}]", value)


def _selector(wrong, parent, path, field):
    selector, path = parent.get(field), f"{path}.{field}"
    if selector is None or not wrong.fits(path, selector, dict):
        return
    labels = selector.get("matchLabels")
    if wrong.fits(f"{path}.matchLabels", labels, dict):
        for key, value in (labels or {}).items():
            _label_key(wrong, f"{path}.matchLabels", key)
            _label_value(wrong, f"{path}.matchLabels", value)
    for at, term in wrong.items(selector, path, "matchExpressions", dict):
        _requirement(wrong, at, term)


def _cidr(wrong, path, value):
    if is_cidr(value):
        return ipaddress.ip_network(value, strict=False)
    wrong.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
    return None


def _ip_block(wrong, block, path):
    if not block.get("cidr"):
        wrong.required(f"{path}.cidr")
        return
    cidr = _cidr(wrong, f"{path}.cidr", block["cidr"])
    for at, text in wrong.items(block, path, "except", str):
        inner = _cidr(wrong, at, text)
        if cidr is None or inner is None:
            continue
        if (
            inner.version != cidr.version
            or inner.prefixlen <= cidr.prefixlen
            or not inner.subnet_of(cidr)
        ):
            wrong.invalid(at, text, "must be a strict subset of `cidr`")


def _peer(wrong, path, peer):
    set_ = [f for f in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(f) is not None]
    _selector(wrong, peer, path, "podSelector")
    _selector(wrong, peer, path, "namespaceSelector")
    if "ipBlock" in set_ and wrong.fits(f"{path}.ipBlock", peer["ipBlock"], dict):
        _ip_block(wrong, peer["ipBlock"], f"{path}.ipBlock")
    if not set_:
        wrong.required(path, "must specify a peer")
    elif "ipBlock" in set_ and len(set_) > 1:
        wrong.forbidden(path, "may not specify both ipBlock and another peer")


def _end_port(wrong, path, port, end):
    if not wrong.fits(f"{path}.endPort", end, int):
        return
    if port is None:
        wrong.required(f"{path}.endPort", "may not be specified when `port` is not specified")
    elif isinstance(port, str):
        wrong.invalid(f"{path}.endPort", end, "may not be specified when `port` is non-numeric")
    elif not 0 < end < 65536:
        wrong.invalid(f"{path}.endPort", end, "must be between 1 and 65535, inclusive")
    elif end < port:
        wrong.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")


def _port(wrong, path, entry):
    protocol, port = entry.get("protocol"), entry.get("port")
    if protocol is not None and protocol not in _PROTOCOLS:
        wrong.unsupported(f"{path}.protocol", protocol, _PROTOCOLS)
    if isinstance(port, str):
        if not _PORT_NAME.match(port):
            why = "must be a name of a port: at most 15 lower case letters, digits and '-'"
            wrong.invalid(f"{path}.port", port, why)
    elif wrong.fits(f"{path}.port", port, int) and port is not None and not 0 < port < 65536:
        wrong.invalid(f"{path}.port", port, "must be between 1 and 65535, inclusive")
    elif isinstance(port, (bool, float, dict, list)):
        return
    if entry.get("endPort") is not None:
        _end_port(wrong, path, port, entry["endPort"])


def _types(wrong, spec):
    types = spec.get("policyTypes")
    if not wrong.fits("spec.policyTypes", types, list):
        return
    if len(types or []) > 2:
        wrong.invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for i, value in enumerate(types or []):
        if value not in _TYPES:
            wrong.unsupported(f"spec.policyTypes[{i}]", value, _TYPES)


def errors(obj):
    """[(field, why)], empty when the policy is good."""
    wrong, spec = _Wrong(), obj.get("spec") or {}
    _selector(wrong, spec, "spec", "podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for path, rule in wrong.items(spec, "spec", direction, dict):
            for at, entry in wrong.items(rule, path, "ports", dict):
                _port(wrong, at, entry)
            for at, peer in wrong.items(rule, path, peers, dict):
                _peer(wrong, at, peer)
    _types(wrong, spec)
    return list(wrong)
