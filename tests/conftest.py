"""What all tests share."""

import os

# Tests compute on tensors of a few hundred numbers, where threads only wait for each other. Set
# before torch is imported, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
