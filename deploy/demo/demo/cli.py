# SPDX-License-Identifier: Apache-2.0
"""netloom-demo: the command line."""
import argparse
import json
import os
import shutil
import signal
import sys

from . import lifecycle, sandbox
from .controlplane import ControlPlane
from .errors import DemoError
from .instance import Instance, build_dir, instances
from .nodes import Node
from .proc import Processes, wait_until
from .topology import Topology

ACTIONS = ("start", "stop", "kill", "restart")


def _say(text):
    print(text, flush=True)


def cmd_up(args, instance):
    options = {
        "nodes": args.nodes,
        "transport": args.transport,
        "family": args.family,
        "xdp": args.xdp,
        "socket_lb": args.socket_lb,
        "mtu": args.mtu,
        "pod_cidrs": args.pod_cidrs,
        "source": args.source,
        "cnp_crd": args.cnp_crd,
        "log_level": args.log_level,
        "agent_config": args.agent_config,
        "build": build_dir(),
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lifecycle.up(
        instance, options, (lambda text: None) if args.quiet else _say, args.timeout, args.keep
    )


def cmd_down(args, instance):
    was = instance.state
    lifecycle.down(instance)
    _say(
        f"'{instance.name}' is down"
        if was
        else f"'{instance.name}' was not up; nothing is left of it"
    )


def _exec(instance, part, argv, env=None):
    """Becomes the command."""
    if argv and argv[0] == "--":
        argv = argv[1:]
    if not argv:
        argv = [os.environ.get("SHELL", "/bin/sh")]
    environment = {
        **os.environ,
        "PATH": f"{instance.programs()}:{os.environ['PATH']}",
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": instance.etcd_url,
        "KUBECONFIG": instance.kubeconfig,
        # Clusters have the same address, and not the same kinds.
        "KUBECACHEDIR": instance.path("kube-cache"),
        **(env or {}),
    }
    sandbox.join_cgroup(instance, part)
    prefix = sandbox.enter(instance, part)
    os.execvpe(prefix[0], [*prefix, "env", f"--chdir={os.getcwd()}", *argv], environment)


def cmd_kubectl(args, instance):
    instance.require_up()
    if not shutil.which("kubectl"):
        raise DemoError("kubectl is not installed (Debian package kubernetes-client)")
    _exec(instance, "control", ["kubectl", *args.argv])


def cmd_node(args, instance):
    instance.require_up()
    if args.node != "control":
        instance.require_node(args.node)
    _exec(instance, args.node, args.argv)


def cmd_external(args, instance):
    instance.require_up()
    _exec(instance, "external", args.argv)


def cmd_route(args, instance):
    instance.require_up()
    for node in args.nodes:
        instance.require_node(node)
    Topology(instance).route(args.destination, args.nodes)


def find_pod(instance, reference):
    namespace, slash, name = reference.partition("/")
    if not slash:
        namespace, name = "default", reference
    for node in instance.nodes:
        try:
            with open(
                sandbox.node_dir(instance, node, "pods", f"{namespace}_{name}.json"),
                encoding="utf-8",
            ) as file:
                return json.load(file)
        except FileNotFoundError:
            continue
    raise DemoError(
        f"no pod '{namespace}/{name}' has a network on any node yet (see `netloom-demo kubectl get pods -A -o wide`)"
    )


def cmd_exec(args, instance):
    instance.require_up()
    pod = find_pod(instance, args.pod)
    argv = args.argv[1:] if args.argv[:1] == ["--"] else args.argv
    enter = ["nsenter", f"--net={pod['netns']}", "--"] if pod["netns"] else []
    _exec(instance, pod["node"], [*enter, *(argv or ["/bin/sh"])], pod["env"])


def _act(processes, name, action, ready, wait):
    if action in ("stop", "restart"):
        processes.stop(name)
    elif action == "kill":
        if not processes.stop(name, signal.SIGKILL):
            raise DemoError(f"{name} does not run")
    if action in ("start", "restart"):
        processes.start(name)
        if wait:
            try:
                wait_until(
                    lambda: ready() if processes.alive(name) else _died(processes, name),
                    120,
                    f"{name} to be ready",
                )
            except DemoError as error:
                raise DemoError(f"{error}\n{processes.tail(name)}") from None


def _died(processes, name):
    raise DemoError(f"{name} ended")


def cmd_agent(args, instance):
    instance.require_up()
    instance.require_node(args.node)
    node = Node(instance, args.node)
    _act(node.processes, node.agent, args.action, node.agent_ready, args.wait)


def cmd_ksr(args, instance):
    instance.require_up()
    control = ControlPlane(instance)
    name = "ksr" if args.replica == 1 else f"ksr-{args.replica}"
    if control.processes.read(name) is None:
        control.define_ksr(args.replica)
    _act(control.processes, name, args.action, lambda: control.ksr_ready(args.replica), args.wait)


def cmd_etcd(args, instance):
    instance.require_up()
    control = ControlPlane(instance)
    if args.action == "wipe":
        if control.processes.alive("etcd"):
            raise DemoError("etcd runs: stop or kill it before its data are wiped")
        return control.wipe_etcd()
    return _act(control.processes, "etcd", args.action, control.etcd_answers, args.wait)


def cmd_apiserver(args, instance):
    instance.require_up()
    control = ControlPlane(instance)
    if args.action == "compact":
        return lifecycle.ControlClient(instance).request("POST", "/debug/compact")
    return _act(control.processes, "apiserver", args.action, control.apiserver_answers, args.wait)


def cmd_status(args, instance):
    if instance.state is None:
        others = ", ".join(instances()) or "none"
        raise DemoError(f"'{instance.name}' is not up (up: {others})")
    processes = Processes(instance)
    running = {name: processes.alive(name) for name in processes.names()}
    if args.output == "json":
        print(
            json.dumps(
                {
                    "name": instance.name,
                    "state": instance.state,
                    "options": instance.options,
                    "processes": running,
                },
                indent=1,
            )
        )
        return
    options = instance.options
    print(
        f"'{instance.name}': {instance.state}, {options['nodes']} nodes, {options['family']}, {options['transport']}, "
        f"pod CIDRs by {options['pod_cidrs']}, ksr's source {options['source']}"
    )
    for name, alive in running.items():
        print(
            f"  {name:<16} {'pid ' + str(processes.read(name)['pid']) if alive else 'not running'}"
        )


def cmd_logs(args, instance):
    instance.require_up()
    processes = Processes(instance)
    if args.what not in processes.names():
        raise DemoError(f"no log '{args.what}': there are {', '.join(processes.names())}")
    follow = ["-F"] if args.follow else []
    os.execvp("tail", ["tail", "-n", str(args.tail), *follow, processes.log(args.what)])


def cmd_list(args, instance):
    for name in instances():
        print(name)


def cmd_run(args, instance):
    from importlib import import_module

    module = {
        "apiserver": "api.main",
        "controllers": "controllers.main",
        "kubelet": "kubelet.main",
    }[args.part]
    import_module(f"demo.{module}").main(args.argv)


def node_count(text):
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"want a number from 1 to 100, found {text!r}")
    return int(text)


