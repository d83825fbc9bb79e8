/* What `hookstream torture --shim` puts between its own server and the system (LD_PRELOAD, Linux).
 *
 * It writes every change to the files below one directory, with its bytes, and every sync to a journal, from which
 * the torture rebuilds what a disk may have kept at a power cut; and it turns the clock by as much as a shared file
 * says. It changes nothing of what the calls do.
 *
 *   TORTURE_ROOT     the directory, absolute, without links in it
 *   TORTURE_JOURNAL  the journal; it is appended to
 *   TORTURE_CLOCK    a file of 8 bytes: by how many nanoseconds the clock is turned
 *
 * A record is { kind, file, at, length } and `length` bytes; commands/torture/journal.rs reads it. It is written
 * after the call has been done and before that returns, so what a caller was told is in the journal. One that is
 * not whole, since the process was killed meanwhile, counts as not written. Calls by paths that are not absolute,
 * memory maps, and files whose name ends in `-shm` (which hold nothing that lasts) are left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OPENED = 1, CREATED, WRITTEN, TRUNCATED, SYNCED, UNLINKED, RENAMED, DIRECTORY };
enum { MOST = 65536 };

struct record { uint32_t kind, file; uint64_t at, length; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *root;
static size_t root_length;
static int journal = -1;
static uint64_t position;            /* bytes in the journal */
static uint32_t file_of[MOST];       /* by descriptor; 0 is none of ours */
static ino_t inode_of[MOST];         /* by file; 0 once its name is gone */
static uint32_t files;
static volatile const int64_t *turned;

static void fail(const char *what) {
    perror(what);
    abort();
}

/* Before main, and so before any thread. */
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TORTURE_CLOCK");
    if (path) {
        int clock = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        void *map = clock < 0 ? MAP_FAILED : mmap(NULL, sizeof *turned, PROT_READ, MAP_SHARED, clock, 0);
        if (map == MAP_FAILED) fail("torture-shim: TORTURE_CLOCK");
        turned = map;
    }
    root = getenv("TORTURE_ROOT");
    path = getenv("TORTURE_JOURNAL");
    if (!root || !path) return;
    root_length = strlen(root);
    journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0) fail("torture-shim: TORTURE_JOURNAL");
    position = (uint64_t)lseek(journal, 0, SEEK_END);
}

/* What stands behind the root in a path below it, and NULL for any other. */
static const char *below(const char *path) {
    if (journal < 0 || strncmp(path, root, root_length) != 0) return NULL;
    path += root_length;
    size_t length = strlen(path);
    if (length >= 4 && strcmp(path + length - 4, "-shm") == 0) return NULL;
    return *path == '/' ? path + 1 : *path == '\0' ? path : NULL;
}

/* To be called with the lock held. */
static void note(uint32_t kind, uint32_t file, uint64_t at, const void *bytes, size_t length) {
    struct record record = { kind, file, at, length };
    struct iovec parts[2] = { { &record, sizeof record }, { (void *)bytes, length } };
    size_t whole = sizeof record + length;
    if (syscall(SYS_writev, journal, parts, 2) != (long)whole) fail("torture-shim: the journal");
    position += whole;
}

static uint32_t file_at(int descriptor) {
    return descriptor >= 0 && descriptor < MOST ? __atomic_load_n(&file_of[descriptor], __ATOMIC_ACQUIRE) : 0;
}

