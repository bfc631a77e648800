/* What the driver can measure. Each fills in metrics; what the arguments do not say has a default. */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdint.h>

struct arguments {
    uint64_t size;  /* bytes of output or input, all children together */
    long count;     /* how many times */
    long children;  /* how many at once */
    long rounds;    /* of the same thing in one daemon */
    double seconds; /* at most, or exactly where nothing else ends it */
    long verify;    /* decode the content and compare its digest */
    long tty;
    long bare;      /* the child is linked with nothing */
    long ids;       /* writes have a writeId, as Codex sends it */
    char **argv;    /* the server */
};

/* throughput.c */
void measure_output(const struct arguments *arguments);
void measure_lines(const struct arguments *arguments);
void measure_stdin(const struct arguments *arguments);
void measure_echo(const struct arguments *arguments);
/* latency.c */
void measure_start(const struct arguments *arguments);
void measure_exit(const struct arguments *arguments);
void measure_round_trip(const struct arguments *arguments);
void measure_pipelined(const struct arguments *arguments);
void measure_spawn(const struct arguments *arguments);
void measure_latency(const struct arguments *arguments);
void measure_tail(const struct arguments *arguments);
struct server;
/* The median of `count` cheap requests, one at a time, in microseconds. */
double round_trip_us(struct server *server, long count);
/* memory.c */
void measure_crowd(const struct arguments *arguments);
void measure_stalled(const struct arguments *arguments);

#endif
