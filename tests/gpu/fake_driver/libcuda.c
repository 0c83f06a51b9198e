// A stand-in for NVIDIA's driver: two GPUs, or what the environment says of them.
#include <stdlib.h>
#include <string.h>

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int cuInit(unsigned flags) { return number("FAKE_CUDA_INIT", 0); }
int cuGetErrorString(int code, const char **text) {
    *text = code == 100 ? "no CUDA-capable device is detected" : 0;
    return 0;
}
int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA_VERSION", 13010); return 0; }
int cuDeviceGetCount(int *count) { *count = number("FAKE_CUDA_COUNT", 2); return 0; }
int cuDeviceGet(int *device, int index) { *device = 40 + index; return 0; }
int cuDeviceGetName(char *name, int size, int device) {
    strncpy(name, device == 40 ? "Fake A1" : "Fake H1 80GB", size);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)(device - 39) << 34; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 16 ? 108 : attribute == 75 ? device - 32 : attribute == 76 ? 6 : -1;
    return 0;
}
int cuDeviceGetPCIBusId(char *text, int size, int device) {
    strncpy(text, device == 40 ? "0000:01:00.0" : "0000:02:00.0", size);
    return 0;
}
