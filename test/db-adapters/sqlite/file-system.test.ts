import { describe, expect, it } from "vitest";
import { WalRefusedError } from "../../../db-adapters/sqlite/errors.ts";
import { fileSystemOf, findFileSystem, kindOf } from "../../../db-adapters/sqlite/file-system.ts";
import { chooseJournaling } from "../../../db-adapters/sqlite/journal-mode.ts";

const MOUNTS = `22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
40 28 0:35 / /data rw,relatime shared:20 - nfs4 127.0.0.1:/ rw,vers=4.1,rsize=1048576
41 40 0:36 / /data/my\\040disk rw - xfs /dev/sdb rw
42 28 0:37 / /mnt/over rw - ext4 /dev/sdc rw
43 42 0:38 / /mnt/over rw master:3 propagate_from:2 - fuse.s3fs s3fs rw
`;

describe("the file system behind a path", () => {
  it.each([
    { path: "/var/lib/statehouse", type: "ext4", mountPoint: "/", kind: "local" },
    { path: "/data", type: "nfs4", mountPoint: "/data", kind: "network" },
    { path: "/data/deep/er", type: "nfs4", mountPoint: "/data", kind: "network" },
    { path: "/database", type: "ext4", mountPoint: "/", kind: "local" },
    { path: "/data/my disk/x", type: "xfs", mountPoint: "/data/my disk", kind: "local" },
    { path: "/mnt/over/x", type: "fuse.s3fs", mountPoint: "/mnt/over", kind: "network" },
    { path: "/proc/1", type: "proc", mountPoint: "/proc", kind: "unknown" },
  ])("is $type at $path", ({ path, ...expected }) => {
    expect(findFileSystem(MOUNTS, path)).toEqual(expected);
  });

  it("is none where no mount is listed", () => {
    expect(findFileSystem("", "/data")).toBeNull();
  });

  it("is found on this machine", () => {
    expect(fileSystemOf("/").type).toMatch(/^\w+$/);
  });

  it.each([
    ...["nfs", "nfs4", "efs", "smb3", "cifs", "fuse", "fuse.sshfs", "9p"].map((type) => [type, "network"]),
    ...["ext4", "xfs", "btrfs", "tmpfs", "overlay", "apfs", "zfs"].map((type) => [type, "local"]),
    ["fusectl", "unknown"],
    ["unheard", "unknown"],
  ])("%s counts as %s", (type, kind) => {
    expect(kindOf(type ?? "")).toBe(kind);
  });
});

describe("the journal mode", () => {
  const on = (type: string) => ({ type, mountPoint: "/data", kind: kindOf(type) });

  it("is WAL on a local disk, a rollback journal with one lock for good elsewhere", () => {
    const local = { journalMode: "wal", synchronous: "full", lockingMode: "normal" };
    expect(chooseJournaling("auto", on("ext4"))).toMatchObject(local);
    const network = { journalMode: "truncate", synchronous: "full", lockingMode: "exclusive" };
    expect(chooseJournaling("auto", on("nfs4"))).toMatchObject(network);
    expect(chooseJournaling("auto", on("unheard"))).toMatchObject(network);
    expect(chooseJournaling("auto", on("nfs4")).why).toBe("/data is nfs4 (network)");
  });

  it("can be asked for, but never WAL on a network", () => {
    expect(chooseJournaling("persist", on("nfs4"), "extra")).toMatchObject({
      ...{ journalMode: "persist", synchronous: "extra", lockingMode: "exclusive" },
    });
    expect(chooseJournaling("truncate", on("xfs")).journalMode).toBe("truncate");
    for (const type of ["nfs4", "fuse.sshfs", "unheard"])
      expect(() => chooseJournaling("wal", on(type))).toThrow(WalRefusedError);
  });
});