def keys(text):
    try:
        found = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from None
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"want a JSON object, found {text!r}")
    return found


def parser():
    top = argparse.ArgumentParser(
        prog="netloom-demo", description="A cluster in network namespaces; no Kubernetes needed."
    )
    top.add_argument(
        "--name", default="demo", help="several may stand side by side (default: demo)"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, function, text, **kwargs):
        sub = commands.add_parser(name, help=text, description=text, **kwargs)
        sub.set_defaults(function=function)
        return sub

    sub = command("up", cmd_up, "bring a cluster up; returns when all is ready")
    sub.add_argument("--nodes", type=node_count, default=3, metavar="N", help="from 1 to 100")
    sub.add_argument("--transport", choices=("vxlan", "native"), default="vxlan")
    sub.add_argument("--family", choices=("v4", "v6", "dual"), default="dual")
    sub.add_argument("--xdp", choices=("auto", "on", "off"), default="auto")
    sub.add_argument(
        "--socket-lb",
        choices=("host", "all", "off"),
        default="host",
        help="whose sockets are connected straight to a service's backend",
    )
    sub.add_argument(
        "--mtu", type=int, default=0, metavar="N", help="of the underlay (default: 1500)"
    )
    sub.add_argument(
        "--pod-cidrs",
        choices=("node-id", "kubernetes"),
        default="node-id",
        help="who gives nodes their pod CIDRs",
    )
    sub.add_argument(
        "--source", choices=("kubernetes", "directory"), default="kubernetes", help="what ksr reads"
    )
    sub.add_argument(
        "--cnp-crd",
        choices=("on", "off"),
        default="on",
        help="whether the cluster starts with the CRD of ClusterNetworkPolicy",
    )
    sub.add_argument(
        "--log-level",
        choices=("error", "warn", "info", "debug"),
        default="info",
        help="of agents and ksr",
    )
    sub.add_argument(
        "--agent-config",
        type=keys,
        default={},
        metavar="JSON",
        help="keys for agent.yaml, merged over the demo's own",
    )
    sub.add_argument("--timeout", type=float, default=60, metavar="SECONDS")
    sub.add_argument(
        "--keep", action="store_true", help="keep what there is when it fails, to look at it"
    )
    sub.add_argument("--quiet", action="store_true")
    command("down", cmd_down, "remove everything of the cluster")
    sub = command("status", cmd_status, "what runs")
    sub.add_argument("-o", "--output", choices=("text", "json"), default="text")
    sub = command(
        "logs",
        cmd_logs,
        "a process's log: agent-node1, kubelet-node1, ksr, etcd, apiserver, controllers",
    )
    sub.add_argument("what")
    sub.add_argument("-f", "--follow", action="store_true")
    sub.add_argument("--tail", type=int, default=50)
    command("list", cmd_list, "names of the clusters that are up")

    sub = command(
        "kubectl", cmd_kubectl, "kubectl against the cluster", add_help=False, prefix_chars="\0"
    )
    sub.add_argument("argv", nargs=argparse.REMAINDER)
    sub = command("exec", cmd_exec, "a command in a pod's network namespace")
    sub.add_argument("pod", metavar="NAMESPACE/POD")
    sub.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    sub = command(
        "node", cmd_node, "a command as on a node ('control': the control plane's namespace)"
    )
    sub.add_argument("node")
    sub.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")
    sub = command("external", cmd_external, "a command on a machine outside of the cluster")
    sub.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD")

    sub = command(
        "route", cmd_route, "which nodes the router outside sends an address or prefix to, in turns"
    )
    sub.add_argument("destination")
    sub.add_argument("nodes", nargs="+", metavar="NODE")

    for name, function, text, more in (
        ("agent", cmd_agent, "a node's agent", ()),
        ("ksr", cmd_ksr, "the state reflector", ()),
        ("etcd", cmd_etcd, "the store; `wipe` loses its data", ("wipe",)),
        (
            "apiserver",
            cmd_apiserver,
            "the API server; `compact` makes old versions 410 Gone",
            ("compact",),
        ),
    ):
        sub = command(name, function, f"start, stop (SIGTERM) or kill (SIGKILL) {text}")
        if name == "agent":
            sub.add_argument("node")
        if name == "ksr":
            sub.add_argument(
                "--replica",
                type=int,
                default=1,
                help="replica 2 and above are made when first started",
            )
        sub.add_argument("action", choices=(*ACTIONS, *more))
        sub.add_argument(
            "--wait", action="store_true", help="after a start, until it says that it is ready"
        )
    sub = commands.add_parser("_run")
    sub.set_defaults(function=cmd_run)
    sub.add_argument("part")
    sub.add_argument("argv", nargs=argparse.REMAINDER)
    return top


def main(argv):
    args = parser().parse_args(argv)
    try:
        if args.command not in ("list", "_run") and os.geteuid() != 0:
            raise DemoError("needs root: it makes network namespaces")
        args.function(args, None if args.command == "_run" else Instance(args.name))
    except DemoError as error:
        print(f"netloom-demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    return 0
