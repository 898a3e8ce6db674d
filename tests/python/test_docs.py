"""The documentation leads nowhere wrong: links have targets, and what it shows of SQL and shell runs."""

import datetime
import gzip
import os
import pathlib
import re
import subprocess
import time

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md"), *PROJECT.glob("python/*.md")])

# What the SQL on a page takes for granted.
FILES = {
    "data.csv": "id,day\n1,2026-01-01\n2,2026-01-02\n",
    "data-1.csv": "id;day\n1;2026-01-01\nNA;2026-01-02\n",
    "more.jsonl": '{"id": 3, "day": "2026-01-03"}\n',
    "inbox/one.csv": "id,day\n4,2026-01-04\n",
}


def names(pages):
    return [str(page.relative_to(PROJECT)) for page in pages]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


CONSOLE = [page for page in PAGES if blocks(page, "console")]


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_have_targets(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(found), f"{page.name}: {target}"


def test_the_readme_names_every_page():
    text = (PROJECT / "README.md").read_text()
    missing = [page.name for page in PROJECT.glob("docs/*.md") if f"docs/{page.name}" not in text]
    assert not missing


def write_files(folder):
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def spread_commits(table):
    """Moves the commits to times that the page speaks of, whatever the clock says."""
    commits = sorted((table / "_delta_log").glob("*.json"))
    noon = datetime.datetime(2026, 11, 22, 10, tzinfo=datetime.timezone.utc).timestamp()
    first = min(noon, time.time() - 7200) - 60
    last = max(noon, time.time()) + 60
    for at, commit in enumerate(commits):
        moment = first + (last - first) * at / (len(commits) - 1)
        os.utime(commit, (moment, moment))


def test_time_travel_runs(lake):
    lake.sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    lake.sql(*[f"INSERT INTO t VALUES ({row})" for row in range(10)])
    spread_commits(lake.folder / "t")
    for sql in blocks(PROJECT / "docs/time-travel.md", "sql"):
        lake.sql(sql)


def test_import_runs(lake, tmp_path, monkeypatch):
    write_files(tmp_path)
    with gzip.open(tmp_path / "data-1.csv.gz", "wt") as packed:
        packed.write(FILES["data-1.csv"])
    monkeypatch.chdir(tmp_path)
    for sql in blocks(PROJECT / "docs/import.md", "sql"):
        # The page shows two ways to make one table.
        lake.sql(sql.replace("CREATE TABLE t ", "CREATE OR REPLACE TABLE t "))
    assert lake.sql("SELECT count(*) AS rows FROM t") == [{"rows": "4"}]


def commands(block):
    """The commands of a console block, each with what it prints."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return [("\n".join(command), "\n".join(output)) for command, output in found]


@pytest.mark.parametrize("page", CONSOLE, ids=names(CONSOLE))
def test_sessions_show_what_comes_out(page, tmp_path):
    write_files(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/posixlake").symlink_to(pathlib.Path(os.environ["POSIXLAKE_BIN"]).resolve())
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    for block in blocks(page, "console"):
        for command, output in commands(block):
            answer = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert answer.stdout.strip() == output.strip(), command
