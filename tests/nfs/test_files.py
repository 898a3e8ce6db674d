"""Ordinary programs on ordinary files: what they leave on the mount is what they leave in a local folder."""

import pathlib
import signal

import pytest

from guest import Guest
from mounts import Mount, example

HERE = pathlib.Path(__file__).parent

#: Everything about a tree but inode numbers and the times of what was changed just now.
TREE = r"""find . -mindepth 1 \( -type d -printf '%y %m %u %p\n' -o -printf '%y %m %u %s %p %l\n' \) | LC_ALL=C sort
find . -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 -r sha256sum"""

CSV = "seq 1 200 | awk 'BEGIN { print \"id,name,age\" } { print $1 \",user\" $1 \",\" $1 % 60 }' > data.csv"

IDIOMS = {
    "append": "for n in 1 2 3; do echo $n,new,33 >> data.csv; done; tail -n 4 data.csv",
    "append by one shell": "{ echo 1,a,1; echo 2,b,2; } >> data.csv; echo 3,c,3 | tee -a data.csv",
    "replace": "cat data.csv > new; head -n 50 new > data.csv; wc -l data.csv",
    "empty": ": > data.csv; wc -c data.csv; echo x > data.csv; truncate -s 0 data.csv; truncate -s 10 data.csv",
    "sed -i": "sed -i 's/user5,/USER5,/' data.csv; sed -i.bak 2d data.csv; ls",
    "perl -i": "perl -pi -e 's/user9,/U9,/' data.csv; ls -a",
    "vim": "vim -u NONE -N -es -c 'set swapfile writebackup' -c '%s/user7,/USER7,/' -c wq data.csv </dev/null; ls -a",
    "vim, copy": "vim -u NONE -N -es -c 'set backup backupcopy=yes' -c '%s/user7,/U7,/' -c wq data.csv </dev/null; ls -a",
    "cp": "cp data.csv a; cp -p a b; cp --remove-destination a data.csv; cp -r . /tmp/copy-$$; cp -r /tmp/copy-$$ back",
    "mv": "mv data.csv a; mv a b; cp b c; mv c b; mkdir d; mv b d/; mv d e; ls e",
    "mv from elsewhere": "head -n 20 data.csv > /tmp/from-$$; mv /tmp/from-$$ data.csv; wc -l data.csv",
    "rm": "touch a b c; rm a; rm -f none; rm none; rm -r b c; ls; rm .; rmdir data.csv",
    "folders": "mkdir -p a/b/c; touch a/b/c/f; mkdir a; rmdir a; rm -r a; mkdir 'a name' ünï; ls",
    "links": "ln -s data.csv l; readlink l; wc -l < l; ln -s ../none dangling; cat dangling; ln -sf x l; mv dangling m",
    "modes": "chmod 600 data.csv; stat -c %a data.csv; chmod u+x,g+w data.csv; umask 077; touch private; mkdir hidden",
    "times": "touch -d '2001-02-03 04:05:06.789 UTC' data.csv; stat -c %.9Y data.csv; cp -p data.csv b; stat -c %.9Y b",
    "dd in place": "printf XYZ | dd of=data.csv bs=1 seek=500 conv=notrunc status=none; md5sum data.csv",
    "dd append": "printf '1,x,1\\n' | dd of=data.csv oflag=append conv=notrunc,fsync status=none; tail -n 1 data.csv",
    "sparse": "truncate -s 3G s; echo end >> s; tail -c 4 s; dd if=s bs=1M skip=2000 count=1 status=none | md5sum; rm s",
    "holes": "for n in 9 3 7 1; do printf $n | dd of=h bs=4097 seek=$n conv=notrunc status=none; done; wc -c h",
    "rename over an open file": "exec 5<data.csv; echo new > z; mv z data.csv; head -n 1 <&5; exec 5<&-; ls -a",
    "remove an open file": "exec 5<data.csv; rm data.csv; head -n 1 <&5; exec 5<&-; sleep 0.2; ls -a",
    "exclusive": "set -C; echo a > x; echo b > x; cat x; mkdir lock && mkdir lock; echo done",
    "tar": "mkdir t; for n in $(seq 50); do echo $n > t/$n; done; tar cf t.tar t; mkdir u; tar xpf t.tar -C u; diff -r t u/t; rm t.tar",
    "names": "touch -- '-a' 'b c' $'d\\ne' 'f\"g' '*' 'ä'; ls | wc -l; touch $(printf 'x%.0s' $(seq 255)); touch $(printf 'x%.0s' $(seq 256)); rm -- -a",
    "no hard links or pipes": "ln data.csv hard 2>/dev/null || echo no; mkfifo p 2>/dev/null || echo no; rm -f hard p; echo end",
    "search": "grep -c user data.csv; grep -rl user7 . ; wc -l data.csv; sort -t, -k3 -n data.csv | head -n 3; cut -d, -f2 data.csv | uniq | wc -l",
}

#: What a file system without hard links says otherwise.
DIFFERENT = {"no hard links or pipes"}


def outcome(guest: Guest, folder: str, script: str) -> tuple[int, str, str]:
    """Exit code, output and the tree that a script leaves in an empty folder."""
    result = guest.run(f"mkdir -p {folder}; cd {folder}; {CSV}\n{script}", check=False)
    guest.drop_caches()
    tree = guest.run(f"cd {folder}; {TREE}; rm -rf {folder}/* {folder}/.[!.]*").stdout
    # Messages name files by path, and processes have numbers.
    return result.code, result.stdout, result.stderr.replace(folder, "FOLDER").split("line")[0] + tree


