# SPDX-License-Identifier: Apache-2.0
"""Objects in memory, with one version counter, a watch history per resource, and a journal on disk.

Objects are shared with readers and must not be changed in place: copy, change, put back. `lock` may
be held around read-modify-write; it is reentrant. The journal has a line per change, so that a
killed server finds its state again; the history starts anew then, and older versions are 410 Gone.
"""
import copy
import json
import os
import threading
from collections import deque
from dataclasses import dataclass

from .errors import gone

HISTORY = 4096
JOURNAL_MAX = 64 << 20


@dataclass(frozen=True)
class Change:
    version: int
    type: str  # ADDED, MODIFIED, DELETED
    object: dict
    old: dict


class Bucket:
    def __init__(self, lock, version):
        self.objects = {}
        self.history = deque()
        self.compacted = version
        self.changed = threading.Condition(lock)


def meta_key(obj):
    meta = obj["metadata"]
    return (meta.get("namespace", ""), meta["name"])


class Store:
    def __init__(self, journal=None):
        self.lock = threading.RLock()
        self.version = 1000
        self._buckets = {}
        self._path = journal
        self._file = None
        if journal:
            self._load()

    def bucket(self, key):
        with self.lock:
            if key not in self._buckets:
                self._buckets[key] = Bucket(self.lock, self.version)
            return self._buckets[key]

    def get(self, key, namespace, name):
        return self.bucket(key).objects.get((namespace, name))

    def list(self, key, namespace=None):
        """(version, objects sorted by namespace and name)"""
        with self.lock:
            items = sorted(self.bucket(key).objects.items())
            return self.version, [o for k, o in items if namespace is None or k[0] == namespace]

    def keys(self):
        with self.lock:
            return list(self._buckets)

    def put(self, key, obj):
        """Creates or replaces; returns what is stored, with its new resourceVersion."""
        with self.lock:
            bucket = self.bucket(key)
            old = bucket.objects.get(meta_key(obj))
            self.version += 1
            obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
            bucket.objects[meta_key(obj)] = obj
            self._journal(key, obj, False)
            self._publish(bucket, Change(self.version, "MODIFIED" if old else "ADDED", obj, old))
            return obj

    def remove(self, key, namespace, name):
        with self.lock:
            bucket = self.bucket(key)
            old = bucket.objects.pop((namespace, name))
            self.version += 1
            obj = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
            self._journal(key, obj, True)
            self._publish(bucket, Change(self.version, "DELETED", obj, old))
            return obj

    def _publish(self, bucket, change):
        bucket.history.append(change)
        while len(bucket.history) > HISTORY:
            bucket.compacted = bucket.history.popleft().version
        bucket.changed.notify_all()

    def compact(self):
        """Forgets the watch history, as etcd's compaction does: older versions are gone.

        Watches that run meet it too, in-band, which a real server spares most of them.
        """
        with self.lock:
            for bucket in self._buckets.values():
                bucket.history.clear()
                bucket.compacted = self.version
                bucket.changed.notify_all()

    def changes(self, key, since, timeout):
        """Changes after version `since`, waiting up to `timeout` s. Raises when they are compacted.

        Returns (changes, version up to which the caller has now seen everything).
        """
        bucket = self.bucket(key)
        with self.lock:
            self._check(bucket, since)
            found = self._after(bucket, since)
            if not found and bucket.changed.wait(timeout):
                self._check(bucket, since)
                found = self._after(bucket, since)
            return found, max(self.version, since)

    @staticmethod
    def _check(bucket, since):
        if since < bucket.compacted:
            raise gone(f"too old resource version: {since} ({bucket.compacted})")

    @staticmethod
    def _after(bucket, since):
        found = []
        for change in reversed(bucket.history):
            if change.version <= since:
                break
            found.append(change)
        found.reverse()
        return found

    # The journal.
    def _journal(self, key, obj, removed):
        if not self._file:
            return
        self._file.write(json.dumps([key, removed, obj], separators=(",", ":")) + "\n")
        self._file.flush()
        if self._file.tell() > JOURNAL_MAX:
            self._rewrite()

    def _load(self):
        if os.path.exists(self._path):
            with open(self._path, encoding="utf-8") as lines:
                for line in lines:
                    self._replay(line)
        for bucket in self._buckets.values():
            bucket.compacted = self.version
        self._rewrite()

    def _replay(self, line):
        try:
            key, removed, obj = json.loads(line)
        except ValueError:
            return  # the last line of a killed server
        self.version = max(self.version, int(obj["metadata"]["resourceVersion"]))
        objects = self.bucket(tuple(key)).objects
        if removed:
            objects.pop(meta_key(obj), None)
        else:
            objects[meta_key(obj)] = obj

    def _rewrite(self):
        temporary = self._path + ".new"
        # Versions must not go back, even when the newest change was a deletion.
        marker = {"metadata": {"name": "", "resourceVersion": str(self.version)}}
        with open(temporary, "w", encoding="utf-8") as out:
            out.write(json.dumps([["", ""], True, marker]) + "\n")
            for key, bucket in self._buckets.items():
                for obj in bucket.objects.values():
                    out.write(json.dumps([key, False, obj], separators=(",", ":")) + "\n")
        os.replace(temporary, self._path)
        if self._file:
            self._file.close()
        self._file = open(self._path, "a", encoding="utf-8")


def mutable(obj):
    return copy.deepcopy(obj)
