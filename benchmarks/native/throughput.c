/* How many bytes a second: out of children, into them, and through them. */
#define _GNU_SOURCE
#include "base64.h"
#include "measure.h"
#include "pattern.h"
#include "server.h"
#include "workloads.h"

#include <stdlib.h>

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

/* Write `size` bytes into a process, 64 KiB a request, 16 requests in flight: enough to hide the round trip, too few to be a queue. */
static void feed(struct server *server, long number, uint64_t size, uint64_t echoed)
{
    enum { CHUNK = 65536, WINDOW = 16 };
    static char block[CHUNK], text[CHUNK / 3 * 4 + 8];
    struct message message;
    uint64_t asked = 0, accepted = 0;
    fill_block(block);
    text[base64_encode(text, (unsigned char *)block, CHUNK)] = 0;
    while (accepted < size || server->processes[number].bytes < echoed) {
        while (asked < size && asked - accepted < (uint64_t)WINDOW * CHUNK) {
            request(server, "process/write", "{\"processId\":\"p%ld\",\"chunk\":\"%s\",\"writeId\":\"%ld\"}", number, text,
                    server->last_id);
            asked += CHUNK;
            flush(server);
        }
        receive(server, &message);
        if (message.kind == ANSWER) {
            if (memmem(message.line, message.length, "accepted", 8) == NULL)
                die("not accepted: %.*s", (int)message.length, message.line);
            accepted += CHUNK;
        }
    }
}

void measure_stdin(const struct arguments *arguments)
{
    struct server server;
    struct message message;
    long id;
    uint64_t size = arguments->size / 65536 * 65536;
    launch(&server, arguments->argv);
    warm_up(&server);
    long number = start(&server, child("sink", size), STDIN, &id);
    wait_answer(&server, id, &message);
    double began = now(), cpu = cpu_seconds(server.pid);
    feed(&server, number, size, 0);
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
    uint64_t size = arguments->size / 65536 * 65536;
    launch(&server, arguments->argv);
    warm_up(&server);
    long number = start(&server, "[\"cat\"]", STDIN, &id);
    wait_answer(&server, id, &message);
    double began = now(), cpu = cpu_seconds(server.pid);
    feed(&server, number, size, size);
    metric("mb_per_s", (double)size / (now() - began) / 1e6);
    metric("cpu_s_per_gib", (cpu_seconds(server.pid) - cpu) / (double)size * (1 << 30));
    end(&server);
}
