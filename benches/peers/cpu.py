"""Runs the study's models in PyTorch, in ONNX Runtime and in our binary by turns, and prints the ratios.

The runtimes alternate in short slices, round after round, so that what else the machine does falls on all of
them alike; a ratio is taken within a round, and what is reported is its median over the rounds and its range.
README.md says what is compared with what.
"""

import argparse
import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ours import Ours, Rates
from report import markdown, summarise

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

ONE_CALLER = {model: [1, 8, 64] for model in ("linear", "mlp", "conv1d", "tlayer")} | {"t6": [1, 8, 32]}
TWO_CALLERS = {"mlp": [1, 8, 64], "conv1d": [8, 32], "tlayer": [1, 8, 64], "t6": [1, 8, 32]}
OTHER_MODELS = [1, 8, 64]

# What each library reads when it loads; PyTorch's own kernels, MKL and oneDNN each decide for themselves.
AVX2_ENVIRONMENT = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}


@dataclass(frozen=True)
class Point:
    """One model at one batch size, called by one or two callers."""

    model: str
    batch: int
    callers: int


class Peer:
    """A Python process that holds the other runtimes and times them on request."""

    def __init__(self, python: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [python, HERE / "peer.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )
        self.about = self.ask(do="about")

    def ask(self, **command) -> dict:
        """Sends one command and waits for its answer."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the peer process ended while asked for {command}; its message is above")
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def prepare_venv(folder: Path) -> Path:
    """The interpreter of a virtual environment with the pinned packages, made where it is missing."""
    wanted = (HERE / "requirements.txt").read_text()
    stamp, python = folder / "peers-requirements.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing PyTorch and ONNX Runtime into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"], check=True
        )
        stamp.write_text(wanted)
    return python


def machine() -> dict:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    flags = next((line for line in lines if line.startswith("flags")), "")
    return {
        "cpu": cpu,
        "isa": [name for name in ("avx2", "avx512f", "amx_tile") if name in flags.split()],
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "os": platform.platform(),
        "load_average": os.getloadavg(),
    }


def points(options: argparse.Namespace) -> Iterator[Point]:
    """What to measure, in order."""
    for callers in options.callers:
        defaults = ONE_CALLER if callers == 1 else TWO_CALLERS
        for model in options.models or defaults:
            for batch in options.batches or defaults.get(model, OTHER_MODELS):
                yield Point(model, batch, callers)


def runtimes(
    options: argparse.Namespace, python: Path, ours: Ours | None
) -> tuple[dict[str, Callable], dict[str, Peer]]:
    """How to time a point in each runtime, by the runtime's name, and the processes behind it."""
    peers = {"unrestricted": Peer(python, {})}
    if options.isa == "avx2":
        peers["avx2"] = Peer(python, AVX2_ENVIRONMENT)
        capability = peers["avx2"].about["capability"]
        if capability != "AVX2":
            raise SystemExit(f"PyTorch was to be held to AVX2 and reports {capability}")

    def ask(peer: Peer, runtime: str, sessions: str = "each") -> Callable[[Point], dict]:
        return lambda point: peer.ask(
            do="time",
            runtime=runtime,
            sessions=sessions,
            seconds=options.slice,
            cores=options.cores,
            **asdict(point),
        )

    table = {"ours": lambda point: ours.time(point, options.slice, options.cores)} if ours else {}
    table["onnxruntime"] = ask(peers["unrestricted"], "onnxruntime")
    if 2 in options.callers:
        table["onnxruntime-shared"] = ask(peers["unrestricted"], "onnxruntime", "shared")
    table["pytorch"] = ask(peers["unrestricted"], "pytorch")
    if "avx2" in peers:
        table["pytorch-avx2"] = ask(peers["avx2"], "pytorch")
    return table, peers


def measure(options: argparse.Namespace, table: dict[str, Callable], todo: list[Point]) -> list[dict]:
    """All slices of all rounds; who goes first changes from round to round."""
    slices = []
    names = list(table)
    for round_number in range(options.rounds):
        order = names[round_number % len(names) :] + names[: round_number % len(names)]
        for number, point in enumerate(todo, 1):
            place = f"round {round_number + 1}/{options.rounds}, {number}/{len(todo)}"
            print(f"\r{place}: {point.model} batch {point.batch}   ", end="", file=sys.stderr, flush=True)
            for runtime in order:
                if runtime == "onnxruntime-shared" and point.callers == 1:
                    continue
                slices.append(
                    {"round": round_number, "runtime": runtime} | asdict(point) | table[runtime](point)
                )
    print(file=sys.stderr)
    return slices


def parse() -> argparse.Namespace:
    """The command line."""

    def names(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--out", type=Path, default=Path("peers-report"), help="folder for results.json and report.md"
    )
    parser.add_argument("--venv", type=Path, help="use this virtual environment as it is, installing nothing")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/paceline", help="our binary")
    parser.add_argument("--no-ours", action="store_true", help="measure the peers alone")
    parser.add_argument("--isa", help="instruction set for our binary; avx2 also times PyTorch held to AVX2")
    parser.add_argument("--models", type=names, help="models, by default linear,mlp,conv1d,tlayer,t6")
    parser.add_argument("--batches", type=numbers, help="batch sizes, by default 1,8,64 (t6: 1,8,32)")
    parser.add_argument(
        "--callers",
        type=numbers,
        default=[1, 2],
        help="1, 2 or 1,2 (the default): callers of one thread each",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds, 5 by default")
    parser.add_argument(
        "--slice", type=float, default=0.3, metavar="S", help="seconds for each runtime, point and round"
    )
    parser.add_argument("--cores", type=numbers, help="cores to pin callers to, by default the last first")
    parser.add_argument("--quick", action="store_true", help="two rounds of 0.1 s")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.slice = 2, 0.1
    if not set(options.callers) <= {1, 2}:
        parser.error("--callers takes 1, 2 or 1,2")
    options.cores = options.cores or sorted(os.sched_getaffinity(0), reverse=True)
    if len(options.cores) < max(options.callers):
        parser.error(f"{max(options.callers)} callers need as many cores, and there are {len(options.cores)}")
    if not options.no_ours and not options.binary.exists():
        parser.error(f"{options.binary} is missing: run `cargo build --release`, or pass --no-ours")
    return options


def main() -> None:
    """Measures, then writes and prints the report."""
    options = parse()
    python = options.venv / "bin" / "python" if options.venv else prepare_venv(ROOT / "target/peers-venv")
    ours = None if options.no_ours else Ours(options.binary, options.isa, Rates(ROOT, options.isa))
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    on = machine()
    table, peers = runtimes(options, python, ours)
    todo = list(points(options))
    models = {}
    for model in dict.fromkeys(point.model for point in todo):
        print(f"preparing {model}", file=sys.stderr)
        models[model] = {name: peer.ask(do="load", model=model) for name, peer in peers.items()}[
            "unrestricted"
        ]
    slices = measure(options, table, todo)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    results = {
        "schema": "paceline.peers/1",
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "commit": commit.stdout.strip(),
        "started": started,
        "machine": on,
        "peers": {name: peer.about for name, peer in peers.items()},
        "ours": ours.about if ours else None,
        "slice_seconds": options.slice,
        "rounds": options.rounds,
        "cores": options.cores,
        "models": models,
        "summary": summarise(slices, {name: about["flop"] for name, about in models.items()}),
        "slices": slices,
    }
    for peer in peers.values():
        peer.close()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    text = markdown(results)
    (options.out / "report.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
