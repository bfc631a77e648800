/* How long one thing takes: a start, a request, a spawn, an echo, a page of the log. */
#include "measure.h"
#include "server.h"
#include "workloads.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the spawn to the answer to `initialize`. */
void measure_start(const struct arguments *arguments)
{
    struct samples samples = {0};
    for (long i = 0; i < arguments->count; i++) {
        struct server server;
        double began = now();
        launch(&server, arguments->argv);
        handshake(&server);
        add_sample(&samples, (now() - began) * 1e3);
        end(&server);
    }
    metric("ms", percentile(&samples, 0.5));
}

/* From the spawn to the end, of a command that is no server: what an interpreter and its imports cost. */
void measure_exit(const struct arguments *arguments)
{
    struct samples samples = {0};
    for (long i = 0; i < arguments->count; i++) {
        struct server command;
        int status;
        double began = now();
        launch(&command, arguments->argv);
        if (waitpid(command.pid, &status, 0) < 0 || status)
            die("%s failed", arguments->argv[0]);
        add_sample(&samples, (now() - began) * 1e3);
        close(command.to);
        close(command.from);
    }
    metric("ms", percentile(&samples, 0.5));
}

/* A request that every server has and that costs nothing itself: to terminate what is not there. */
static long cheap_request(struct server *server)
{
    return request(server, "process/terminate", "{\"processId\":\"nobody\"}");
}

double round_trip_us(struct server *server, long count)
{
    struct samples samples = {0};
    struct message message;
    for (long i = 0; i < count; i++) {
        double began = now();
        wait_answer(server, cheap_request(server), &message);
        add_sample(&samples, (now() - began) * 1e6);
    }
    return percentile(&samples, 0.5);
}

void measure_round_trip(const struct arguments *arguments)
{
    struct server server;
    launch(&server, arguments->argv);
    warm_up(&server);
    round_trip_us(&server, arguments->count / 10 + 1);
    double cpu = cpu_seconds(server.pid);
    metric("us", round_trip_us(&server, arguments->count));
    metric("cpu_us", (cpu_seconds(server.pid) - cpu) / (double)arguments->count * 1e6);
    end(&server);
}

/* All requests are written as fast as the pipe takes them; the answers are read meanwhile. */
void measure_pipelined(const struct arguments *arguments)
{
    struct server server;
    struct message message;
    launch(&server, arguments->argv);
    warm_up(&server);
    round_trip_us(&server, 10);
    long first = server.last_id + 1;
    double began = now(), cpu = cpu_seconds(server.pid);
    for (long i = 0; i < arguments->count; i++)
        cheap_request(&server);
    unsigned long long sum = 0;
    for (long i = 0; i < arguments->count; i++) {
        receive(&server, &message);
        sum += (unsigned long long)(message.id - first);
    }
    metric("per_s", (double)arguments->count / (now() - began));
    metric("cpu_us", (cpu_seconds(server.pid) - cpu) / (double)arguments->count * 1e6);
    if (sum != (unsigned long long)arguments->count * (unsigned long long)(arguments->count - 1) / 2)
        die("not every request was answered once");
    end(&server);
}

static void only_success(const struct message *message)
{
    if (message->kind == EXITED && message->exit_code)
        die("a child failed: %.*s", (int)message->length, message->line);
}

/* A program that ends at once, from the request to the last event, `children` in flight. Rounds tell whether a daemon tires. */
void measure_spawn(const struct arguments *arguments)
{
    const char *argv = arguments->bare ? nothing() : "[\"/bin/true\"]";
    struct server server;
    struct message message;
    char name[32];
    long id;
    launch(&server, arguments->argv);
    warm_up(&server);
    for (long round = 1; round <= arguments->rounds; round++) {
        struct samples samples = {0};
        double began = now(), cpu = cpu_seconds(server.pid);
        for (long left = arguments->count; left || server.running;) {
            double asked = now();
            while (left && server.running < arguments->children)
                start(&server, argv, PLAIN, &id), left--;
            long running = server.running;
            while (server.running == running) {
                receive(&server, &message);
                only_success(&message);
            }
            add_sample(&samples, (now() - asked) * 1e3);
        }
        snprintf(name, sizeof name, "rss_mb_%ld", round);
        metric(name, memory_mb(server.pid, "VmRSS"));
        snprintf(name, sizeof name, "ms_%ld", round);
        metric(name, percentile(&samples, 0.5));
        snprintf(name, sizeof name, "cpu_us_%ld", round);
        metric(name, (cpu_seconds(server.pid) - cpu) / (double)arguments->count * 1e6);
        snprintf(name, sizeof name, "per_s_%ld", round);
        metric(name, (double)arguments->count / (now() - began));
    }
    end(&server);
}

