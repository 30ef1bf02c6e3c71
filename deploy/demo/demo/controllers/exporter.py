# SPDX-License-Identifier: Apache-2.0
"""Keeps a folder of manifests in step with the API: a cluster's state for those who read folders."""
import os

import yaml

KINDS = (
    "Namespace",
    "Node",
    "Pod",
    "Service",
    "EndpointSlice",
    "NetworkPolicy",
    "ClusterNetworkPolicy",
)


class Exporter:
    def __init__(self, informers, folder):
        self.folder = folder
        for kind in KINDS:
            informers[kind].listen(self._change)

    def _path(self, obj):
        meta = obj["metadata"]
        parts = [obj["kind"].lower(), meta.get("namespace", ""), meta["name"]]
        return os.path.join(self.folder, "_".join(p for p in parts if p) + ".yaml")

    def _change(self, old, new):
        if new is None:
            try:
                os.unlink(self._path(old))
            except FileNotFoundError:
                pass
            return
        kind = new.get("kind")
        path = self._path(new) if kind else None
        if path is None:
            return
        temporary = os.path.join(self.folder, "." + os.path.basename(path) + ".new")
        with open(temporary, "w", encoding="utf-8") as file:
            yaml.dump(
                new, file, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False
            )
        os.replace(temporary, path)
