# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes client for the demo's own controllers, kubelets and commands: requests, informers, work queues."""
import heapq
import http.client
import json
import random
import ssl
import threading
import time
import traceback
from urllib.parse import quote, urlencode, urlsplit

from .api.resources import BUILTIN, CLUSTER_NETWORK_POLICY

_KINDS = {}
for _res in [*BUILTIN, CLUSTER_NETWORK_POLICY]:
    _KINDS.setdefault(_res.kind, _res)

MERGE = "application/merge-patch+json"


class Failure(Exception):
    """What the API server refused; `code` is the HTTP status."""

    def __init__(self, code, status):
        super().__init__(status.get("message", f"HTTP {code}"))
        self.code, self.status, self.reason = code, status, status.get("reason", "")


def path(kind, namespace=None, name=None, sub=None):
    res = _KINDS[kind]
    parts = ["/apis", res.group, res.version] if res.group else ["/api", res.version]
    if namespace:
        parts += ["namespaces", quote(namespace)]
    parts.append(res.plural)
    parts += [quote(p) for p in (name, sub) if p]
    return "/".join(parts)


def load_kubeconfig(filename):
    with open(filename, encoding="utf-8") as file:
        config = json.load(file)  # ours are JSON
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return cluster["server"], cluster["certificate-authority"], user["token"]


class Client:
    """Thread-safe: each thread has its own connection."""

    def __init__(self, kubeconfig, agent):
        self.server, ca, token = load_kubeconfig(kubeconfig)
        self._context = ssl.create_default_context(cafile=ca)
        self._headers = {
            "Authorization": f"Bearer {token}",
            "User-Agent": agent,
            "Accept": "application/json",
        }
        self._local = threading.local()

    def connect(self, timeout):
        url = urlsplit(self.server)
        return http.client.HTTPSConnection(
            url.hostname, url.port, context=self._context, timeout=timeout
        )

    def headers(self, content_type):
        return {**self._headers, "Content-Type": content_type}

    def request(self, method, target, body=None, content_type="application/json", timeout=15):
        data = None if body is None else json.dumps(body)
        kept = getattr(self._local, "connection", None)
        for connection in [kept] if kept else []:
            try:
                return self._exchange(connection, method, target, data, content_type)
            except (http.client.HTTPException, OSError):
                connection.close()  # it had been closed meanwhile; a new one decides
        self._local.connection = self.connect(timeout)
        try:
            return self._exchange(self._local.connection, method, target, data, content_type)
        except (http.client.HTTPException, OSError):
            self._local.connection.close()
            self._local.connection = None
            raise

    def _exchange(self, connection, method, target, data, content_type):
        connection.request(method, target, data, self.headers(content_type))
        response = connection.getresponse()
        raw = response.read()
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = {"message": raw.decode(errors="replace")[:200]}
        if response.status >= 400:
            raise Failure(response.status, answer)
        return answer

    def get(self, kind, namespace, name):
        """None when there is none."""
        try:
            return self.request("GET", path(kind, namespace, name))
        except Failure as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind, namespace=None, **query):
        return self.request(
            "GET", path(kind, namespace) + ("?" + urlencode(query) if query else "")
        )["items"]

    def create(self, kind, namespace, obj):
        return self.request("POST", path(kind, namespace), obj)

    def update(self, kind, obj, sub=None):
        meta = obj["metadata"]
        return self.request("PUT", path(kind, meta.get("namespace"), meta["name"], sub), obj)

    def patch(self, kind, namespace, name, change, sub=None, content_type=MERGE):
        return self.request("PATCH", path(kind, namespace, name, sub), change, content_type)

    def delete(self, kind, namespace, name, **options):
        try:
            return self.request("DELETE", path(kind, namespace, name), options or None)
        except Failure as error:
            if error.code == 404:
                return None
            raise


