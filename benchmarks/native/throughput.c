/* How many bytes a second: out of children, into them, and through them. */
#define _GNU_SOURCE
#include "base64.h"
#include "measure.h"
#include "pattern.h"
#include "server.h"
#include "workloads.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t expected_digest(uint64_t size)
{
    static char block[BLOCK];
    struct digest *digest = calloc(1, sizeof *digest);
    fill_block(block);
    for (uint64_t number = 0, done = 0; done < size; number++) {
        size_t part = size - done > BLOCK ? BLOCK : (size_t)(size - done);
        number_block(block, number);
        digest_add(digest, (unsigned char *)block, part);
        done += part;
    }
    uint64_t hash = digest_end(digest);
    free(digest);
    return hash;
}

static void check_digest(struct digest *digest, uint64_t size)
{
    if (digest->size != size || digest_end(digest) != expected_digest(size))
        die("the content is not what the child wrote");
    free(digest);
}

/* All children at once, each with its share; ends when every event is there and every byte is counted. Returns seconds. */
static double one_round(struct server *server, const struct arguments *arguments)
{
    uint64_t share = arguments->size / (uint64_t)arguments->children;
    long first = server->process_count, id;
    double began = now();
    for (long i = 0; i < arguments->children; i++) {
        long number = start(server, child("flood", share), arguments->tty ? TTY : PLAIN, &id);
        if (arguments->verify)
            server->processes[number].digest = calloc(1, sizeof(struct digest));
    }
    for (long number = first; number < first + arguments->children; number++)
        wait_finished(server, number);
    double seconds = now() - began;
    for (long number = first; number < first + arguments->children; number++) {
        if (server->processes[number].bytes != share)
            die("%llu bytes of %llu", (unsigned long long)server->processes[number].bytes, (unsigned long long)share);
        if (arguments->verify)
            check_digest(server->processes[number].digest, share);
    }
    return seconds;
}

void measure_output(const struct arguments *arguments)
{
    struct server server;
    struct samples rounds = {0};
    launch(&server, arguments->argv);
    warm_up(&server);
    double cpu = cpu_seconds(server.pid), first = 0, last = 0, total = 0;
    for (long round = 0; round < arguments->rounds; round++) {
        last = one_round(&server, arguments);
        add_sample(&rounds, last);
        total += last;
        if (round == 0) {
            first = last;
            metric("first_rss_mb", memory_mb(server.pid, "VmRSS"));
        }
    }
    double bytes = (double)(arguments->size / (uint64_t)arguments->children * (uint64_t)arguments->children);
    double all = bytes * (double)arguments->rounds;
    metric("mb_per_s", bytes / percentile(&rounds, 0.5) / 1e6);
    metric("cpu_s_per_gib", (cpu_seconds(server.pid) - cpu) / all * (1 << 30));
    metric("s_per_gb", total / all * 1e9);
    metric("first_s", first);
    metric("last_s", last);
    metric("last_rss_mb", memory_mb(server.pid, "VmRSS"));
    metric("events", (double)server.processes[server.process_count - 1].events);
    end(&server);
}

void measure_lines(const struct arguments *arguments)
{
    struct server server;
    long id;
    launch(&server, arguments->argv);
    warm_up(&server);
    double began = now();
    long number = start(&server, child("lines", (uint64_t)arguments->count), PLAIN, &id);
    wait_finished(&server, number);
    metric("lines_per_s", (double)arguments->count / (now() - began));
    if (server.processes[number].bytes != 16 * (uint64_t)arguments->count)
        die("bytes are missing");
    end(&server);
}

/* What is written into a child. Its period is one byte more than a write: no two writes are alike within 4 GiB, and one that is lost,
   repeated or out of place shows. */
enum { WRITE = 65536, PERIOD = WRITE + 1, WHOLE_GROUPS = WRITE / 3 * 4 };
static char content[PERIOD];
/* Its base64, three times over, since the period is no multiple of three; and as much again as a write may want of it. */
static char text[4 * PERIOD + WHOLE_GROUPS];

