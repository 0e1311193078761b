"""From ``conf/claim/<source>/<slug>.yaml`` to claims resolved for a profile."""

from bench_lr.claims.files import claim_files, conf_roots, matching, summaries
from bench_lr.claims.load import load_claims, load_profile
from bench_lr.claims.problems import ConfigError, Problem
from bench_lr.claims.settings import arm_value

__all__ = [
    "ConfigError",
    "Problem",
    "arm_value",
    "claim_files",
    "conf_roots",
    "load_claims",
    "load_profile",
    "matching",
    "summaries",
]
