"""Runs in the guest: runs each command that appears in the folder it shares with the host.

The host writes `N.json`; the agent answers with `N.pid` when the command runs, and with `N.out`, `N.err` and then `N.code` when it has ended.
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time

folder = pathlib.Path(sys.argv[1])


def answer(name: str, text: str) -> None:
    part = folder / f"{name}.part"
    part.write_text(text)
    part.rename(folder / name)


def run(number: int, order: dict) -> None:
    with open(folder / f"{number}.out", "wb") as out, open(folder / f"{number}.err", "wb") as err:
        process = subprocess.Popen(
            ["/bin/bash", "-c", order["command"]],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd="/tmp",
            start_new_session=True,
            env={**os.environ, **order["environment"]},
        )
        answer(f"{number}.pid", str(process.pid))
        code = process.wait()
    answer(f"{number}.code", str(code))


def main() -> None:
    number = 0
    answer("ready", os.uname().release)
    while not (folder / "stop").exists():
        file = folder / f"{number}.json"
        if not file.exists():
            time.sleep(0.005)
            continue
        threading.Thread(target=run, args=(number, json.loads(file.read_text())), daemon=True).start()
        number += 1


main()