class Informer:
    """Keeps `objects` ((namespace, name) -> object) as the API has them and tells listeners of changes.
    `optional`: of a CRD, without which there are none."""

    def __init__(self, client, kind, optional=False, **query):
        self.client, self.kind, self.query = client, kind, query
        self.optional = optional
        self.objects = {}
        self.synced = threading.Event()
        self._listeners = []

    def listen(self, function):
        """function(old, new): either may be None. Called in the informer's thread."""
        self._listeners.append(function)
        return self

    def start(self):
        threading.Thread(target=self._run, name=f"informer-{self.kind}", daemon=True).start()
        return self

    def _notify(self, old, new):
        for function in self._listeners:
            try:
                function(old, new)
            except Exception:
                traceback.print_exc()

    def _run(self):
        delay = 0.1
        while True:
            try:
                version = self._list()
                delay = 0.1
                while True:
                    version = self._watch(version)
            except (Failure, OSError, http.client.HTTPException, ValueError) as error:
                if not (isinstance(error, Failure) and error.code == 410):
                    time.sleep(delay * random.uniform(0.5, 1.5))
                    delay = min(delay * 2, 2)

    def _list(self):
        target = path(self.kind) + ("?" + urlencode(self.query) if self.query else "")
        try:
            answer = self.client.request("GET", target)
        except Failure as error:
            if self.optional and error.code == 404:
                self._replace({})
            raise
        self._replace({_key(o): o for o in answer["items"]})
        return answer["metadata"]["resourceVersion"]

    def _replace(self, found):
        before, self.objects = self.objects, found
        for key, obj in found.items():
            old = before.pop(key, None)
            if (
                old is None
                or old["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]
            ):
                self._notify(old, obj)
        for old in before.values():
            self._notify(old, None)
        self.synced.set()

    def _watch(self, version):
        query = {
            **self.query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": random.randint(240, 300),
        }
        connection = self.client.connect(60)
        try:
            connection.request(
                "GET",
                path(self.kind) + "?" + urlencode(query),
                headers=self.client.headers("application/json"),
            )
            response = connection.getresponse()
            if response.status != 200:
                raise Failure(
                    response.status, {"message": response.read().decode(errors="replace")[:200]}
                )
            for line in response:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Failure(event["object"].get("code", 500), event["object"])
                version = event["object"]["metadata"]["resourceVersion"]
                self._apply(event)
        finally:
            connection.close()
        return version

    def _apply(self, event):
        if event["type"] == "BOOKMARK":
            return
        obj = event["object"]
        old = self.objects.get(_key(obj))
        if event["type"] == "DELETED":
            self.objects.pop(_key(obj), None)
            self._notify(obj, None)
        else:
            self.objects[_key(obj)] = obj
            self._notify(old, obj)


def _key(obj):
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


class WorkQueue:
    """Keys to reconcile, each at most once in the queue, by one worker; what fails comes again later."""

    def __init__(self, name, reconcile):
        self.name, self._reconcile = name, reconcile
        self._changed = threading.Condition()
        self._due = {}
        self._heap = []
        self._failures = {}

    def add(self, key, delay=0.0):
        due = time.monotonic() + delay
        with self._changed:
            if key not in self._due or due < self._due[key]:
                self._due[key] = due
                heapq.heappush(self._heap, (due, key))
                self._changed.notify()

    def start(self):
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def _next(self):
        with self._changed:
            while True:
                if not self._heap:
                    self._changed.wait()
                    continue
                due, key = self._heap[0]
                wait = due - time.monotonic()
                if self._due.get(key) != due:
                    heapq.heappop(self._heap)
                elif wait > 0:
                    self._changed.wait(wait)
                else:
                    heapq.heappop(self._heap)
                    del self._due[key]
                    return key

    def _run(self):
        while True:
            key = self._next()
            try:
                again = self._reconcile(key)
                self._failures.pop(key, None)
                if again:
                    self.add(key, again)
            except Exception as error:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                expected = isinstance(error, (OSError, http.client.HTTPException)) or (
                    isinstance(error, Failure) and error.code in (403, 404, 409)
                )
                if not expected:
                    print(f"{self.name}: {key}: {error!r}", flush=True)
                    traceback.print_exc()
                self.add(key, min(0.05 * 2**failures, 5))
