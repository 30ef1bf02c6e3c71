# SPDX-License-Identifier: Apache-2.0
"""Runs CNI plugins as libcni and containerd do: the first configuration of /etc/cni/net.d, plugins chained."""
import json
import os
import subprocess

CONF_DIR = "/etc/cni/net.d"
BIN_DIRS = ["/opt/cni/bin"]
VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]  # what this runtime speaks


class CniError(Exception):
    def __init__(self, plugin, command, code, message):
        super().__init__(f"plugin {plugin} {command} failed (code {code}): {message}")
        self.code = code


def find_config():
    """The network's configuration as a list, or None: the node is not ready then."""
    try:
        names = sorted(
            n for n in os.listdir(CONF_DIR) if n.endswith((".conflist", ".conf", ".json"))
        )
    except OSError:
        return None
    for name in names:
        try:
            with open(os.path.join(CONF_DIR, name), encoding="utf-8") as file:
                config = json.load(file)
        except (OSError, ValueError):
            continue
        if not name.endswith(".conflist"):
            config = {
                "cniVersion": config.get("cniVersion", ""),
                "name": config.get("name", ""),
                "plugins": [config],
            }
        if config.get("plugins"):
            return config
    return None


def _version(config):
    offered = [v for v in config.get("cniVersions") or [] if v in VERSIONS]
    return max(offered, key=VERSIONS.index) if offered else config.get("cniVersion") or "0.3.1"


class Sandbox:
    """One container's attachment. `result` is what DEL and CHECK get as prevResult."""

    def __init__(self, container_id, netns, pod, host_ports=()):
        self.container_id, self.netns, self.host_ports = container_id, netns, list(host_ports)
        self.config = self.result = None
        meta = pod["metadata"]
        self.args = ";".join(
            [
                "IgnoreUnknown=1",
                f"K8S_POD_NAMESPACE={meta['namespace']}",
                f"K8S_POD_NAME={meta['name']}",
                f"K8S_POD_INFRA_CONTAINER_ID={container_id}",
                f"K8S_POD_UID={meta['uid']}",
            ]
        )

    def _run(self, command, plugin, previous):
        binary = next(
            (p for p in (os.path.join(d, plugin["type"]) for d in BIN_DIRS) if os.path.exists(p)),
            None,
        )
        if binary is None:
            raise CniError(plugin["type"], command, 0, f"no such program in {BIN_DIRS}")
        stdin = {**plugin, "name": self.config["name"], "cniVersion": _version(self.config)}
        capabilities = stdin.pop("capabilities", {})
        if capabilities.get("portMappings") and self.host_ports:
            stdin["runtimeConfig"] = {"portMappings": self.host_ports}
        if previous is not None:
            stdin["prevResult"] = previous
        env = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": self.container_id,
            "CNI_NETNS": self.netns,
            "CNI_IFNAME": "eth0",
            "CNI_ARGS": self.args,
            "CNI_PATH": ":".join(BIN_DIRS),
        }
        try:
            done = subprocess.run(
                [binary],
                input=json.dumps(stdin).encode(),
                env=env,
                timeout=120,
                check=False,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except subprocess.TimeoutExpired:
            raise CniError(plugin["type"], command, 0, "no answer within 120 s")
        except OSError as error:
            raise CniError(plugin["type"], command, 0, str(error))
        try:
            answer = json.loads(done.stdout) if done.stdout.strip() else {}
        except ValueError:
            raise CniError(
                plugin["type"],
                command,
                done.returncode,
                f"stdout is not JSON: {done.stdout[:200]!r}",
            )
        if done.returncode:
            why = ": ".join(str(answer[k]) for k in ("msg", "details") if answer.get(k))
            raise CniError(
                plugin["type"],
                command,
                answer.get("code", done.returncode),
                why or done.stderr.decode()[-300:],
            )
        return answer

    def add(self):
        """The pod's addresses. Raises CniError."""
        self.config = find_config()
        if self.config is None:
            raise CniError("(none)", "ADD", 0, f"no CNI configuration in {CONF_DIR}")
        self.result = None
        result = None
        for plugin in self.config["plugins"]:
            result = self._run("ADD", plugin, result)
        self.result = result
        addresses = [ip["address"].split("/")[0] for ip in result.get("ips") or []]
        if not addresses:
            raise CniError(self.config["plugins"][-1]["type"], "ADD", 0, "the result has no ips")
        return sorted(addresses, key=lambda a: ":" in a)

    def delete(self):
        """Raises CniError; may be repeated. What was added is deleted with the configuration it was added with."""
        config = self.config or find_config()
        if config is None:
            return
        self.config = config
        for plugin in reversed(config["plugins"]):
            self._run("DEL", plugin, self.result)
