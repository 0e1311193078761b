"""``python -m bench_lr`` is ``bench-lr``."""

import sys

from bench_lr.cli import main

sys.exit(main())
