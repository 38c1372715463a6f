/*
 * LD_PRELOAD: a disk that is slow, full or broken, for the files below DISK_SHIM_ROOT alone.
 *  DISK_SHIM_SYNC_US   microseconds that each fsync and fdatasync takes longer
 *  DISK_SHIM_FAIL      a file; while it is there, syncs fail with EIO and writes with ENOSPC.
 *                            Its first byte narrows that: 's' syncs alone, 'w' writes alone, 'h' writes half
 *                            of what they are given before the disk is full.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_ours(int fd) {
  const char *root = getenv("DISK_SHIM_ROOT");
  char link[64], path[4096];
  if (root == NULL) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strncmp(path, root, strlen(root)) == 0;
}

/* 0: the disk is well; else what is wrong with it. */
static char trouble(int fd) {
  const char *control = getenv("DISK_SHIM_FAIL");
  if (control == NULL || access(control, F_OK) != 0 || !is_ours(fd)) return 0;
  char mode = 'a';
  int file = open(control, O_RDONLY);
  if (file >= 0) {
    if (read(file, &mode, 1) != 1) mode = 'a';
    close(file);
  }
  return mode;
}

static int sync_with(const char *name, int fd) {
  int (*next)(int) = dlsym(RTLD_NEXT, name);
  const char *delay = getenv("DISK_SHIM_SYNC_US");
  char mode = trouble(fd);
  if (mode == 'a' || mode == 's') {
    errno = EIO;
    return -1;
  }
  if (delay != NULL && is_ours(fd)) usleep((useconds_t)atoi(delay));
  return next(fd);
}

int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }

/* How much may be written: all, half (the rest finds the disk full) or nothing. */
static ssize_t allowed(int fd, size_t count) {
  char mode = trouble(fd);
  if (mode == 'h' && count > 1) return (ssize_t)(count / 2);
  if (mode == 'a' || mode == 'w' || mode == 'h') {
    errno = ENOSPC;
    return -1;
  }
  return (ssize_t)count;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  static ssize_t (*next)(int, const void *, size_t);
  if (next == NULL) next = dlsym(RTLD_NEXT, "write");
  ssize_t some = allowed(fd, count);
  return some < 0 ? -1 : next(fd, bytes, (size_t)some);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
  static ssize_t (*next)(int, const void *, size_t, off_t);
  if (next == NULL) next = dlsym(RTLD_NEXT, "pwrite");
  ssize_t some = allowed(fd, count);
  return some < 0 ? -1 : next(fd, bytes, (size_t)some, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
  static ssize_t (*next)(int, const void *, size_t, off64_t);
  if (next == NULL) next = dlsym(RTLD_NEXT, "pwrite64");
  ssize_t some = allowed(fd, count);
  return some < 0 ? -1 : next(fd, bytes, (size_t)some, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  static ssize_t (*next)(int, const struct iovec *, int);
  if (next == NULL) next = dlsym(RTLD_NEXT, "writev");
  return allowed(fd, 1) < 0 ? -1 : next(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
  static ssize_t (*next)(int, const struct iovec *, int, off_t);
  if (next == NULL) next = dlsym(RTLD_NEXT, "pwritev");
  return allowed(fd, 1) < 0 ? -1 : next(fd, parts, count, at);
}
