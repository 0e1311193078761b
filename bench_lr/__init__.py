"""bench-lr: which rules about learning rate and batch size hold, and how sure can one be?"""

__version__ = "0.1.0"
