"""Ours beside Keras and PyTorch: the same network, initial values, pairs and number of threads.

    python benches/peers/compare.py --python PYTHON --dataset mnist --data-dir DIR

PYTHON has numpy, torch, keras and tensorflow; peers that do not start are left out. All programs stay
open and take turns, so that a disturbance meets all of them: in each round ours, every peer, ours
again. The time of a turn is the lower quartile of its steps: what a shared machine gives
when nobody disturbs. A ratio is a peer's time by ours in the same round (the mean of both turns); what
is printed is its median and quartiles over the rounds. Where ours by ours is more than 10 % from 1, the machine
was too restless and the run is inconclusive. Scoring embeds each test image once, then compares the
pairs: ours and the peers alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = {"keras": ("keras_step.py",)} | {
    mode: ("pytorch_step.py", mode) for mode in ("eager", "compile", "cuda", "cuda-graph")}
RESTLESS = 0.10


class Program:
    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env=environment)
        self.fastest = float("inf")
        self.name = json.loads(self.process.stdout.readline())["peer"]

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def time(self, command):
        """Lower quartile of the times that the command took, in microseconds."""
        times = sorted(self.ask(command)["us"])
        self.fastest = min(self.fastest, times[0])
        return times[len(times) // 4]


def build():
    """The path of our bench program."""
    command = ["cargo", "bench", "--no-run", "--bench", "train_step", "--message-format", "json"]
    lines = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in lines.splitlines()]
    return next(m["executable"] for m in messages
                if m.get("executable") and m["target"]["name"] == "train_step")


def start_peers(names, python, folder, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    for name in names:
        script, *extra = PEERS[name]
        command = [python, str(HERE / script), folder, str(threads), *extra]
        try:
            peer = Program(command, environment)
            peer.first = peer.ask("train 1")
            yield peer
        except (json.JSONDecodeError, BrokenPipeError):
            print(f"left out: {name} does not run here", file=sys.stderr)


def spread(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": middle, "p25": low, "p75": high, "n": len(values)}


def compare(command, ours, peers, rounds):
    control, ratios, times = [], {peer.name: [] for peer in peers}, {p.name: [] for p in (ours, *peers)}
    for program in (ours, *peers):
        program.time(command)
        program.fastest = float("inf")
    for _ in range(rounds):
        before = ours.time(command)
        of_peers = {peer.name: peer.time(command) for peer in peers}
        after = ours.time(command)
        control.append(after / before)
        times[ours.name].append((before + after) / 2)
        for name, time in of_peers.items():
            times[name].append(time)
            ratios[name].append(time / times[ours.name][-1])
    control = spread(control)
    return {"control": control, "inconclusive": abs(control["median"] - 1) > RESTLESS,
            "us": {name: spread(values) for name, values in times.items()},
            "fastest_us": {program.name: program.fastest for program in (ours, *peers)},
            "peer_by_ours": {name: spread(values) for name, values in ratios.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the Python that runs the peers")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--dataset", default="glyphs")
    parser.add_argument("--data-dir")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=50, help="training steps of a turn")
    parser.add_argument("--program", help="our bench program, if it is built already")
    arguments = parser.parse_args()
    if arguments.rounds < 7:
        parser.error("fewer than 7 rounds tell too little")
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.program or build(), "--serve", folder, "--threads", str(arguments.threads),
                   "--dataset", arguments.dataset]
        ours = Program(command + (["--data-dir", arguments.data_dir] if arguments.data_dir else []))
        first = ours.ask("train 1")
        peers = list(start_peers(arguments.peers, arguments.python, folder, arguments.threads))
        for peer in peers:
            difference = abs(peer.first["first_loss"] - first["first_loss"])
            assert difference < 1e-4, f"{peer.name} is another network: first losses {difference} apart"
        results = {"threads": arguments.threads, "ours": ours.name}
        results["train_step"] = compare(f"train {arguments.steps}", ours, peers, arguments.rounds)
        results["score"] = compare("score", ours, peers, arguments.rounds)
        results["accuracy"] = {p.name: p.ask("score")["accuracy"] for p in (ours, *peers)}
        results["loss"] = {p.name: p.ask("train 1")["loss"] for p in (ours, *peers)}
        for program in (ours, *peers):
            program.process.stdin.close()
            program.process.wait()
    print(json.dumps(results, indent=2))
    for what in ("train_step", "score"):
        result = results[what]
        verdict = "inconclusive: " if result["inconclusive"] else ""
        for name, ratio in result["peer_by_ours"].items():
            print(f"{what}: {verdict}{name} takes {ratio['median']:.2f} times as long "
                  f"({ratio['p25']:.2f} to {ratio['p75']:.2f})", file=sys.stderr)


if __name__ == "__main__":
    main()
