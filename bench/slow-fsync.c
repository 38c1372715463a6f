/*
 * Makes fsync and fdatasync take longer, as on a network file system or a slow disk: preload it with
 * LD_PRELOAD and set BENCH_FSYNC_DELAY_US. Built by bench/slow-fsync.ts.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void delay(void) {
  const char *text = getenv("BENCH_FSYNC_DELAY_US");
  long microseconds = text == NULL ? 0 : strtol(text, NULL, 10);
  struct timespec left = {microseconds / 1000000, (microseconds % 1000000) * 1000};
  while (nanosleep(&left, &left) != 0) {
  }
}

typedef int (*sync_function)(int);

int fsync(int fd) {
  static sync_function real = NULL;
  if (real == NULL) real = (sync_function)dlsym(RTLD_NEXT, "fsync");
  delay();
  return real(fd);
}

int fdatasync(int fd) {
  static sync_function real = NULL;
  if (real == NULL) real = (sync_function)dlsym(RTLD_NEXT, "fdatasync");
  delay();
  return real(fd);
}
