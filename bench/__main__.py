"""Every measurement, one after the other: `make bench`, or `make bench ARGS='gas evidence'` for some."""

import argparse
import subprocess
import sys

BENCHES = ("gas", "settlement", "follower", "evidence", "billing", "long-mandate")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all without one")
    names = parser.parse_args().names or BENCHES
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"there is no {unknown[0]!r}: choose from {', '.join(BENCHES)}")
    failed = [
        name for name in names if subprocess.run([sys.executable, "-m", f"bench.{name.replace('-', '_')}"]).returncode
    ]
    if failed:
        print(f"goals missed or measurement failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
