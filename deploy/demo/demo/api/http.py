# SPDX-License-Identifier: Apache-2.0
"""The wire: HTTP/1.1 over TLS, a thread per connection, bearer tokens or client certificates."""
import json
import os
import re
import select
import socket
import ssl
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from . import errors, openapi, protobuf, resources
from .listing import Watch, list_objects
from .table import table

BODY_MAX = 3 << 20  # what a kube-apiserver takes
PUBLIC = {"/livez", "/readyz", "/healthz", "/version"}
VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+netloom-demo",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "python3",
    "compiler": "python3",
    "platform": "linux/amd64",
}
_OBJECT = re.compile(
    r"^/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<ns>[^/]+)(?=/(?!status$|finalize$)))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?$"
)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address, context, rest, token, log_dir):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.context, self.rest, self.token, self.log_dir = context, rest, token, log_dir
        super().__init__(address, Handler)

    def get_request(self):
        connection, peer = super().get_request()
        # The handshake is for the connection's own thread.
        return (
            self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False),
            peer,
        )

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, (ConnectionError, ssl.SSLError, TimeoutError, OSError)):
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def setup(self):
        self.request.settimeout(30)
        self.request.do_handshake()
        self.request.settimeout(600)
        super().setup()

    def log_message(self, format, *args):
        pass

    def do_GET(self):
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _serve(self):
        self.headers_sent = False
        try:
            url = urlsplit(self.path)
            self.query = dict(parse_qsl(url.query, keep_blank_values=True))
            body = self._body()
            self._authorize(url.path)
            self._route(unquote(url.path).rstrip("/") or "/", body)
        except errors.ApiError as error:
            self._fail(error)
        except (ConnectionError, ssl.SSLError, TimeoutError):
            self.close_connection = True
        except Exception as error:  # a bug of ours must not take a client down with an empty answer
            traceback.print_exc()
            self._fail(errors.ApiError(500, "InternalError", f"Internal error occurred: {error!r}"))

    def _fail(self, error):
        if self.headers_sent:
            self.close_connection = True
            return
        self.reply(error.status(), error.code, headers=error.headers)

    def _body(self):
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise errors.ApiError(411, "LengthRequired", "chunked bodies are not supported")
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            self.close_connection = True
            raise errors.ApiError(
                413, "RequestEntityTooLarge", f"Request entity too large: limit is {BODY_MAX}"
            )
        return self.rfile.read(length) if length else b""

    def _authorize(self, path):
        if path in PUBLIC or self.request.getpeercert():
            return
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            raise errors.ApiError(401, "Unauthorized", "Unauthorized")

    def reply(self, obj, code=200, content_type="application/json", headers=None):
        data = (
            obj
            if isinstance(obj, bytes)
            else (json.dumps(obj, separators=(",", ":")) + "\n").encode()
        )
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.headers_sent = True
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    # Routes.
    def _route(self, path, body):
        registry = self.server.rest.registry
        parts = path.strip("/").split("/")
        if path in ("/livez", "/readyz", "/healthz"):
            return self.reply(b"ok", content_type="text/plain")
        if path == "/version":
            return self.reply(VERSION)
        if path == "/api":
            return self.reply(resources.core_versions())
        if path == "/apis":
            return self.reply(resources.group_list(registry))
        if path == "/debug/compact" and self.command == "POST":
            self.server.rest.store.compact()
            return self.reply({"kind": "Status", "apiVersion": "v1", "status": "Success"})
        if parts[0] == "openapi":
            return self._openapi(registry, parts)
        found = None
        if len(parts) == 2 and parts[0] == "apis":
            found = resources.one_group(registry, parts[1])
        elif len(parts) == 2 and parts[0] == "api":
            found = resources.resource_list(registry, "", parts[1])
        elif len(parts) == 3 and parts[0] == "apis":
            found = resources.resource_list(registry, parts[1], parts[2])
        if found:
            return self.reply(found)
        self._object(path, body)

    def _openapi(self, registry, parts):
        if parts[1:] == ["v2"]:
            if "protobuf" in self.headers.get("Accept", ""):
                return self.reply(openapi.v2_protobuf(), content_type="application/octet-stream")
            return self.reply(openapi.v2_json())
        if parts[1:] == ["v3"]:
            return self.reply(openapi.v3_index(registry))
        if parts[1:3] == ["v3", "api"] and len(parts) == 4:
            return self.reply(openapi.v3_document(registry, "", parts[3]))
        if parts[1:3] == ["v3", "apis"] and len(parts) == 5:
            return self.reply(openapi.v3_document(registry, parts[3], parts[4]))
        raise self._no_path()

    @staticmethod
    def _no_path():
        return errors.ApiError(404, "NotFound", "the server could not find the requested resource")

    def _object(self, path, body):
        found = _OBJECT.match(path)
        if not found:
            raise self._no_path()
        group, version = found["group"] or "", found["core"] or found["version"]
        res = self.server.rest.registry.find(group, version, found["plural"])
        namespace, name, sub = found["ns"], found["name"], found["sub"] or ""
        if (
            res is None
            or res.namespaced
            and name
            and namespace is None
            or sub
            and sub not in res.sub
        ):
            raise self._no_path()
        if not res.namespaced and namespace is not None:
            raise self._no_path()
        method = getattr(
            self, f"_{self.command.lower()}_" + ("object" if name else "collection"), None
        )
        if method is None:
            raise errors.ApiError(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        method(res, namespace, name, sub, body)

    def _as_table(self):
        return "as=Table" in self.headers.get("Accept", "").split(",")[0]

    def _manager(self):
        return (
            self.query.get("fieldManager")
            or self.headers.get("User-Agent", "unknown").split("/")[0]
        )

    def _decode(self, body):
        try:
            if "yaml" in self.headers.get("Content-Type", ""):
                return yaml.safe_load(body)
            if "protobuf" in self.headers.get("Content-Type", ""):
                return protobuf.decode_body(body)
            return json.loads(body)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise errors.bad_request(f"the body can't be read: {error}")

    def _options(self, body):
        options = self._decode(body) if body else {}
        return options if isinstance(options, dict) else {}

    def _get_collection(self, res, namespace, name, sub, body):
        if self.query.get("watch") in ("true", "1"):
            return self._watch(
                Watch(self.server.rest, res, namespace, self.query, self._as_table())
            )
        self.reply(list_objects(self.server.rest, res, namespace, self.query, self._as_table()))

    def _get_object(self, res, namespace, name, sub, body):
        obj = self.server.rest.get(res, namespace or "", name)
        if sub == "log":
            return self._log(obj)
        if sub == "scale":
            obj = self.server.rest.scale(obj)
        elif self._as_table():
            obj = table(
                res,
                [obj],
                obj["metadata"]["resourceVersion"],
                self.query.get("includeObject", "Metadata"),
            )
        self.reply(obj)

    def _log(self, pod):
        container = self.query.get("container") or pod["spec"]["containers"][0]["name"]
        path = os.path.join(
            self.server.log_dir or "/nonexistent",
            pod["metadata"]["uid"],
            os.path.basename(container) + ".log",
        )
        try:
            with open(path, "rb") as log:
                data = log.read()
        except OSError:
            raise errors.bad_request(
                f"container {container!r} in pod {pod['metadata']['name']!r} has no log yet"
            )
        if self.query.get("tailLines"):
            data = b"".join(data.splitlines(True)[-int(self.query["tailLines"]) :])
        self.reply(data, content_type="text/plain")

    def _post_collection(self, res, namespace, name, sub, body):
        obj = self._decode(body)
        if res.namespaced and namespace is None:
            raise self._no_path()
        self.reply(self.server.rest.create(res, namespace or "", obj, self.query), 201)

    def _post_object(self, res, namespace, name, sub, body):
        if sub != "binding":
            raise errors.ApiError(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        self.reply(self.server.rest.bind(namespace, name, self._decode(body)), 201)

    def _put_object(self, res, namespace, name, sub, body):
        obj = self._decode(body)
        rest = self.server.rest
        if sub == "scale":
            return self.reply(rest.put_scale(res, namespace, name, obj, self.query))
        self.reply(rest.update(res, namespace or "", name, obj, self.query, sub, self._manager()))

    def _patch_object(self, res, namespace, name, sub, body):
        kind = self.headers.get("Content-Type", "").split(";")[0]
        result = self.server.rest.patch(
            res, namespace or "", name, body, kind, self.query, sub, self._manager()
        )
        if isinstance(result, tuple):
            return self.reply(result[0], 201)
        self.reply(result)

    def _delete_object(self, res, namespace, name, sub, body):
        self.reply(
            self.server.rest.delete(res, namespace or "", name, self._options(body), self.query)
        )

    def _delete_collection(self, res, namespace, name, sub, body):
        self.reply(
            self.server.rest.delete_collection(res, namespace, self._options(body), self.query)
        )

    def _watch(self, watch):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.headers_sent = True
        self.end_headers()
        self.wfile.flush()
        for event in watch:
            if event is None:
                # A client says nothing more on a watch's connection: readable means that it is gone.
                if select.select([self.request], [], [], 0)[0]:
                    self.close_connection = True
                    return
                continue
            data = (json.dumps(event, separators=(",", ":")) + "\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
