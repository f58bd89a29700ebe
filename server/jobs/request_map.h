/* request_id -> the job it answered with, in memory. */
#ifndef SERVER_JOBS_REQUEST_MAP_H
#define SERVER_JOBS_REQUEST_MAP_H

#include "server/store/store.h"

typedef struct syn_request_map {
    syn_store_request **slots; /* (capacity) open addressing; owned */
    size_t n, capacity;        /* capacity is a power of two */
} syn_request_map;

/* NULL if there is none; borrowed until the next removal. */
const syn_store_request *syn_request_map_find(const syn_request_map *map, const char *id);
/* Adds a copy; false when out of memory. The id must not be there yet. */
bool syn_request_map_add(syn_request_map *map, const syn_store_request *request);
void syn_request_map_remove(syn_request_map *map, const char *id);
void syn_request_map_release(syn_request_map *map);

#endif
