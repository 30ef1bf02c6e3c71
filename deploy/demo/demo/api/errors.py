# SPDX-License-Identifier: Apache-2.0
"""API errors as metav1.Status."""


class ApiError(Exception):
    def __init__(self, code, reason, message, details=None, headers=None):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = details or {}
        self.headers = headers or {}

    def status(self):
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def _details(res, name):
    return {"name": name, "group": res.group, "kind": res.plural}


def _qualified(res):
    return f"{res.plural}.{res.group}" if res.group else res.plural


def not_found(res, name):
    return ApiError(404, "NotFound", f'{_qualified(res)} "{name}" not found', _details(res, name))


def exists(res, name):
    return ApiError(
        409, "AlreadyExists", f'{_qualified(res)} "{name}" already exists', _details(res, name)
    )


def conflict(res, name, why):
    message = f'Operation cannot be fulfilled on {_qualified(res)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(res, name))


def stale(res, name):
    return conflict(
        res,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


_CAUSES = {
    "Required value": "FieldValueRequired",
    "Unsupported value": "FieldValueNotSupported",
    "Duplicate value": "FieldValueDuplicate",
    "Forbidden": "FieldValueForbidden",
    "Too many": "FieldValueTooMany",
    "Too long": "FieldValueTooLong",
}


def invalid_fields(res, name, fields):
    """`fields`: [(field, why)], at least one."""
    told = [f"{field}: {why}" for field, why in fields]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    causes = [
        {
            "reason": _CAUSES.get(why.split(":")[0], "FieldValueInvalid"),
            "message": why,
            "field": field,
        }
        for field, why in fields
    ]
    details = {**_details(res, name), "kind": res.kind, "causes": causes}
    return ApiError(422, "Invalid", f'{res.kind} "{name}" is invalid: {text}', details)


def invalid(res, name, field, why):
    return invalid_fields(res, name, [(field, why)])


def forbidden(res, name, why):
    return ApiError(
        403, "Forbidden", f'{_qualified(res)} "{name}" is forbidden: {why}', _details(res, name)
    )


def bad_request(message):
    return ApiError(400, "BadRequest", message)


def gone(message):
    return ApiError(410, "Expired", message)


def too_new(asked, current):
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return ApiError(
        504, "Timeout", f"Timeout: Too large resource version: {asked}, current: {current}", details
    )
