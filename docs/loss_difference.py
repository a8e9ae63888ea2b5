"""Largest difference of the loss between two runs made with --log-steps: loss_difference.py RUN RUN"""

import json
import sys

losses = [[json.loads(line)["loss"] for line in open(f"{run}/steps.jsonl")] for run in sys.argv[1:3]]
differences = [abs(a - b) for a, b in zip(*losses)]
worst = max(range(len(differences)), key=differences.__getitem__)
print(f"{len(differences)} steps, largest difference {differences[worst]:.2e} at step {worst + 1}")
