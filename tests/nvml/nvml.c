/* A small NVML for tests: exports NVML's symbols and answers from a file of "key value" lines that lies beside this
 * library, named as it is with ".state" behind. It is read anew for every question, so a test changes what the driver says
 * by replacing it. What has no line is not supported, as on a GPU that lacks it.
 *
 * Keys begin with "gpu.N."; a MIG instance M of GPU N is "gpu.N.mig.M.". "hang 1" keeps every call from coming back while
 * it stands there. "gpu.N.lost 1" is a GPU that fell off the bus: nothing waits for its events. "event.K GPU TYPE DATA" is delivered once, in the order of K from 0. With -DOLD it lacks the symbols of
 * newer drivers. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT = 7, TIMEOUT = 10, LOST = 15, MOST = 32 };

typedef struct { char prefix[32]; } device;
typedef unsigned long long u64;

static device gpus[MOST], instances[MOST][MOST];
static int next_event;

static int find(const char *key, char *value, size_t size) {
    Dl_info info;
    char path[4096], line[512];
    if (!dladdr((void *)find, &info)) return 0;
    snprintf(path, sizeof path, "%s.state", info.dli_fname);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t length = strlen(key);
    int found = 0;
    while (!found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + length + 1);
            found = 1;
        }
    }
    fclose(file);
    return found;
}

static void hang(void) {
    char value[512];
    while (find("hang", value, sizeof value) && atoi(value)) usleep(5000);
}

static int text(device *d, const char *name, char *out, size_t size) {
    char key[128];
    hang();
    snprintf(key, sizeof key, "%s%s", d->prefix, name);
    return find(key, out, size) ? OK : NOT_SUPPORTED;
}

static int number(device *d, const char *name, u64 *out) {
    char value[512];
    int result = text(d, name, value, sizeof value);
    if (result == OK) *out = strtoull(value, 0, 0);
    return result;
}

static int small(device *d, const char *name, unsigned *out) {
    u64 value;
    int result = number(d, name, &value);
    if (result == OK) *out = (unsigned)value;
    return result;
}

int nvmlInit_v2(void) { hang(); return OK; }
int nvmlShutdown(void) { return OK; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    return find("driver", out, size) ? OK : NOT_SUPPORTED;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    char value[512];
    hang();
    *count = find("count", value, sizeof value) ? (unsigned)atoi(value) : 0;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device **out) {
    if (index >= MOST) return INVALID;
    snprintf(gpus[index].prefix, sizeof gpus[index].prefix, "gpu.%u.", index);
    *out = &gpus[index];
    return OK;
}

int nvmlDeviceGetUUID(device *d, char *out, unsigned size) { return text(d, "uuid", out, size); }
int nvmlDeviceGetName(device *d, char *out, unsigned size) { return text(d, "name", out, size); }

int nvmlDeviceGetUtilizationRates(device *d, unsigned out[2]) {
    int result = small(d, "utilization.gpu", &out[0]);
    return result == OK ? small(d, "utilization.memory", &out[1]) : result;
}

int nvmlDeviceGetEncoderUtilization(device *d, unsigned *out, unsigned *period) {
    *period = 1000000;
    return small(d, "utilization.encoder", out);
}

int nvmlDeviceGetDecoderUtilization(device *d, unsigned *out, unsigned *period) {
    *period = 1000000;
    return small(d, "utilization.decoder", out);
}

typedef struct { u64 time; union { unsigned u; u64 ull; } value; } reading;

int nvmlDeviceGetSamples(device *d, int kind, u64 since, int *type, unsigned *count, reading *out) {
    char key[64], value[512];
    unsigned n = 0, room = out ? *count : 0, i = 0;
    if (kind != 1) return NOT_SUPPORTED;
    for (;; i++) {
        reading r;
        memset(&r, 0, sizeof r);
        snprintf(key, sizeof key, "utilization.sample.%u", i);
        if (text(d, key, value, sizeof value) != OK) break;
        sscanf(value, "%llu %u", &r.time, &r.value.u);
        if (r.time <= since) continue;
        if (n < room) out[n] = r;
        n++;
    }
    *type = 1; /* unsigned int */
    *count = n;
    if (n == 0) return i ? NOT_FOUND : NOT_SUPPORTED;
    return out && n > room ? INSUFFICIENT : OK;
}

typedef struct { unsigned version; u64 total, reserved, free, used; } memory;

