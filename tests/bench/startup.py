#!/usr/bin/env python3
"""Start-up of a large survey: seconds, CPU seconds and memory of `plan`, of `status`, and of `run` up to its first tile (one tile, the
default model), for catalogues of the sizes named, 7,000 sources a square degree. The exposures are those of the mini survey.
startup.py --build DIR --source DIR --work DIR [SOURCES ...]"""
import argparse
import glob
import json
import os
import resource
import subprocess
import time

import numpy as np
from astropy.io import fits


def output_of(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{command[1]}: {done.stderr}")
    return done.stdout


def timed(*command):
    """Wall seconds, CPU seconds and MB of a command. A process of its own waits for it, since a process knows the largest of all its
    children only."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        start = time.monotonic()
        output_of(*command)
        wall = time.monotonic() - start
        use = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.write(writing, json.dumps([wall, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024]).encode())
        os._exit(0)
    os.close(writing)
    answer = os.read(reading, 4096)
    os.waitpid(pid, 0)
    if not answer:
        raise SystemExit(f"{command}: failed")
    return json.loads(answer)


def make_catalogue(path, n, ra0, dec0):
    rng = np.random.default_rng(1)
    side = np.sqrt(n / 7000)
    dec = dec0 + side * rng.uniform(-0.5, 0.5, n)
    ra = ra0 + side * rng.uniform(-0.5, 0.5, n) / np.cos(np.radians(dec))
    columns = [("ID", "K", np.arange(1, n + 1)), ("RA", "D", ra), ("DEC", "D", dec), ("MAG", "E", rng.uniform(18, 22, n)),
               ("RE", "E", np.full(n, 0.4)), ("Q", "E", np.full(n, 0.7)), ("PA", "E", rng.uniform(0, 180, n)),
               ("SERSIC_N", "E", np.full(n, 1.5)), ("STAR", "I", np.zeros(n, np.int16))]
    units = {"RA": "deg", "DEC": "deg", "MAG": "mag", "RE": "arcsec", "PA": "deg"}
    fits.BinTableHDU.from_columns([fits.Column(name=a, format=b, array=c, unit=units.get(a)) for a, b, c in columns],
                                  name="CATALOGUE").writeto(path, overwrite=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True)
    p.add_argument("--source", required=True)
    p.add_argument("--work", required=True)
    p.add_argument("sources", nargs="*", type=int, default=[100000, 1000000])
    args = p.parse_args()
    build, source, mini = os.path.abspath(args.build), os.path.abspath(args.source), os.path.abspath(args.build) + "/tests/mini_survey"
    with fits.open(mini + "/catalogue.fits") as f:
        ra0, dec0 = f[1].data["RA"].mean(), f[1].data["DEC"].mean()
    print(" sources   tiles  plan: s  CPU s    MB   status: s    MB   run of one tile: s    MB")
    for n in args.sources:
        work = f"{os.path.abspath(args.work)}/startup-{n}"
        os.makedirs(work, exist_ok=True)
        make_catalogue(work + "/catalogue.fits", n, ra0, dec0)
        with open(source + "/tests/e2e/mini.yaml") as f, open(work + "/survey.yaml", "w") as to:
            text = f.read().replace("@NOSLIT@", source).replace("@INPUT@/exposures", mini + "/exposures").replace("@INPUT@", ".")
            to.write(text.replace("fits: catalogue.fits", "fits: ''").replace("{order: 12}", "{order: 7}"))
        config, noslit = work + "/survey.yaml", build + "/noslit"
        plan = timed(noslit, "plan", config)
        tiles = json.loads(output_of(noslit, "plan", config, "--json"))["tiles"]
        status = timed(noslit, "status", config)
        run = timed(noslit, "run", config, "--source", "1")
        print(f"{n:8d} {tiles:7d} {plan[0]:8.2f} {plan[1]:6.2f} {plan[2]:5.0f} {status[0]:11.2f} {status[2]:5.0f} {run[0]:20.2f} {run[2]:5.0f}")


if __name__ == "__main__":
    main()
