#include "measure.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

volatile pid_t victim;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("driver: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    if (victim > 0)
        kill(victim, SIGKILL);
    exit(1);
}

void *reserve(void *block, size_t bytes)
{
    void *grown = realloc(block, bytes);
    if (grown == NULL)
        die("out of memory");
    return grown;
}

void add_sample(struct samples *samples, double value)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? 2 * samples->room : 1024;
        samples->values = reserve(samples->values, samples->room * sizeof(double));
    }
    samples->values[samples->count++] = value;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double percentile(struct samples *samples, double share)
{
    if (samples->count == 0)
        die("no samples");
    qsort(samples->values, samples->count, sizeof(double), ascending);
    size_t index = (size_t)(share * (double)samples->count);
    return samples->values[index < samples->count ? index : samples->count - 1];
}

double cpu_seconds(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    const char *rest = strrchr(text, ')'); /* the name before it may hold anything */
    unsigned long user, system;
    if (rest == NULL || sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die("cannot read %s", path);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static long status_number(const char *path, const char *field)
{
    char line[256];
    size_t width = strlen(field);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die("%s: %s", path, strerror(errno));
    while (fgets(line, sizeof line, file))
        if (strncmp(line, field, width) == 0 && line[width] == ':') {
            fclose(file);
            return atol(line + width + 1);
        }
    die("%s has no %s", path, field);
}

double memory_mb(pid_t pid, const char *field)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    return (double)status_number(path, field) * 1024 / 1e6;
}

long wakeups(pid_t pid)
{
    char path[300];
    long sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL)
        die("%s: %s", path, strerror(errno));
    for (struct dirent *task; (task = readdir(tasks));)
        if (task->d_name[0] != '.') {
            snprintf(path, sizeof path, "/proc/%d/task/%s/status", pid, task->d_name);
            sum += status_number(path, "voluntary_ctxt_switches");
        }
    closedir(tasks);
    return sum;
}

static struct { char name[32]; double value; } metrics[256];
static size_t metric_count;

void metric(const char *name, double value)
{
    if (metric_count == sizeof metrics / sizeof *metrics)
        die("too many metrics");
    snprintf(metrics[metric_count].name, sizeof metrics->name, "%s", name);
    metrics[metric_count++].value = value;
}

void print_metrics(void)
{
    putchar('{');
    for (size_t i = 0; i < metric_count; i++)
        printf("%s\"%s\": %.6g", i ? ", " : "", metrics[i].name, metrics[i].value);
    puts("}");
}