static void fill_text(void)
{
    enum { SIZE = sizeof text / 4 * 3 };
    unsigned char *bytes = reserve(NULL, SIZE);
    fill_block(content);
    content[BLOCK] = 'z';
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)content[i % PERIOD];
    base64_encode(text, bytes, SIZE);
    free(bytes);
}

/* The base64 of what begins there: it stands in the text three times, once at the beginning of four characters. */
static const char *text_at(uint64_t position)
{
    position %= PERIOD;
    while (position % 3)
        position += PERIOD;
    return text + position / 3 * 4;
}

/* A chunk that ends there. It is compared as the base64 it is: memcmp is as fast as a copy, and to decode it is not. */
static void check_chunk(const char *chunk, size_t length, uint64_t end)
{
    unsigned char last[3];
    size_t size = base64_size(chunk, length);
    bool same = true;
    uint64_t position = end - size;
    while (length > 4) {
        size_t part = length - 4 < WHOLE_GROUPS ? length - 4 : WHOLE_GROUPS;
        same &= memcmp(chunk, text_at(position), part) == 0;
        chunk += part, length -= part, position += part / 4 * 3;
    }
    size = base64_decode(last, chunk, length);
    same &= size == end - position;
    for (size_t i = 0; same && i < size; i++)
        same = last[i] == (unsigned char)content[(position + i) % PERIOD];
    if (!same)
        die("what comes back is not what was sent");
}

/* Write `size` bytes into a process, 16 requests in flight: enough to hide the round trip, too few to be a queue. With `echoed` they
   come back, and are compared. */
static void feed(struct server *server, long number, uint64_t size, bool echoed)
{
    enum { WINDOW = 16 };
    struct message message;
    uint64_t asked = 0, accepted = 0;
    char last[5] = "";
    while (accepted < size || (echoed && server->processes[number].bytes < size)) {
        while (asked < size && asked - accepted < (uint64_t)WINDOW * WRITE) {
            base64_encode(last, (unsigned char *)&content[(asked + WRITE - 1) % PERIOD], 1);
            request(server, "process/write", "{\"processId\":\"p%ld\",\"chunk\":\"%.*s%s\",\"writeId\":\"%ld\"}", number,
                    WHOLE_GROUPS, text_at(asked), last, server->last_id);
            asked += WRITE;
            flush(server);
        }
        receive(server, &message);
        if (message.kind == ANSWER) {
            if (memmem(message.line, message.length, "accepted", 8) == NULL)
                die("not accepted: %.*s", (int)message.length, message.line);
            accepted += WRITE;
        } else if (message.kind == OUTPUT && echoed) {
            check_chunk(message.chunk, message.chunk_length, server->processes[number].bytes);
        }
    }
}

void measure_stdin(const struct arguments *arguments)
{
    struct server server;
    struct message message;
    long id;
    uint64_t size = arguments->size / WRITE * WRITE;
    fill_text();
    launch(&server, arguments->argv);
    warm_up(&server);
    long number = start(&server, child("sink", size), STDIN, &id);
    wait_answer(&server, id, &message);
    double began = now(), cpu = cpu_seconds(server.pid);
    feed(&server, number, size, false);
    wait_finished(&server, number); /* the child counts: it fails unless it got every byte */
    metric("mb_per_s", (double)size / (now() - began) / 1e6);
    metric("cpu_s_per_gib", (cpu_seconds(server.pid) - cpu) / (double)size * (1 << 30));
    end(&server);
}

void measure_echo(const struct arguments *arguments)
{
    struct server server;
    struct message message;
    long id;
    uint64_t size = arguments->size / WRITE * WRITE;
    fill_text();
    launch(&server, arguments->argv);
    warm_up(&server);
    long number = start(&server, "[\"cat\"]", STDIN, &id);
    wait_answer(&server, id, &message);
    double began = now(), cpu = cpu_seconds(server.pid);
    feed(&server, number, size, true);
    metric("mb_per_s", (double)size / (now() - began) / 1e6);
    metric("cpu_s_per_gib", (cpu_seconds(server.pid) - cpu) / (double)size * (1 << 30));
    interrupt(&server, number, 1);
    if (server.processes[number].bytes != size)
        die("%llu bytes came back of %llu", (unsigned long long)server.processes[number].bytes, (unsigned long long)size);
    end(&server);
}
