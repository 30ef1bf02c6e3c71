# SPDX-License-Identifier: Apache-2.0
"""list, with limit/continue, and watch, with bookmarks and initial events."""
import base64
import json
import time

from . import errors
from .selectors import compile_selectors
from .table import table

BOOKMARK_SECONDS = 10


def _asked_version(text):
    if text in (None, "", "0"):
        return 0
    if not text.isdigit():
        raise errors.bad_request(f"invalid resource version {text!r}")
    return int(text)


def _encode_continue(version, last):
    return base64.urlsafe_b64encode(json.dumps([version, last]).encode()).decode()


def _decode_continue(token):
    try:
        version, last = json.loads(base64.urlsafe_b64decode(token))
        return int(version), tuple(last)
    except (ValueError, TypeError):
        raise errors.bad_request("continue key is not valid")


def list_objects(rest, res, namespace, query, as_table):
    """A list is a snapshot. Later pages are too, as long as nothing was compacted since the first."""
    match = compile_selectors(query.get("labelSelector"), query.get("fieldSelector"))
    version, items = rest.store.list(res.key, namespace)
    asked = _asked_version(query.get("resourceVersion"))
    if asked > version:
        raise errors.too_new(asked, version)
    meta = {}
    if query.get("continue"):
        version, items = _page(rest, res, namespace, query["continue"])
    items = [rest.present(res, o) for o in items if match is None or match(o)]
    limit = int(query.get("limit") or 0)
    if limit and len(items) > limit:
        last = items[limit - 1]["metadata"]
        meta = {
            "continue": _encode_continue(version, (last.get("namespace", ""), last["name"])),
            "remainingItemCount": len(items) - limit,
        }
        items = items[:limit]
    if as_table:
        result = table(res, items, version, query.get("includeObject", "Metadata"))
        result["metadata"].update(meta)
        return result
    return {
        "kind": res.kind + "List",
        "apiVersion": res.api_version,
        "metadata": {"resourceVersion": str(version), **meta},
        "items": items,
    }


def _page(rest, res, namespace, token):
    version, last = _decode_continue(token)
    bucket = rest.store.bucket(res.key)
    with rest.store.lock:
        if version < bucket.compacted:
            raise errors.gone(
                "The provided continue parameter is too old to display a consistent list result."
            )
        objects = dict(bucket.objects)
        for change in reversed(bucket.history):  # back to what it was when the first page was read
            if change.version <= version:
                break
            key = (
                change.object["metadata"].get("namespace", ""),
                change.object["metadata"]["name"],
            )
            if change.old is None:
                objects.pop(key, None)
            else:
                objects[key] = change.old
    return version, [
        o
        for k, o in sorted(objects.items())
        if k > last and (namespace is None or k[0] == namespace)
    ]


class Watch:
    """Yields watch events, None when there is nothing to say for a while, and ends with the time-out."""

    def __init__(self, rest, res, namespace, query, as_table):
        self.rest, self.res, self.namespace, self.query, self.as_table = (
            rest,
            res,
            namespace,
            query,
            as_table,
        )
        self.match = compile_selectors(query.get("labelSelector"), query.get("fieldSelector"))
        self.bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        self.deadline = time.monotonic() + int(query.get("timeoutSeconds") or 1800)
        self.initial = query.get("sendInitialEvents") == "true"
        if self.initial and query.get("resourceVersionMatch") != "NotOlderThan":
            raise errors.ApiError(
                422, "Invalid", "sendInitialEvents needs resourceVersionMatch=NotOlderThan"
            )
        self.version = _asked_version(query.get("resourceVersion"))

    def _wanted(self, obj):
        if (
            obj is None
            or self.namespace is not None
            and obj["metadata"].get("namespace", "") != self.namespace
        ):
            return False
        return self.match is None or self.match(obj)

    def _event(self, kind, obj):
        obj = self.rest.present(self.res, obj)
        if self.as_table:
            obj = table(
                self.res,
                [obj],
                obj["metadata"]["resourceVersion"],
                self.query.get("includeObject", "Metadata"),
            )
        return {"type": kind, "object": obj}

    def _bookmark(self, **annotations):
        meta = {"resourceVersion": str(self.version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        return {
            "type": "BOOKMARK",
            "object": {"kind": self.res.kind, "apiVersion": self.res.api_version, "metadata": meta},
        }

    def _change(self, change):
        before, after = self._wanted(change.old), self._wanted(change.object)
        if change.type == "DELETED":
            return self._event("DELETED", change.object) if before else None
        if after:
            return self._event("MODIFIED" if before else "ADDED", change.object)
        if before:
            meta = {**change.old["metadata"], "resourceVersion": str(change.version)}
            return self._event("DELETED", {**change.old, "metadata": meta})
        return None

    def _served(self):
        """Not any more when the CRD has gone."""
        res = self.res
        return bool(self.rest.registry.find(res.group, res.version, res.plural))

    def __iter__(self):
        if self.version == 0:
            self.version, items = self.rest.store.list(self.res.key, self.namespace)
            # Without a version (unlike "0") a watch starts with what there is too: as API servers do.
            yield from (self._event("ADDED", o) for o in items if self._wanted(o))
        elif self.initial:
            current, items = self.rest.store.list(self.res.key, self.namespace)
            self.version = max(self.version, current)
            yield from (self._event("ADDED", o) for o in items if self._wanted(o))
        if self.initial:
            yield self._bookmark(end=True)
        yield from self._follow()

    def _follow(self):
        marked = time.monotonic()
        served = True
        while served and time.monotonic() < self.deadline:
            served = self._served()  # if not: what happened before that is still told
            wait = max(0.0, min(2.0, self.deadline - time.monotonic())) if served else 0.0
            try:
                changes, self.version = self.rest.store.changes(self.res.key, self.version, wait)
            except errors.ApiError as error:
                yield {"type": "ERROR", "object": error.status()}
                return
            for change in changes:
                event = self._change(change)
                if event:
                    yield event
            if self.bookmarks and time.monotonic() - marked > BOOKMARK_SECONDS:
                marked = time.monotonic()
                yield self._bookmark()
            elif not changes:
                yield None
        if self.bookmarks:
            yield self._bookmark()