int nvmlDeviceGetMemoryInfo_v2(device *d, memory *out) {
    number(d, "memory.reserved_bytes", &out->reserved);
    number(d, "memory.free_bytes", &out->free);
    int result = number(d, "memory.total_bytes", &out->total);
    return result == OK ? number(d, "memory.used_bytes", &out->used) : result;
}

int nvmlDeviceGetPowerUsage(device *d, unsigned *out) { return small(d, "power.current_draw_mw", out); }
int nvmlDeviceGetEnforcedPowerLimit(device *d, unsigned *out) { return small(d, "power.enforced_limit_mw", out); }
int nvmlDeviceGetTotalEnergyConsumption(device *d, u64 *out) { return number(d, "power.total_energy_consumption_mj", out); }
int nvmlDeviceGetTemperature(device *d, int sensor, unsigned *out) {
    return sensor ? INVALID : small(d, "thermal.temperature_gpu_c", out);
}

int nvmlDeviceGetTemperatureThreshold(device *d, int kind, unsigned *out) {
    if (kind > 1) return NOT_SUPPORTED;
    return small(d, kind ? "thermal.slowdown_threshold_c" : "thermal.shutdown_threshold_c", out);
}

int nvmlDeviceGetClockInfo(device *d, int kind, unsigned *out) {
    const char *names[] = {"graphics", "sm", "memory", "video"};
    char key[64];
    if (kind < 0 || kind > 3) return INVALID;
    snprintf(key, sizeof key, "clocks.%s_current", names[kind]);
    return small(d, key, out);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(device *d, u64 *out) { return number(d, "throttle", out); }

int nvmlDeviceGetTotalEccErrors(device *d, int error, int counter, u64 *out) {
    char key[64];
    snprintf(key, sizeof key, "ecc.errors.%s.%s.total", counter ? "aggregate" : "volatile",
             error ? "double_bit" : "single_bit");
    return number(d, key, out);
}

int nvmlDeviceGetRetiredPages(device *d, int cause, unsigned *count, u64 *addresses) {
    (void)addresses;
    return small(d, cause ? "retired_pages.double_bit_retirement.count" : "retired_pages.single_bit_retirement.count", count);
}

int nvmlDeviceGetRetiredPages_v2(device *d, int cause, unsigned *count, u64 *addresses, u64 *times) {
    unsigned room = *count;
    int result = nvmlDeviceGetRetiredPages(d, cause, count, addresses);
    if (result != OK) return result;
    if (*count > room) return INSUFFICIENT;
    for (unsigned i = 0; i < *count; i++) addresses[i] = times[i] = i;
    return OK;
}

int nvmlDeviceGetRetiredPagesPendingStatus(device *d, unsigned *out) { return small(d, "retired_pages.pending_retirement", out); }
int nvmlDeviceGetPcieReplayCounter(device *d, unsigned *out) { return small(d, "pcie.replay_counter", out); }
int nvmlDeviceGetCurrPcieLinkWidth(device *d, unsigned *out) { return small(d, "pcie.current_link_width", out); }
int nvmlDeviceGetMaxPcieLinkWidth(device *d, unsigned *out) { return small(d, "pcie.max_link_width", out); }
int nvmlDeviceGetCurrPcieLinkGeneration(device *d, unsigned *out) { return small(d, "pcie.current_link_gen", out); }
int nvmlDeviceGetMaxPcieLinkGeneration(device *d, unsigned *out) { return small(d, "pcie.max_link_gen", out); }

int nvmlDeviceGetNvLinkState(device *d, unsigned link, unsigned *out) {
    unsigned links = 0;
    small(d, "nvlink.links", &links);
    if (link >= links) return NOT_SUPPORTED;
    *out = 1;
    return OK;
}

int nvmlDeviceGetNvLinkErrorCounter(device *d, unsigned link, int counter, u64 *out) {
    char key[64];
    snprintf(key, sizeof key, "nvlink.%u.%d", link, counter);
    if (number(d, key, out) != OK) *out = 0;
    return OK;
}

int nvmlDeviceGetNumFans(device *d, unsigned *out) { return small(d, "fan.count", out); }
int nvmlDeviceGetFanSpeed_v2(device *d, unsigned fan, unsigned *out) { (void)fan; return small(d, "fan.speed_percent", out); }

typedef struct { unsigned pid; u64 memory; unsigned instance, compute; } process;
typedef struct { unsigned pid; u64 time; unsigned sm, memory, encoder, decoder; } sample;

int nvmlDeviceGetComputeRunningProcesses_v3(device *d, unsigned *count, process *out) {
    char key[64], value[512];
    unsigned n = 0, room = out ? *count : 0;
    for (;; n++) {
        snprintf(key, sizeof key, "process.%u", n);
        if (text(d, key, value, sizeof value) != OK) break;
        if (n < room) {
            memset(&out[n], 0, sizeof out[n]);
            sscanf(value, "%u %llu", &out[n].pid, &out[n].memory);
        }
    }
    *count = n;
    return n > room ? INSUFFICIENT : OK;
}

int nvmlDeviceGetProcessUtilization(device *d, sample *out, unsigned *count, u64 since) {
    char key[64], value[512];
    unsigned n = 0, room = out ? *count : 0, i = 0;
    for (;; i++) {
        sample s;
        memset(&s, 0, sizeof s);
        snprintf(key, sizeof key, "sample.%u", i);
        if (text(d, key, value, sizeof value) != OK) break;
        sscanf(value, "%u %llu %u", &s.pid, &s.time, &s.sm);
        if (s.time <= since) continue;
        if (n < room) out[n] = s;
        n++;
    }
    *count = n;
    if (n == 0) return i ? NOT_FOUND : NOT_SUPPORTED;
    return n > room ? INSUFFICIENT : OK;
}

#ifndef OLD
int nvmlDeviceGetMPSComputeRunningProcesses_v3(device *d, unsigned *count, process *out) {
    (void)d, (void)out;
    *count = 0;
    return OK;
}

typedef struct { unsigned id, scope; long long time, latency; int type, result; union { double d; unsigned u; u64 ull; } value; } field_value;

int nvmlDeviceGetFieldValues(device *d, int count, field_value *fields) {
    for (int i = 0; i < count; i++) {
        char key[64];
        u64 value = 0;
        snprintf(key, sizeof key, "field.%u", fields[i].id);
        fields[i].result = number(d, key, &value);
        fields[i].type = 3;
        fields[i].value.ull = value;
    }
    return OK;
}

int nvmlDeviceGetMigMode(device *d, unsigned *current, unsigned *pending) {
    int result = small(d, "mig.mode", current);
    *pending = *current;
    return result;
}

int nvmlDeviceGetMaxMigDeviceCount(device *d, unsigned *out) { return small(d, "mig.count", out); }

int nvmlDeviceGetMigDeviceHandleByIndex(device *d, unsigned index, device **out) {
    device *mig = &instances[d - gpus][index % MOST];
    char uuid[128];
    snprintf(mig->prefix, sizeof mig->prefix, "gpu.%d.mig.%u.", (int)(d - gpus), index);
    if (text(mig, "uuid", uuid, sizeof uuid) != OK) return NOT_FOUND;
    *out = mig;
    return OK;
}
#endif

typedef struct { device *device; u64 type, data; unsigned instance, compute; } event;

static unsigned registered;

static int is_lost(device *d) {
    unsigned lost = 0;
    small(d, "lost", &lost);
    return (int)lost;
}

int nvmlEventSetCreate(void **out) { *out = &next_event; registered = 0; return OK; }
int nvmlEventSetFree(void *set) { (void)set; return OK; }
int nvmlDeviceGetSupportedEventTypes(device *d, u64 *out) { (void)d; *out = 1 | 2 | 8; return OK; }
int nvmlDeviceRegisterEvents(device *d, u64 types, void *set) {
    (void)types, (void)set;
    if (is_lost(d)) return LOST;
    registered |= 1u << (d - gpus);
    return OK;
}

int nvmlEventSetWait_v2(void *set, event *out, unsigned timeout) {
    char key[64], value[512];
    unsigned gpu;
    (void)set;
    memset(out, 0, sizeof *out);
    hang();
    for (unsigned i = 0; i < MOST; i++) {
        if (registered >> i & 1 && is_lost(&gpus[i])) return LOST;
    }
    snprintf(key, sizeof key, "event.%d", next_event);
    if (!find(key, value, sizeof value) || sscanf(value, "%u %llu %llu", &gpu, &out->type, &out->data) != 3) {
        usleep((timeout < 5 ? timeout : 5) * 1000);
        return TIMEOUT;
    }
    next_event++;
    return nvmlDeviceGetHandleByIndex_v2(gpu, &out->device);
}
