"""Ask an advisory database about every version in the locks, and fail where it could not be asked.

``python -m supply.advisories requirements*.txt`` ends with 0 if every version was looked up and none is
vulnerable, with 1 if one is, and with 2 if the answer cannot be relied on. It needs pip-audit, and so runs in
`.venv-audit`; what begins with ``--`` is an option of pip-audit's, with its value behind a ``=``.

pip-audit by itself says that all is well where it skips what it did not find, and where a mirror of the
package index answers without any advisories. So nothing may be skipped, and a version that is known to be
vulnerable is asked about with the others: who does not know of that knows of nothing.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from supply.locks import Pin, pins

PROBE = Pin("mlflow", "2.0.1")
"""Gave any file of its host to whoever asked, CVE-2023-1177; and nothing that we would use."""

MOST_NAMED = 5


class Findings(NamedTuple):
    """``unchecked`` says why the answer cannot be relied on; ``vulnerable`` has a line for each hole."""

    unchecked: list[str]
    vulnerable: list[str]


def judge(report: str, asked: Sequence[Pin]) -> Findings:
    """What pip-audit's JSON says of these versions, which it was asked about together with the probe."""
    try:
        answers = json.loads(report)["dependencies"]
    except ValueError:
        return Findings(["pip-audit gave no report: can the advisory database be reached?"], [])
    skipped = {each["name"]: each["skip_reason"] for each in answers if "skip_reason" in each}
    told = {Pin(each["name"], each["version"]): each["vulns"] for each in answers if "version" in each}
    silent = [f"{pin.name} {pin.version}" for pin in asked if pin not in told and pin.name not in skipped]
    unchecked = []
    if skipped:
        why = next(iter(skipped.values()))
        unchecked.append(f"{len(skipped)} packages were skipped, {_some([*skipped])}. Of the first: {why}")
    if silent:
        unchecked.append(f"{len(silent)} versions were not looked up: {_some(silent)}")
    if not told.get(PROBE):
        unchecked.append(
            f"{PROBE.name} {PROBE.version} is known to be vulnerable, and the answer does not say so: "
            "whoever was asked has no advisories."
        )
    vulnerable = [
        f"{pin.name} {pin.version}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version'}"
        for pin in asked
        for hole in told.get(pin, [])
    ]
    return Findings(unchecked, vulnerable)


def questions(asked: Iterable[Pin]) -> Iterator[list[Pin]]:
    """The versions in groups in which no package is twice: pip-audit takes no others."""
    left = list(asked)
    while left:
        group = {pin.name: pin for pin in left}
        yield [*group.values()]
        left = [pin for pin in left if group[pin.name] != pin]


def ask(asked: Sequence[Pin], options: Sequence[str]) -> str:
    """Pip-audit's report on these versions and the probe; empty if it gave none."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        # Without their marks: it leaves out what is for another platform.
        file.write("".join(f"{pin.name}=={pin.version}\n" for pin in (*asked, PROBE)))
        file.flush()
        command = [
            sys.executable,
            "-m",
            "pip_audit",
            "--no-deps",
            "--disable-pip",
            "--requirement",
            file.name,
        ]
        command += ["--format", "json", "--progress-spinner", "off", "--timeout", "20", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        sys.stderr.write(f"{done.stderr.strip().rpartition(chr(10))[2]}\n")
    return done.stdout


def _some(lines: Sequence[str]) -> str:
    more = len(lines) - MOST_NAMED
    return ", ".join(lines[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def main(arguments: Sequence[str]) -> int:
    """Print what was found in these locks; the exit code tells the kind."""
    options = [each for each in arguments if each.startswith("--")]
    asked = pins(Path(each) for each in arguments if each not in options)
    found = [judge(ask(group, options), group) for group in questions(asked)]
    vulnerable = [line for each in found for line in each.vulnerable]
    unchecked = [line for each in found for line in each.unchecked]
    for line in vulnerable:
        sys.stderr.write(f"VULNERABLE {line}\n")
    for line in dict.fromkeys(unchecked):
        sys.stderr.write(f"COULD NOT CHECK {line}\n")
    if not unchecked and not vulnerable:
        sys.stdout.write(f"{len(asked)} versions were looked up, and none has a known vulnerability.\n")
    return 1 if vulnerable else 2 if unchecked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
