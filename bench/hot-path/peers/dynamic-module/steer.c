// The peer as a dynamic-module cluster specifier (Envoy 1.40): picks the cluster inside the route look-up, so no header is
// written and the route is resolved once. The few declarations of the C ABI that it needs are written out here.
// Configuration text as in rust/src/lib.rs; here only `table payments …`, `service` and `session` are read.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char *ptr;
  size_t length;
} buffer;

extern bool envoy_dynamic_module_callback_cluster_specifier_get_request_header_value(void *context, buffer key, buffer *result,
                                                                                     size_t index, size_t *total);
extern void envoy_dynamic_module_callback_cluster_specifier_set_cluster_name(void *context, buffer name);

enum { SLOTS = 1024, MAX_TABLES = 16, MAX_TARGETS = 16, MAX_NAME = 64 };

typedef struct {
  char service[MAX_NAME];
  char names[MAX_TARGETS][MAX_NAME];
  uint8_t slots[SLOTS];
  uint32_t phase; // shared by the workers; a lost increment only repeats a slot
} table;

typedef struct {
  bool session;
  char fixed_service[MAX_NAME];
  int tables;
  table table[MAX_TABLES];
} config;

const char *envoy_dynamic_module_on_program_init(void) { return "v1.40.0"; }

void *envoy_dynamic_module_on_cluster_specifier_config_new(void *envoy, buffer name, buffer text) {
  (void)envoy;
  (void)name;
  config *c = calloc(1, sizeof *c);
  char *copy = strndup(text.ptr, text.length), *lines, *words;
  for (char *line = strtok_r(copy, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
    char *word = strtok_r(line, " ", &words);
    if (!word) continue;
    if (!strcmp(word, "service")) {
      if (!strcmp(strtok_r(NULL, " ", &words), "fixed"))
        snprintf(c->fixed_service, MAX_NAME, "%s", strtok_r(NULL, " ", &words));
    } else if (!strcmp(word, "session")) {
      c->session = !strcmp(strtok_r(NULL, " ", &words), "on");
    } else if (!strcmp(word, "table") && c->tables < MAX_TABLES) {
      table *t = &c->table[c->tables++];
      snprintf(t->service, MAX_NAME, "%s", strtok_r(NULL, " ", &words));
      int at = 0, target = 0;
      for (char *w = strtok_r(NULL, " ", &words); w && target < MAX_TARGETS; w = strtok_r(NULL, " ", &words), target++) {
        char *colon = strchr(w, ':');
        snprintf(t->names[target], MAX_NAME, "%.*s", (int)(colon - w), w);
        for (int n = atoi(colon + 1); n > 0; n--, at++) t->slots[at * 633 % SLOTS] = target;
      }
    }
  }
  free(copy);
  return c;
}

void envoy_dynamic_module_on_cluster_specifier_config_destroy(void *module) { free(module); }

static bool header(void *context, const char *name, buffer *value) {
  return envoy_dynamic_module_callback_cluster_specifier_get_request_header_value(context, (buffer){name, strlen(name)}, value, 0, NULL);
}

static bool session_of(buffer cookie, buffer *key) {
  const char *p = cookie.ptr, *end = p + cookie.length;
  while (p < end) {
    while (p < end && *p == ' ') p++;
    const char *stop = memchr(p, ';', end - p);
    if (!stop) stop = end;
    if (stop - p > 4 && !memcmp(p, "sid=", 4)) {
      *key = (buffer){p + 4, stop - p - 4};
      return true;
    }
    p = stop + 1;
  }
  return false;
}

bool envoy_dynamic_module_on_cluster_specifier_select(void *module, void *context) {
  config *c = module;
  buffer service = {c->fixed_service, strlen(c->fixed_service)}, cookie, key;
  if (service.length == 0 && !header(context, "x-service", &service)) return false;
  for (int i = 0; i < c->tables; i++) {
    table *t = &c->table[i];
    if (strlen(t->service) != service.length || memcmp(t->service, service.ptr, service.length)) continue;
    uint32_t slot;
    if (c->session && header(context, "cookie", &cookie) && session_of(cookie, &key)) {
      uint64_t hash = 0xcbf29ce484222325u;
      for (size_t k = 0; k < key.length; k++) hash = (hash ^ (uint8_t)key.ptr[k]) * 0x100000001b3u;
      slot = hash >> 54;
    } else {
      slot = t->phase++ % SLOTS;
    }
    const char *name = t->names[t->slots[slot]];
    envoy_dynamic_module_callback_cluster_specifier_set_cluster_name(context, (buffer){name, strlen(name)});
    return true;
  }
  return false;
}
