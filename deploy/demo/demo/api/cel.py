# SPDX-License-Identifier: Apache-2.0
"""As much of CEL as CRDs' x-kubernetes-validations need here: fields, has(), exists() and all(),
size(), isCIDR(), comparisons, !, &&, ||, texts, numbers and lists.

    rule = compile_rule("self.start < self.end")    # Unsupported, where a rule needs more
    rule({"start": 1, "end": 2})                    # True
"""
import ipaddress
import operator
import re

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)|(?P<text>'[^'\\]*'|\"[^\"\\]*\")"
    r"|(?P<op>&&|\|\||[<>=!]=|[<>!().,\[\]]))"
)
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_LITERALS = {"true": True, "false": False, "null": None}


class Unsupported(ValueError):
    """The rule needs a part of CEL that is not here."""


def is_cidr(text):
    """As Go's netip.ParsePrefix, without IPv4 in IPv6: no masks, no leading zeros."""
    if not isinstance(text, str) or not re.search(r"/(0|[1-9]\d*)$", text):
        return False
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return network.version == 4 or network.network_address.ipv4_mapped is None


_FUNCTIONS = {"isCIDR": is_cidr, "size": len}


def _tokens(text):
    at, found = 0, []
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        if not token:
            raise Unsupported(f"{text[at:].strip()[:20]!r}")
        found.append((token.lastgroup, token[token.lastgroup]))
        at = token.end()
    return found


class _Parser:
    """Recursive descent; each rule returns a function of the variables."""

    def __init__(self, text):
        self.tokens = _tokens(text)
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "")

    def accept(self, *ops):
        kind, text = self.peek()
        if kind == "op" and text in ops:
            self.at += 1
            return text
        return None

    def expect(self, op):
        if not self.accept(op):
            raise Unsupported(f"{self.peek()[1]!r} where {op!r} is wanted")

    def name(self):
        kind, text = self.peek()
        if kind != "name":
            raise Unsupported(f"{text!r} where a name is wanted")
        self.at += 1
        return text

    def whole(self):
        found = self.either()
        if self.peek()[0] != "end":
            raise Unsupported(f"{self.peek()[1]!r}")
        return found

    def either(self):
        parts = [self.both()]
        while self.accept("||"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda v: any(p(v) for p in parts)

    def both(self):
        parts = [self.comparison()]
        while self.accept("&&"):
            parts.append(self.comparison())
        return parts[0] if len(parts) == 1 else lambda v: all(p(v) for p in parts)

    def comparison(self):
        left = self.unary()
        op = self.accept(*_COMPARE)
        if not op:
            return left
        right = self.unary()
        return lambda v: _COMPARE[op](left(v), right(v))

    def unary(self):
        if self.accept("!"):
            inner = self.unary()
            return lambda v: not inner(v)
        return self.postfix(self.primary())

    def postfix(self, value):
        while self.accept("."):
            value = self.member(value, self.name())
        return value

    def member(self, value, name):
        if not self.accept("("):
            return lambda v: value(v)[name]
        if name == "size":
            self.expect(")")
            return lambda v: len(value(v))
        if name not in ("exists", "all"):
            raise Unsupported(f"{name}()")
        variable = self.name()
        self.expect(",")
        body = self.either()
        self.expect(")")
        judge = any if name == "exists" else all
        return lambda v: judge(body({**v, variable: item}) for item in value(v))

    def primary(self):
        kind, text = self.peek()
        if self.accept("("):
            inner = self.either()
            self.expect(")")
            return inner
        if self.accept("["):
            return self.list()
        self.at += 1
        if kind == "number":
            return lambda v: int(text)
        if kind == "text":
            return lambda v: text[1:-1]
        if kind != "name":
            raise Unsupported(f"{text!r}")
        if text in _LITERALS:
            return lambda v: _LITERALS[text]
        return self.call(text) if self.accept("(") else lambda v: v[text]

    def list(self):
        items = []
        while not self.accept("]"):
            items.append(self.either())
            if not self.accept(","):
                self.expect("]")
                break
        return lambda v: [i(v) for i in items]

    def call(self, name):
        if name == "has":
            return self.has()
        if name not in _FUNCTIONS:
            raise Unsupported(f"{name}()")
        argument = self.either()
        self.expect(")")
        return lambda v: _FUNCTIONS[name](argument(v))

    def has(self):
        """The last field is asked for, not read."""
        value = self.primary()
        self.expect(".")
        name = self.name()
        while self.accept("."):
            value, name = self.member(value, name), self.name()
        self.expect(")")
        return lambda v: name in value(v)


def compile_rule(text):
    found = _Parser(text).whole()
    return lambda value: bool(found({"self": value}))
