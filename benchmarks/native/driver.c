/* driver WORKLOAD [name=value ...] -- SERVER [ARGUMENT ...]

   Drives one server through one workload and prints the metrics as JSON. Written in C so that the client is never what is
   measured: it finds lines with memchr, and copies nothing but the beginning of a line that is not yet whole, to the front of its
   buffer, once in 256 KiB at most. In `verify` mode it decodes and digests each byte. Whatever is wrong in what the server sends
   ends it with exit code 1. */
#include "measure.h"
#include "workloads.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    void (*measure)(const struct arguments *);
    struct arguments defaults;
} workloads[] = {
    {"start", measure_start, {.count = 10}},
    {"exit", measure_exit, {.count = 10}},
    {"round-trip", measure_round_trip, {.count = 5000}},
    {"pipelined", measure_pipelined, {.count = 20000}},
    {"output", measure_output, {.size = 1 << 30, .children = 1, .rounds = 1}},
    {"lines", measure_lines, {.count = 2000000}},
    {"spawn", measure_spawn, {.count = 300, .children = 1, .rounds = 1}},
    {"stdin", measure_stdin, {.size = 256 << 20}},
    {"echo", measure_echo, {.size = 256 << 20}},
    {"latency", measure_latency, {.count = 2000, .seconds = 10}},
    {"tail", measure_tail, {.count = 10000, .ids = 1}},
    {"crowd", measure_crowd, {.children = 500, .seconds = 2}},
    {"stalled", measure_stalled, {.size = 256 << 20, .children = 8, .seconds = 4}},
};

static void set(struct arguments *arguments, const char *word)
{
    const char *value = strchr(word, '=');
    size_t length = value ? (size_t)(value - word) : 0;
#define NAMED(text) (length == strlen(text) && strncmp(word, text, length) == 0)
    if (NAMED("size"))
        arguments->size = strtoull(value + 1, NULL, 10);
    else if (NAMED("count"))
        arguments->count = atol(value + 1);
    else if (NAMED("children"))
        arguments->children = atol(value + 1);
    else if (NAMED("rounds"))
        arguments->rounds = atol(value + 1);
    else if (NAMED("seconds"))
        arguments->seconds = atof(value + 1);
    else if (NAMED("verify"))
        arguments->verify = atol(value + 1);
    else if (NAMED("tty"))
        arguments->tty = atol(value + 1);
    else if (NAMED("bare"))
        arguments->bare = atol(value + 1);
    else if (NAMED("ids"))
        arguments->ids = atol(value + 1);
    else
        die("what is %s?", word);
}

static void out_of_time(int signal)
{
    (void)signal;
    if (victim > 0)
        kill(victim, SIGKILL);
    static const char text[] = "driver: out of time\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(1);
}

int main(int argc, char **argv)
{
    int words = 2;
    while (words < argc && strcmp(argv[words], "--"))
        words++;
    if (words + 1 >= argc)
        die("usage: driver WORKLOAD [name=value ...] -- SERVER [ARGUMENT ...]");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL); /* ignored in the background of a shell: the children would inherit that, and not end */
    signal(SIGALRM, out_of_time);
    alarm(getenv("DRIVER_TIMEOUT") ? (unsigned)atoi(getenv("DRIVER_TIMEOUT")) : 300);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(argv[1], workloads[i].name) == 0) {
            struct arguments arguments = workloads[i].defaults;
            for (int word = 2; word < words; word++)
                set(&arguments, argv[word]);
            arguments.argv = argv + words + 1;
            workloads[i].measure(&arguments);
            print_metrics();
            return 0;
        }
    die("no workload %s", argv[1]);
}
