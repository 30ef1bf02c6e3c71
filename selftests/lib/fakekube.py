# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server as a test wants it: objects by collection, lists in pages, watches with
bookmarks, one event history that can be compacted, Leases with conflicts, and faults on demand.

    api = FakeKube(token="t0ken")
    api.put("/api/v1/pods", {"metadata": {"namespace": "default", "name": "web"}, ...})
    api.fail("/api/v1/pods", 429, times=2, headers={"Retry-After": "1"})
"""
import copy
import json
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ports import Port

COLLECTIONS = {
    "/api/v1/namespaces": "Namespace",
    "/api/v1/nodes": "Node",
    "/api/v1/pods": "Pod",
    "/api/v1/services": "Service",
    "/apis/discovery.k8s.io/v1/endpointslices": "EndpointSlice",
    "/apis/networking.k8s.io/v1/networkpolicies": "NetworkPolicy",
    "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies": "ClusterNetworkPolicy",
}
LEASES = "/apis/coordination.k8s.io/v1/namespaces/"


def status(code, reason, message):
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}


class FakeKube:
    def __init__(self, token="t0ken", pki=None, want_cert=False):
        """`pki`: serve HTTPS with its server certificate; `want_cert`: clients show one of its CA."""
        self.token = token
        self.want_cert = want_cert
        self.changed = threading.Condition()
        self.revision = 100
        self.compacted = 0
        self.objects = {path: {} for path in COLLECTIONS}
        self.history = []  # (revision, path, type, object as text)
        self.leases = {}
        self.faults = {}  # path: [(status, headers, body), …]
        self.missing = set()
        self.raw = {}  # path: JSON texts that lists hold besides
        self.requests = []
        self.watch_round = 0
        self.life = 0  # a connection ends with the one that it began in
        self.closed = False
        handler = type("Handler", (_Handler,), {"api": self})
        self.handler = handler
        self._port = Port()
        self.port = self._port.number
        self.start(pki)
        self.url = f"{'https' if pki else 'http'}://127.0.0.1:{self.port}"

    def start(self, pki=None):
        self.life += 1
        self.closed = False
        self.server = _Server(("127.0.0.1", self.port), self.handler)
        if pki:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pki.path("server.crt"), pki.path("server.key"))
            if self.want_cert:
                context.load_verify_locations(pki.path("ca.crt"))
                context.verify_mode = ssl.CERT_REQUIRED
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()

    # ---- objects

    def _record(self, path, kind, obj):
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self.history.append((self.revision, path, kind, json.dumps(obj)))
        self.changed.notify_all()

    def put(self, path, obj):
        obj = copy.deepcopy(obj)
        key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        obj["metadata"].setdefault("uid", f"uid-{key[0]}-{key[1]}")
        with self.changed:
            kind = "MODIFIED" if key in self.objects[path] else "ADDED"
            self._record(path, kind, obj)
            self.objects[path][key] = obj

    def delete(self, path, namespace, name):
        with self.changed:
            self._record(path, "DELETED", self.objects[path].pop((namespace, name)))

    # ---- faults

    def fail(self, path, code, times=1, headers=None, body="{}"):
        with self.changed:
            self.faults.setdefault(path, []).extend([(code, headers or {}, body)] * times)

    def compact(self):
        """What was before is gone: watches from there get 410, and so do pages of older lists."""
        with self.changed:
            self.revision += 1
            self.compacted = self.revision
            self.history.clear()

    def lose_crd(self, path):
        """The objects go with it, and nobody is told of each."""
        with self.changed:
            self.missing.add(path)
            self.objects[path].clear()
        self.end_watches()

    def end_watches(self):
        with self.changed:
            self.watch_round += 1
            self.changed.notify_all()

    def send_raw(self, path, line):
        """A line to all watches of a collection, as it stands."""
        with self.changed:
            self.revision += 1
            self.history.append((self.revision, path, None, line))
            self.changed.notify_all()

    def take_fault(self, path):
        with self.changed:
            waiting = self.faults.get(path)
            return waiting.pop(0) if waiting else None

    def n_requests(self, text):
        with self.changed:
            return sum(text in line for line in self.requests)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients that do not trust us, or go, are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api = None

    def setup(self):
        super().setup()
        self.life = self.api.life

    def log_message(self, *args):
        pass

    def answer(self, code, body, headers=None):
        data = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _has_ended(self):
        return self.api.closed or self.life != self.api.life

    def _begin(self):
        url = urllib.parse.urlsplit(self.path)
        self.watch_round = self.api.watch_round
        if self._has_ended():  # a connection that was open before
            self.close_connection = True
            return None, None
        with self.api.changed:
            self.api.requests.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        if not self.api.want_cert and self.headers.get("Authorization") != f"Bearer {self.api.token}":
            self.answer(401, status(401, "Unauthorized", "Unauthorized"))
            return None, None
        fault = self.api.take_fault(url.path)
        if fault:
            self.answer(fault[0], fault[2], fault[1])
            return None, None
        return url.path, dict(urllib.parse.parse_qsl(url.query))

    def do_GET(self):
        path, query = self._begin()
        if path is None:
            return
        if path.startswith(LEASES):
            lease = self.api.leases.get(path)
            self.answer(200 if lease else 404, lease or status(404, "NotFound", "no such lease"))
        elif path == "/apis":
            self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": []})
        elif path not in self.api.objects or path in self.api.missing:
            self.answer(404, "404 page not found\n")
        elif query.get("watch") == "true":
            self.watch(path, query)
        else:
            self.list(path, query)

    def do_POST(self):
        self.write_lease(create=True)

    def do_PUT(self):
        self.write_lease(create=False)

    def write_lease(self, create):
        path, _ = self._begin()
        if path is None:
            return
        lease = json.loads(self.body)
        api = self.api
        with api.changed:
            name = f"{path}/{lease['metadata']['name']}" if create else path
            old = api.leases.get(name)
            current = old["metadata"]["resourceVersion"] if old else None
            if (create and old) or (not create and lease["metadata"].get("resourceVersion") != current):
                code, body = 409, status(409, "Conflict", "the Lease has changed")
            else:
                api.revision += 1
                lease["metadata"]["resourceVersion"] = str(api.revision)
                api.leases[name] = lease
                code, body = (201 if create else 200), lease
        self.answer(code, body)

    def list(self, path, query):
        api = self.api
        limit = int(query.get("limit") or 0)
        with api.changed:
            revision, start = api.revision, 0
            if "continue" in query:
                revision, start = (int(part) for part in query["continue"].split(":"))
                if revision < api.compacted:
                    body = status(410, "Expired", "The provided continue parameter is too old")
                    code = 410
                    return self.answer(code, body)
            items = [json.dumps(api.objects[path][key]) for key in sorted(api.objects[path])]
            items += api.raw.get(path, [])
            page = items[start : start + limit] if limit else items
            more = f"{revision}:{start + limit}" if limit and start + limit < len(items) else ""
        meta = json.dumps({"resourceVersion": str(revision), "continue": more})
        kind = COLLECTIONS[path]
        text = f'{{"kind":"{kind}List","apiVersion":"v1","metadata":{meta},"items":[{",".join(page)}]}}'
        return self.answer(200, text)

    def chunk(self, line):
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def watch(self, path, query):
        api = self.api
        seen = int(query["resourceVersion"])
        if seen < api.compacted:
            self.answer(410, status(410, "Expired", "too old resource version"))
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while not self._has_ended() and api.watch_round == self.watch_round:
                with api.changed:
                    if seen < api.compacted:
                        lines = [(seen, None, json.dumps({"type": "ERROR", "object": status(
                            410, "Expired", "too old resource version")}))]
                    else:
                        lines = [(rv, kind, text) for rv, p, kind, text in api.history
                                 if rv > seen and p == path]
                    if not lines:
                        api.changed.wait(1)
                for rv, kind, text in lines:
                    seen = max(seen, rv)
                    self.chunk(f'{{"type":"{kind}","object":{text}}}' if kind else text)
                if seen < api.compacted and lines:
                    break
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass
        self.close_connection = True
