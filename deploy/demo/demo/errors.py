# SPDX-License-Identifier: Apache-2.0


class DemoError(Exception):
    """What a user of netloom-demo is told in one line, with exit code 1."""
