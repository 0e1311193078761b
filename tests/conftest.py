"""What all tests share."""

import os
import sys

# Tests compute on tensors of a few hundred numbers, where threads only wait for each other. Set
# before torch is imported, and inherited by the processes that tests start. Benchmarks take what
# the machine has.
if "--benchmark-only" not in sys.argv:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")
