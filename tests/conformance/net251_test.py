#!/usr/bin/env python3
"""The 2-5-1 example: ends with exit 0, and its loss falls to a tenth and below a known bound.

  net251_test.py PROGRAM [LAUNCHER...]"""

import re
import subprocess
import sys

result = subprocess.run(sys.argv[2:] + [sys.argv[1]], capture_output=True, text=True, check=False,
                        timeout=60)
losses = [float(loss) for loss in re.findall(r"^epoch +\d+ +loss ([0-9.]+)$", result.stdout, re.M)]
print(result.stdout + result.stderr)
if result.returncode != 0:
    sys.exit(f"exit {result.returncode}")
if len(losses) != 11:
    sys.exit(f"{len(losses)} losses printed, expected 11")
if not losses[-1] < 0.1 * losses[0] or not losses[-1] < 0.5:
    sys.exit(f"the loss went from {losses[0]} to {losses[-1]} only")
if "21 parameters" not in result.stdout:
    sys.exit("the network was not printed")
