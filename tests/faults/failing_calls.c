// For LD_PRELOAD: a disk that is full after so many bytes, files that cannot be read any further, a clock that jumps.
// RETORT_FAULT_WRITE=N   write and pwrite to regular files fail with ENOSPC after N bytes in all
// RETORT_FAULT_READ=N    read from regular files named *.wav or *.flac fails with EIO after N bytes in all
// RETORT_FAULT_CLOCK=S   the wall clock jumps by up to S seconds to either side whenever it is read
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(result, name, ...) \
  static result (*real)(__VA_ARGS__); \
  if (real == NULL) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static long left_of(const char* variable, long* left) {
  if (*left == -2) {
    const char* text = getenv(variable);
    *left = text ? atol(text) : -1;
  }
  return *left;
}

static int is_regular(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

static int is_audio(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 5) return 0;
  path[length] = '\0';
  return strcmp(path + length - 4, ".wav") == 0 || strcmp(path + length - 5, ".flac") == 0;
}

static long writable = -2, readable = -2;

// How much of `size` may still go; -1 where nothing may.
static ssize_t allowed(long* left, size_t size) {
  if (*left == 0) return -1;
  const size_t part = size < (size_t)*left ? size : (size_t)*left;
  *left -= (long)part;
  return (ssize_t)part;
}

ssize_t write(int fd, const void* data, size_t size) {
  REAL(ssize_t, "write", int, const void*, size_t);
  if (left_of("RETORT_FAULT_WRITE", &writable) < 0 || !is_regular(fd)) return real(fd, data, size);
  const ssize_t part = size > 0 ? allowed(&writable, size) : 0;
  if (part >= 0) return real(fd, data, (size_t)part);
  errno = ENOSPC;
  return -1;
}

static ssize_t write_at(int fd, const void* data, size_t size, off64_t offset) {
  REAL(ssize_t, "pwrite64", int, const void*, size_t, off64_t);
  if (left_of("RETORT_FAULT_WRITE", &writable) < 0 || !is_regular(fd)) return real(fd, data, size, offset);
  const ssize_t part = size > 0 ? allowed(&writable, size) : 0;
  if (part >= 0) return real(fd, data, (size_t)part, offset);
  errno = ENOSPC;
  return -1;
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t offset) { return write_at(fd, data, size, offset); }
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t offset) { return write_at(fd, data, size, offset); }

ssize_t read(int fd, void* data, size_t size) {
  REAL(ssize_t, "read", int, void*, size_t);
  if (left_of("RETORT_FAULT_READ", &readable) < 0 || !is_regular(fd) || !is_audio(fd)) return real(fd, data, size);
  const ssize_t part = allowed(&readable, size);
  if (part >= 0) return real(fd, data, (size_t)part);
  errno = EIO;
  return -1;
}

// Seconds that the wall clock is wrong by, another value at each call.
static long jump(void) {
  static long most = -2;
  static unsigned state = 1;
  if (left_of("RETORT_FAULT_CLOCK", &most) <= 0) return 0;
  state = state * 1664525u + 1013904223u;
  return (long)(state >> 8) % (2 * most) - most;
}

int clock_gettime(clockid_t clock, struct timespec* now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec*);
  const int result = real(clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += jump();
  return result;
}

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  REAL(int, "gettimeofday", struct timeval*, void*);
  const int result = real(now, zone);
  if (result == 0) now->tv_sec += jump();
  return result;
}

time_t time(time_t* where) {
  REAL(time_t, "time", time_t*);
  const time_t now = real(NULL) + jump();
  if (where != NULL) *where = now;
  return now;
}
