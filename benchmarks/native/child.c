/* The children of the benchmarks: each does one thing as fast as the kernel allows.

   child flood BYTES    write that many bytes of the pattern, 64 KiB a write; 0: for ever
   child lines COUNT    write COUNT lines of 16 bytes, one write(2) each
   child sink BYTES     read that many bytes, then say "done"
   child pause          do nothing, for five minutes at most */

#include "pattern.h"

#include <stdlib.h>
#include <unistd.h>

static void write_all(const char *bytes, size_t size)
{
    while (size) {
        ssize_t written = write(1, bytes, size);
        if (written <= 0)
            exit(1);
        bytes += written, size -= (size_t)written;
    }
}

static void flood(uint64_t bytes)
{
    static char block[BLOCK];
    fill_block(block);
    for (uint64_t number = 0, done = 0; bytes == 0 || done < bytes; number++) {
        size_t part = bytes == 0 || bytes - done > BLOCK ? BLOCK : (size_t)(bytes - done);
        number_block(block, number);
        write_all(block, part);
        done += part;
    }
}

static void lines(uint64_t count)
{
    char line[17] = "line 0000000000\n";
    for (uint64_t number = 0; number < count; number++) {
        uint64_t rest = number;
        for (int i = 14; i > 4; i--, rest /= 10)
            line[i] = (char)('0' + rest % 10);
        write_all(line, 16);
    }
}

static void sink(uint64_t bytes)
{
    static char block[2 * BLOCK];
    uint64_t done = 0;
    while (done < bytes) {
        ssize_t size = read(0, block, sizeof block);
        if (size <= 0)
            exit(1);
        done += (uint64_t)size;
    }
    write_all("done", 4);
    exit(done != bytes);
}

int main(int argc, char **argv)
{
    uint64_t number = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (argc == 3 && strcmp(argv[1], "flood") == 0)
        flood(number);
    else if (argc == 3 && strcmp(argv[1], "lines") == 0)
        lines(number);
    else if (argc == 3 && strcmp(argv[1], "sink") == 0)
        sink(number);
    else if (argc == 2 && strcmp(argv[1], "pause") == 0)
        alarm(300), pause();
    else
        return 2;
    return 0;
}
