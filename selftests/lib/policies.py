# SPDX-License-Identifier: Apache-2.0
"""What tests of policies share: pods that serve, and who reaches whom."""
import json
import os

from cluster import HERE, PYTHON, poll, pod


def namespace(name, labels):
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**labels, "kubernetes.io/metadata.name": name}},
    }


def server(where, name, node, labels, ports, named=(), **spec):
    """A pod that serves TCP and UDP on `ports`; `named` are its container's ports."""
    made = pod(name, node, **spec)
    made["metadata"].update({"namespace": where, "labels": labels})
    serve = ",".join(str(p) for p in ports)
    made["spec"]["containers"] = [
        {
            "name": "main",
            "image": "python",
            "command": [PYTHON, os.path.join(HERE, "whoami.py"), f"{where}/{name}", serve],
            "readinessProbe": {
                "tcpSocket": {"port": ports[0]},
                "periodSeconds": 1,
                "timeoutSeconds": 10,
            },
            "ports": list(named),
        }
    ]
    return made


SILENCE_S = 0.4  # who has no answer then is not let in, or the machine is busy
SLOW_S = 10.0  # so long an answer may take on a busy machine


class Pods:
    """Pods by "namespace/name", with a client in each; SCTP is one INIT there, and an answer."""

    def __init__(self, net):
        self.net, self.ips = net, {}

    def add(self, *pods, sctp=()):
        """Waits until they are ready; on ports `sctp` they answer SCTP too, which no kernel need have."""
        self.net.apply(*pods)
        for one in pods:
            where, name = one["metadata"]["namespace"], one["metadata"]["name"]
            self.net.ready(name, namespace=where)
            found = json.loads(self.net.kubectl("get", "pod", "-n", where, name, "-o", "json"))
            ips = [i["ip"] for i in found["status"]["podIPs"]]
            self.ips[f"{where}/{name}"] = {("v6" if ":" in i else "v4"): i for i in ips}
            self.net.client(f"{where}/{name}")
            self._serve_sctp(f"{where}/{name}", sctp)

    def _serve_sctp(self, name, ports):
        if ports:
            serves = self.net.peer(name, "rawsctp.py").ask("serve", {"name": name, "ports": ports})
            assert serves == (True, None), serves

    def part(self, *names):
        for name in names:
            self.net.part(name)
            del self.ips[name]

    def ask(self, cells, patient=()):
        """Which of the cells (from, to, protocol, port, family) connect, all clients at once.

        Of cells in `patient` an answer may be late: who is not let in waits long there.
        """
        asked = []
        for source, sctp in dict.fromkeys((c[0], c[2] == "SCTP") for c in cells):
            own = [c for c in cells if (c[0], c[2] == "SCTP") == (source, sctp)]
            places = [[proto, self.ips[to][family], port] for _, to, proto, port, family in own]
            timeouts = [SLOW_S if cell in patient else SILENCE_S for cell in own]
            client = self.net.peer(source, "rawsctp.py" if sctp else "clients.py")
            asked.append((client, own, client.call("batch", {"places": places, "timeout": timeouts})))
        found = {}
        for client, own, number in asked:
            answers, error = client.result(number)
            assert error is None, error
            for cell, (answer, _) in zip(own, answers):
                found[cell] = isinstance(answer, list) and answer[0] == cell[1]
        return found

    def differs(self, wanted):
        """Which cells are not as wanted, at one time."""
        found = self.ask(list(wanted), {cell for cell, allowed in wanted.items() if allowed})
        return {cell: found[cell] for cell in wanted if found[cell] != wanted[cell]}

    def expect(self, wanted, what):
        """Waits until all cells are as wanted, at one time.

        A busy machine's silence looks like a denial, so a denial is believed the second time.
        """
        wrong = {}

        def settled():
            found = self.ask(list(wrong or wanted))
            wrong.clear()
            wrong.update({c: v for c, v in found.items() if v != wanted[c]})
            if not wrong:
                wrong.update(self.differs(wanted))
            return not wrong

        poll(settled, 60, lambda: f"{what}: {len(wrong)} of {len(wanted)} are {wrong}")

    def holds(self, wanted):
        """All cells are as wanted, without waiting for it."""
        wrong = self.differs(wanted)
        assert not wrong, wrong

    def clean(self, *kinds):
        for kind in kinds:
            self.net.kubectl("delete", kind, "--all", "-A")
