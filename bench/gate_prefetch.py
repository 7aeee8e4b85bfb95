#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What fetching by the next layer's gate is worth, in tokens per second of the example engine.

A model runs with a quarter of its experts in the fast tier, by demand and with prefetches into a side buffer of four,
over a link on which LRU's transfers take as long as the model computes (T = C), and four times as long (T = 4C). The
policies take turns; figures are medians of the rounds, ratios are of medians. The share of time in which the link idles although a
transfer is queued comes from the timeline.

  bench/gate_prefetch.py MODEL_DIR [--moec build/release/bin/moec] [--rounds 5] [--tokens 200]
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

CACHE = "cache {{ capacity = 25%  scope = layer  eviction = {} }}"
GATE = "prefetch { strategy = gate  budget = 4  top = 4  side_buffer = true }"
VALUE = "least(use_rate(24) - 0.07 * log(1 + idle))"
POLICIES = {
    "lru": f"policy lru {{ {CACHE.format('lru')} }}",
    "lru + gate": f"policy gate {{ {CACHE.format('lru')}  {GATE} }}",
    "value": f"policy value {{ {CACHE.format(VALUE)} }}",
    "value + gate": f"policy value_gate {{ {CACHE.format(VALUE)}  {GATE} }}",
}


def run(args, policy, link, timeline=None):
    command = [args.moec, "run", args.model, "--policy", policy, "--prompt", args.prompt, "--tokens", str(args.tokens),
               "--temperature", "0.8", "--seed", "1", "--format", "json"]
    if link:
        command += ["--link", f"{link / 1e9:.6f}"]
    if timeline:
        command += ["--timeline", timeline]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def idle_share(path):
    """Time without a transfer, of the time in which one is queued."""
    with open(path) as file:
        events = [e for e in json.load(file)["traceEvents"] if e["ph"] == "X"]
    changes = []  # when, transfers more in the queue or under way
    for event in events:
        if event["cat"] == "dispatch":
            changes.append((event["ts"] + event["dur"], event["args"]["queued"] - event["args"]["cancelled"], 0))
        elif event["pid"] == 1:
            changes.append((event["ts"], 0, 1))
            changes.append((event["ts"] + event["dur"], -1, -1))
    queued = busy = 0
    wanted = idle = last = 0.0
    for when, more, start in sorted(changes):
        if queued > 0:
            wanted += when - last
            if busy == 0:
                idle += when - last
        queued, busy, last = queued + more, busy + start, when
    return idle / wanted if wanted else 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--moec", default="build/release/bin/moec")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--prompt", default="It is a truth universally acknowledged")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for name, text in POLICIES.items():
            files[name] = os.path.join(folder, name + ".moe")
            with open(files[name], "w") as file:
                file.write(text)
        resident = [run(args, "none", 0) for _ in range(args.rounds)]
        compute = statistics.median(r["decode_ms"] for r in resident) / 1e3
        moved = run(args, files["lru"], 0)["bytes_moved"]
        print(f"computing takes {compute / args.tokens * 1e6:.0f} us a token; LRU moves {moved / 1e6:.1f} MB")
        for times in (1, 4):
            link = moved / (times * compute)
            speed = {name: [] for name in files}
            for _ in range(args.rounds):
                for name in files:
                    speed[name].append(run(args, files[name], link)["tokens_per_s"])
            least = statistics.median(speed["lru"])
            for name in files:
                timeline = os.path.join(folder, "timeline.json")
                report = run(args, files[name], link, timeline)
                rate = statistics.median(speed[name])
                print(f"T = {times}C  {name:<13} {rate:8.1f} tokens/s  {rate / least:.3f} x lru  "
                      f"hit rate {report['hit_rate']:.3f}  moved {report['bytes_moved'] / 1e6:.1f} MB  "
                      f"late {report['late_hits']}  link idle {100 * idle_share(timeline):.1f} %")


if __name__ == "__main__":
    main()