static int opened(int directory, const char *path, int flags, mode_t mode) {
    const char *name = path[0] == '/' ? below(path) : NULL;
    if (!name) return (int)syscall(SYS_openat, directory, path, flags, mode);
    struct stat about;
    pthread_mutex_lock(&lock);
    int existed = lstat(path, &about) == 0;
    int descriptor = (int)syscall(SYS_openat, directory, path, flags, mode);
    if (descriptor >= 0 && fstat(descriptor, &about) == 0) {
        uint32_t file = 1;
        while (file <= files && inode_of[file] != about.st_ino) file++;
        if (file > files) {
            if (file >= MOST || descriptor >= MOST) fail("torture-shim: too many files");
            files = file;
            inode_of[file] = about.st_ino;
            note(existed ? OPENED : CREATED, file, 0, name, strlen(name));
        }
        if (existed && (flags & O_TRUNC)) note(TRUNCATED, file, 0, NULL, 0);
        __atomic_store_n(&file_of[descriptor], file, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&lock);
    return descriptor;
}

#define OPEN(name, directory, ...)                                   \
    int name(__VA_ARGS__, int flags, ...) {                          \
        va_list rest;                                                \
        va_start(rest, flags);                                       \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                \
        return opened(directory, path, flags, mode);                 \
    }
OPEN(open, AT_FDCWD, const char *path)
OPEN(open64, AT_FDCWD, const char *path)
OPEN(openat, directory, int directory, const char *path)
OPEN(openat64, directory, int directory, const char *path)

int close(int descriptor) {
    if (!file_at(descriptor)) return (int)syscall(SYS_close, descriptor);
    pthread_mutex_lock(&lock);
    __atomic_store_n(&file_of[descriptor], 0, __ATOMIC_RELEASE);
    int result = (int)syscall(SYS_close, descriptor);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t at) {
    uint32_t file = file_at(descriptor);
    if (!file) return syscall(SYS_pwrite64, descriptor, bytes, length, at);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, descriptor, bytes, length, at);
    if (done > 0) note(WRITTEN, file, (uint64_t)at, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t at) {
    return pwrite64(descriptor, bytes, length, at);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    uint32_t file = file_at(descriptor);
    if (!file) return syscall(SYS_write, descriptor, bytes, length);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_write, descriptor, bytes, length);
    /* Where it ended, also of a file that is appended to. */
    if (done > 0) note(WRITTEN, file, (uint64_t)(lseek(descriptor, 0, SEEK_CUR) - done), bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    if (!file_at(descriptor)) return syscall(SYS_writev, descriptor, parts, count);
    ssize_t all = 0;
    for (int part = 0; part < count; part++) {
        ssize_t done = write(descriptor, parts[part].iov_base, parts[part].iov_len);
        if (done < 0) return all ? all : done;
        all += done;
        if ((size_t)done < parts[part].iov_len) break;
    }
    return all;
}

int ftruncate64(int descriptor, off64_t length) {
    uint32_t file = file_at(descriptor);
    if (!file) return (int)syscall(SYS_ftruncate, descriptor, length);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, descriptor, length);
    if (result == 0) note(TRUNCATED, file, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int descriptor, off_t length) {
    return ftruncate64(descriptor, length);
}

/* Others may write meanwhile: it counts for what was written before it began. */
static int synced(int descriptor, long call) {
    uint32_t file = file_at(descriptor);
    if (!file) return (int)syscall(call, descriptor);
    pthread_mutex_lock(&lock);
    uint64_t before = position;
    pthread_mutex_unlock(&lock);
    int result = (int)syscall(call, descriptor);
    if (result == 0) {
        pthread_mutex_lock(&lock);
        note(SYNCED, file, before, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int fsync(int descriptor) {
    return synced(descriptor, SYS_fsync);
}

int fdatasync(int descriptor) {
    return synced(descriptor, SYS_fdatasync);
}

/* Another file may get the inode. */
static void forget(const struct stat *about) {
    for (uint32_t file = 1; file <= files; file++) {
        if (inode_of[file] == about->st_ino) inode_of[file] = 0;
    }
}

static int removed(int directory, const char *path, int flags) {
    const char *name = path[0] == '/' ? below(path) : NULL;
    if (!name) return (int)syscall(SYS_unlinkat, directory, path, flags);
    struct stat about;
    pthread_mutex_lock(&lock);
    int existed = lstat(path, &about) == 0;
    int result = (int)syscall(SYS_unlinkat, directory, path, flags);
    if (result == 0) {
        if (existed) forget(&about);
        note(UNLINKED, 0, 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int unlinkat(int directory, const char *path, int flags) {
    return removed(directory, path, flags);
}

int unlink(const char *path) {
    return removed(AT_FDCWD, path, 0);
}

int rmdir(const char *path) {
    return removed(AT_FDCWD, path, AT_REMOVEDIR);
}

int rename(const char *from, const char *to) {
    const char *old = below(from), *name = below(to);
    if (!old || !name) return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    char both[2 * PATH_MAX];
    struct stat about;
    pthread_mutex_lock(&lock);
    int existed = lstat(to, &about) == 0;
    int result = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    if (result == 0) {
        if (existed) forget(&about);
        note(RENAMED, 0, 0, both, (size_t)snprintf(both, sizeof both, "%s%c%s", old, 0, name));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int mkdir(const char *path, mode_t mode) {
    const char *name = below(path);
    if (!name) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0) note(DIRECTORY, 0, 0, name, strlen(name));
    pthread_mutex_unlock(&lock);
    return result;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, now);
    if (result == 0 && turned && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        int64_t nanoseconds = now->tv_nsec + *turned % 1000000000;
        now->tv_sec += *turned / 1000000000 + (nanoseconds >= 1000000000) - (nanoseconds < 0);
        now->tv_nsec = (nanoseconds + 1000000000) % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    return now ? *now = precise.tv_sec : precise.tv_sec;
}
