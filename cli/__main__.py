"""`python -m cli`, as `./patchthrough` runs it."""

from __future__ import annotations

import sys

from cli.app import main

sys.exit(main())
