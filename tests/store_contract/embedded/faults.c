/* A disk that misbehaves on demand, for the tests of the embedded store: preloaded into a child process, it makes
 * writes, flushes or opening fail as long as a file of that name lies in the folder $MCPGATE_TEST_FAULTS.
 *   enospc  holds a number: so many writes succeed, the following fail with ENOSPC
 *   kill    holds a number: so many writes succeed, the following one kills the process
 *   eio     every flush fails with EIO
 *   erofs   opening anything for writing fails with EROFS
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int path_of(const char *fault, char *path, size_t size) {
    const char *folder = getenv("MCPGATE_TEST_FAULTS");
    return folder && snprintf(path, size, "%s/%s", folder, fault) < (int)size;
}

static int is_on(const char *fault) {
    char path[4096];
    return path_of(fault, path, sizeof path) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
}

/* Counts a write against the number in a fault's file; whether that had come to nothing. */
static int is_spent(const char *fault) {
    char path[4096], text[32] = {0};
    if (!path_of(fault, path, sizeof path)) return 0;
    int budget = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR);
    if (budget < 0) return 0;
    long left = syscall(SYS_pread64, budget, text, sizeof text - 1, 0) > 0 ? atol(text) : 0;
    if (left > 0) {
        int length = snprintf(text, sizeof text, "%-12ld", left - 1);
        syscall(SYS_pwrite64, budget, text, length, 0);
    }
    syscall(SYS_close, budget);
    return left <= 0;
}

static int disk_is_full(int fd) {
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) return 0;
    if (is_spent("kill")) raise(SIGKILL);
    return is_spent("enospc");
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL(code) do { errno = code; return -1; } while (0)

ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    if (disk_is_full(fd)) FAIL(ENOSPC);
    return real(fd, from, n);
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t at) {
    REAL(pwrite);
    if (disk_is_full(fd)) FAIL(ENOSPC);
    return real(fd, from, n, at);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) {
    REAL(pwrite64);
    if (disk_is_full(fd)) FAIL(ENOSPC);
    return real(fd, from, n, at);
}
int fsync(int fd) {
    REAL(fsync);
    if (is_on("eio")) FAIL(EIO);
    return real(fd);
}
int fdatasync(int fd) {
    REAL(fdatasync);
    if (is_on("eio")) FAIL(EIO);
    return real(fd);
}
int open(const char *path, int flags, ...) {
    REAL(open);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && is_on("erofs")) FAIL(EROFS);
    return real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(open64);
    va_list rest;
    va_start(rest, flags);
    mode_t mode = va_arg(rest, mode_t);
    va_end(rest);
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && is_on("erofs")) FAIL(EROFS);
    return real(path, flags, mode);
}