@pytest.fixture(scope="module")
def files(guest: Guest):
    mounted = Mount(guest)
    yield mounted
    assert "all calls answered" in mounted.end()


@pytest.mark.parametrize("idiom", IDIOMS)
def test_idiom(guest: Guest, files: Mount, idiom: str) -> None:
    here = outcome(guest, f"{files.path}/work", IDIOMS[idiom])
    local = outcome(guest, "/mnt/local/work", IDIOMS[idiom])
    if idiom in DIFFERENT:
        assert here[:2] == (0, "no\nno\nend\n")
    else:
        assert here == local


def test_large_copy(mount: Mount) -> None:
    mount.guest.run("head -c 20971520 /dev/urandom > /tmp/large")
    mount.run("cp /tmp/large a; cat a > b; cp b c; mv c d; cat /tmp/large >> d")
    mount.guest.drop_caches()
    mount.run("cmp a /tmp/large; cmp b /tmp/large; cat /tmp/large /tmp/large | cmp - d; rm /tmp/large")


def test_without_the_page_cache(mount: Mount) -> None:
    mount.guest.run("head -c 1048576 /dev/urandom > /tmp/random")
    mount.run("dd if=/tmp/random of=a bs=64k oflag=direct status=none; dd if=a bs=64k iflag=direct status=none | cmp - /tmp/random")
    mount.run("dd if=/tmp/random of=b bs=64k oflag=sync status=none; cmp b /tmp/random")


def test_thousands_of_names(mount: Mount) -> None:
    mount.run("mkdir many; cd many; seq -f 'name-%05g' 2500 | xargs touch")
    for options in ["", "nordirplus"]:
        mount.remount(options)
        assert mount.run("ls many | wc -l; ls -l many | tail -n +2 | wc -l; ls many | sort -u | wc -l").stdout.split() == ["2500"] * 3
    mount.run("cd many; rm name-*[02468]; ls | wc -l; rm -r ../many")
    assert mount.run("ls -a").stdout.split() == [".", ".."]


@pytest.mark.parametrize(
    "mount", ["", "sync", "noac", "lookupcache=none", "write=wait", "rsize=8192,wsize=4096", "nconnect=4"], indirect=True
)
def test_random_changes(mount: Mount) -> None:
    for seed in range(3):
        mount.run(f"python3 {mount.guest.give(HERE / 'exerciser.py')} file {seed} 150", timeout=200)


def test_what_one_client_closed_another_opens(mount: Mount) -> None:
    """A second mount shares nothing with the first but the server."""
    second = f"{mount.path}-second"
    mount.guest.mount(second, mount.port, "nosharecache,lookupcache=none")
    for number in range(20):
        mount.run(f"echo {number} >> log; cp log {number}.csv")
        result = mount.guest.run(f"tail -n 1 {second}/log; wc -l < {second}/{number}.csv; rm {second}/{number}.csv")
        assert result.stdout.split() == [str(number), str(number + 1)]
    assert mount.run("ls").stdout.split() == ["log"]
    mount.guest.unmount(second)


def test_users(mount: Mount) -> None:
    """Files belong to whom makes them, and modes keep others out."""
    alice, bob = (f"setpriv --reuid {user} --regid {user} --clear-groups" for user in (1001, 1002))
    mount.run(f"{alice} bash -c 'umask 077; echo secret > a; echo open > b; chmod 644 b; mkdir d; touch d/f'")
    assert mount.run("stat -c '%u %g %a' a b d").stdout.splitlines() == ["1001 1001 600", "1001 1001 644", "1001 1001 700"]
    assert mount.run(f"{alice} cat a; {bob} cat b").stdout == "secret\nopen\n"
    for command in ["cat a", "bash -c 'echo x >> b'", "ls d", "chmod 777 a", "touch d/g", "rm d/f", "chown 1002 b"]:
        result = mount.run(f"{bob} {command}", check=False)
        assert result.code != 0 and "ermi" in result.stderr, (command, result)


def test_both_families(guest: Guest) -> None:
    """One socket, IPv6 and IPv4."""
    server = guest.start(f"exec {example('memory')} [::]:38888")
    server.wait_for("listening on")
    options = "vers=3,nolock,port=38888,mountport=38888"
    for host, protocol in [("[::1]", "tcp6"), ("127.0.0.1", "tcp")]:
        guest.run(f"mkdir -p /mnt/both; mount.nfs '{host}:/' /mnt/both -o {options},proto={protocol},mountproto={protocol}")
        guest.run(f"echo {protocol} > /mnt/both/{protocol}; ls /mnt/both; umount /mnt/both")
    server.kill(signal.SIGTERM).check()


def test_short_memory(small_guest: Guest) -> None:
    """The client writes back while the writer goes on, and reads again what it had to forget."""
    mount = Mount(small_guest)
    mount.run("head -c 41943040 /dev/zero | tr '\\0' a > big; md5sum < big > sum; md5sum < big | cmp - sum", timeout=200)
    counted = mount.end()
    assert "NFS COMMIT" in counted
