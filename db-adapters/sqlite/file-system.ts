/**
 * What a directory lies on. SQLite's WAL needs shared memory and strict locks, which network file systems
 * don't give; so the journal mode follows the file system's kind.
 */
import { readFileSync, realpathSync, statfsSync } from "node:fs";

export interface FileSystem {
  /** The kernel's word: `ext4`, `nfs4`, `fuse.sshfs`…; `unknown` when it gives none. */
  readonly type: string;
  readonly mountPoint: string;
  /** `unknown` is treated as a network. */
  readonly kind: "local" | "network" | "unknown";
}

const LOCAL_TYPES = new Set([
  ...["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs", "apfs", "hfs"],
  ...["tmpfs", "ramfs", "overlay", "aufs", "rootfs", "ubifs", "ntfs3", "vfat", "exfat"],
]);
const NETWORK_TYPES = new Set([
  ...["nfs", "nfs4", "efs", "smb", "smb2", "smb3", "cifs", "smbfs", "9p", "virtiofs", "afs", "ceph"],
  ...["glusterfs", "lustre", "gpfs", "ocfs2", "gfs2", "vboxsf", "prl_fs", "fakeowner", "grpcfuse"],
]);

/** `f_type` of statfs(2), for where there is no mountinfo: Linux magic numbers, and macOS's small ones. */
const STATFS_TYPES: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  linux: {
    61267: "ext4",
    1481003842: "xfs",
    2435016766: "btrfs",
    801189825: "zfs",
    16914836: "tmpfs",
    2035054128: "overlay",
    26985: "nfs",
    4283649346: "cifs",
    4266872130: "smb2",
    1702057286: "fuse",
    16914839: "9p",
  },
  darwin: { 26: "apfs", 17: "hfs", 2: "nfs" },
};

export function kindOf(type: string): FileSystem["kind"] {
  if (LOCAL_TYPES.has(type)) return "local";
  if (NETWORK_TYPES.has(type) || type === "fuse" || type.startsWith("fuse.")) return "network";
  return "unknown";
}

/** Spaces and the like are octal escapes in mountinfo. */
function unescapePath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Mounts in the order of the file: `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/sda1 rw`. */
export function parseMountInfo(text: string): { mountPoint: string; type: string }[] {
  const mounts: { mountPoint: string; type: string }[] = [];
  for (const line of text.split("\n")) {
    const [before = "", after = ""] = line.split(" - ", 2);
    const mountPoint = before.split(" ")[4];
    const type = after.split(" ")[0];
    if (mountPoint !== undefined && type !== undefined && type !== "")
      mounts.push({ mountPoint: unescapePath(mountPoint), type });
  }
  return mounts;
}

function holds(mountPoint: string, path: string): boolean {
  return mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
}

/** The file system that `path` (absolute, without links) is on; the last of equal mounts hides the others. */
export function findFileSystem(mountInfo: string, path: string): FileSystem | null {
  let best: { mountPoint: string; type: string } | null = null;
  for (const mount of parseMountInfo(mountInfo))
    if (holds(mount.mountPoint, path) && mount.mountPoint.length >= (best?.mountPoint.length ?? 0))
      best = mount;
  return best === null ? null : { ...best, kind: kindOf(best.type) };
}

/** Looks at the machine: mountinfo first, statfs where there is none. `dir` must exist. */
export function fileSystemOf(dir: string): FileSystem {
  const path = realpathSync(dir);
  try {
    const found = findFileSystem(readFileSync("/proc/self/mountinfo", "utf8"), path);
    if (found !== null) return found;
  } catch {
    // Not Linux, or /proc isn't there: statfs is the next best.
  }
  const type = STATFS_TYPES[process.platform]?.[statfsSync(path).type] ?? "unknown";
  return { type, mountPoint: path, kind: kindOf(type) };
}
