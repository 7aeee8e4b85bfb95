#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times the Python package moe-policylang on routing that bench-dispatch wrote: `python_baseline.py CASES.json`.

CASES.json: {"repeats": n, "policies": [{"name", "text"}], "shapes": [{"name", "num_layers", "num_experts", "top_k",
"ids": [...], "weights": [...]}]}, ids and weights being [dispatches][top_k] in one list, layer after layer.
Prints {"package", "python", "rows": [{"policy", "shape", "ns_median", "ns_least", "hit_rate"}]}: processor time of this
thread for one call of PolicyHook.on_layer, over repeats with a fresh hook each. Exit status 77: not installed.

The package sees layer-local expert ids, as its integrations pass them: a slot of its cache stands for that expert of
every layer. `import torch` is answered by a stub: deciding needs nothing of it.
"""
import gc
import importlib.metadata
import json
import logging
import platform
import statistics
import sys
import time
import types


class Stub(types.ModuleType):
    """A module in which every name is an empty class that also does as a decorator's factory."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (), {})
        setattr(self, name, value)
        return value


def import_package():
    for name in ("torch", "torch.nn", "torch.nn.functional", "torch.cuda"):
        sys.modules[name] = Stub(name)
    sys.modules["torch"].nn = sys.modules["torch.nn"]
    sys.modules["torch"].cuda = sys.modules["torch.cuda"]
    sys.modules["torch.nn"].functional = sys.modules["torch.nn.functional"]
    sys.modules["torch"].no_grad = lambda *args, **kwargs: (lambda function: function)
    import moe_policylang
    from moe_policylang.runtime.hooks import build_hook

    return moe_policylang, build_hook


def rows_of(flat, width):
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def time_calls(hook, calls):
    gc.collect()
    gc.disable()
    on_layer = hook.on_layer
    begin = time.thread_time_ns()
    for layer, ids, weights in calls:
        on_layer(layer, ids, scores=weights)
    elapsed = time.thread_time_ns() - begin
    gc.enable()
    return elapsed / len(calls)


def main():
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    try:
        package, build_hook = import_package()
    except ImportError as error:
        print(f"python_baseline: {error}", file=sys.stderr)
        return 77
    logging.disable(logging.CRITICAL)
    rows = []
    for shape in cases["shapes"]:
        ids, weights = (rows_of(shape[what], shape["top_k"]) for what in ("ids", "weights"))
        calls = [(i % shape["num_layers"], ids[i], weights[i]) for i in range(len(ids))]
        for policy in cases["policies"]:
            times = []
            for _ in range(cases["repeats"]):
                compiled = package.compile_policy(package.parse_policy(policy["text"]))
                hook = build_hook(compiled, shape["num_layers"], shape["num_experts"])
                times.append(time_calls(hook, calls))
            rows.append(
                {
                    "policy": policy["name"],
                    "shape": shape["name"],
                    "ns_median": statistics.median(times),
                    "ns_least": min(times),
                    "hit_rate": hook.stats_snapshot()["cache"]["hit_rate"],
                }
            )
    version = importlib.metadata.version("moe-policylang")
    json.dump({"package": version, "python": platform.python_version(), "rows": rows}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
