# SPDX-License-Identifier: Apache-2.0
"""Controllers of the demo's control plane; each is a loop over informers (see client.py)."""
