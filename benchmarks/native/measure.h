/* Clocks, samples and what /proc says of a process. Knows nothing of the wire. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Seconds on the monotonic clock. */
double now(void);

/* A growing array of measurements. */
struct samples {
    double *values;
    size_t count, room;
};

void add_sample(struct samples *samples, double value);
/* The value that `share` (0..1) of the samples do not exceed. Sorts the samples. */
double percentile(struct samples *samples, double share);

/* User and system time of one process, without its children, in seconds (10 ms steps). */
double cpu_seconds(pid_t pid);
/* A field of /proc/PID/status that is given in kB (VmRSS, VmHWM), in MB. */
double memory_mb(pid_t pid, const char *field);
/* How often the threads of a process went to sleep by themselves: an idle process does not wake. */
long wakeups(pid_t pid);

/* Metrics leave as one JSON object on stdout. */
void metric(const char *name, double value);
void print_metrics(void);

/* Say what went wrong, end the server that runs, exit 1. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* The process that die() and the watchdog take with them; 0 for none. */
extern volatile pid_t victim;

void *reserve(void *block, size_t bytes);

#endif