#define HELLO "aGVsbG8K" /* six bytes: a chunk that nobody cuts */

/* One byte string into `cat` and out again; in microseconds. With a writeId, as Codex sends it, or without. */
static double echo_us(struct server *server, long number, bool with_id)
{
    struct message message;
    uint64_t expected = server->processes[number].bytes + 6;
    double began = now();
    char id[40] = "";
    if (with_id)
        snprintf(id, sizeof id, ",\"writeId\":\"%ld\"", server->last_id);
    request(server, "process/write", "{\"processId\":\"p%ld\",\"chunk\":\"" HELLO "\"%s}", number, id);
    while (server->processes[number].bytes < expected) {
        receive(server, &message);
        if (message.kind == OUTPUT && message.process == number
            && (message.chunk_length != strlen(HELLO) || memcmp(message.chunk, HELLO, strlen(HELLO))))
            die("what comes back is not what was sent");
    }
    return (now() - began) * 1e6;
}

/* Receive what is still to come: the answers to the writes whose echo was faster. */
static void settle(struct server *server)
{
    struct message message;
    wait_answer(server, cheap_request(server), &message);
}

static long start_cat(struct server *server)
{
    struct message message;
    long id, number = start(server, "[\"cat\"]", STDIN, &id);
    wait_answer(server, id, &message);
    return number;
}

/* End it, and the `others` that were started behind it: no echo may be missing, and none too many. */
static void end_cat(struct server *server, long number, long others, long echoes)
{
    interrupt(server, number, 1 + others);
    if (server->processes[number].bytes != 6 * (uint64_t)echoes)
        die("%llu bytes came back of %ld", (unsigned long long)server->processes[number].bytes, 6 * echoes);
}

/* Echo while `children` others flood. */
void measure_latency(const struct arguments *arguments)
{
    enum { FIRST = 10 };
    struct server server;
    struct samples samples = {0};
    struct message message;
    long id;
    launch(&server, arguments->argv);
    warm_up(&server);
    long cat = start_cat(&server);
    for (long i = 0; i < arguments->children; i++)
        start(&server, child("flood", 0), PLAIN, &id);
    for (long i = 0; i < arguments->children; i++)
        while (server.processes[cat + 1 + i].bytes < 4 << 20)
            receive(&server, &message);
    for (int i = 0; i < FIRST; i++)
        echo_us(&server, cat, true);
    double until = now() + arguments->seconds, cpu = cpu_seconds(server.pid);
    for (long i = 0; i < arguments->count && now() < until; i++)
        add_sample(&samples, echo_us(&server, cat, true));
    metric("us", percentile(&samples, 0.5));
    metric("p99_us", percentile(&samples, 0.99));
    metric("cpu_us", (cpu_seconds(server.pid) - cpu) / (double)samples.count * 1e6);
    metric("samples", (double)samples.count);
    end_cat(&server, cat, arguments->children, FIRST + (long)samples.count);
    end(&server);
}

/* Pages of one chunk, `BATCH` requests at a time: what a page costs the server, not what a wake-up costs the machine. */
static double tail_us(struct server *server, long number)
{
    enum { BATCH = 100, BATCHES = 30 };
    struct samples samples = {0};
    struct message message;
    long after = server->processes[number].output_seq - 1, last = 0;
    for (int batch = 0; batch < BATCHES; batch++) {
        double began = now();
        for (int i = 0; i < BATCH; i++)
            last = request(server, "process/read", "{\"processId\":\"p%ld\",\"afterSeq\":%ld}", number, after);
        do {
            receive(server, &message);
            if (message.chunks != 1)
                die("one chunk was asked for: %.*s", (int)message.length, message.line);
        } while (message.id != last);
        add_sample(&samples, (now() - began) / BATCH * 1e6);
    }
    return percentile(&samples, 0.5);
}

/* The last chunk of a short log, and of one with `count` chunks; and what a retained chunk costs. */
void measure_tail(const struct arguments *arguments)
{
    enum { SHORT = 50 };
    struct server server;
    launch(&server, arguments->argv);
    warm_up(&server);
    long cat = start_cat(&server);
    for (int i = 0; i < SHORT; i++)
        echo_us(&server, cat, arguments->ids);
    settle(&server);
    tail_us(&server, cat);
    metric("short_us", tail_us(&server, cat));
    double before = memory_mb(server.pid, "VmRSS");
    for (long i = SHORT; i < arguments->count; i++)
        echo_us(&server, cat, arguments->ids);
    settle(&server);
    metric("bytes_per_event", (memory_mb(server.pid, "VmRSS") - before) * 1e6 / (double)(arguments->count - SHORT));
    metric("us", tail_us(&server, cat));
    end_cat(&server, cat, 0, arguments->count > SHORT ? arguments->count : SHORT);
    end(&server);
}
