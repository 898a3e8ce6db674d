#!/bin/bash
# First process of the guest: mounts what programs expect, loads the NFSv3 client, runs the agent. Its folder on the host is at the same path here.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
for folder in /run /tmp /mnt; do mount -t tmpfs tmpfs $folder; done
mkdir -p /dev/shm /run/rpc_pipefs
mount -t tmpfs tmpfs /dev/shm
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts -o ptmxmode=666
argument() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p"; }
folder=$(argument guest_folder)
mkdir -p "$folder"
mount -t hostfs none "$folder" -o "$folder"
modules=$(argument guest_modules)/$(uname -r)/kernel
for module in lib/crc-ccitt net/ipv6/ipv6 net/sunrpc/sunrpc fs/nfs_common/grace fs/netfs/netfs fs/fscache/fscache fs/lockd/lockd fs/nfs_common/nfs_acl fs/nfs/nfs fs/nfs/nfsv3; do
    [ ! -e "$modules/$module.ko" ] || insmod "$modules/$module.ko"
done
ip link set lo up
hostname guest
/usr/bin/python3 "$folder/agent.py" "$folder"
umount -f -l -a -t nfs 2>/dev/null
umount "$folder"
halt -f
