# SPDX-License-Identifier: Apache-2.0
"""Medians, spreads and ratios, for people and as numbers."""
import statistics

UNITS = {"stream": "Gbit/s", "rr": "tx/s", "crr": "tx/s", "pps": "packets/s"}


def heading(text):
    print(f"\n== {text} ==", flush=True)


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def ratio(ours, theirs):
    """Round by round: machine speed drifts, so what ran next to each other is compared."""
    return summary([a / b for a, b in zip(ours, theirs)])


def figure(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def table(mode, samples, ours):
    """samples: world -> list of figures. Returns the ratios of `ours` to each other world."""
    ratios = {}
    print(f"{mode} ({UNITS[mode]})")
    for world, values in samples.items():
        s = summary(values)
        line = f"  {world:<22}{figure(s['median']):>12}  ({figure(s['min'])} – {figure(s['max'])})"
        if world != ours:
            ratios[world] = ratio(samples[ours], values)
            r = ratios[world]
            line += f"   netloom / this: {r['median']:.3f}  ({r['min']:.3f} – {r['max']:.3f})"
        print(line, flush=True)
    return ratios
