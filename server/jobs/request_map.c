/* An open-addressing table of request ids. */
#include "server/jobs/request_map.h"

#include "common/base/mem.h"

#include <string.h>

/* FNV-1a (64 bit). */
static uint64_t hash(const char *text)
{
    uint64_t h = 14695981039346656037u;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

/* The slot with this id, or the free one where it belongs. */
static size_t locate(const syn_request_map *map, const char *id)
{
    size_t i = (size_t)hash(id) & (map->capacity - 1);
    while (map->slots[i] && strcmp(map->slots[i]->id, id) != 0)
        i = (i + 1) & (map->capacity - 1);
    return i;
}

const syn_store_request *syn_request_map_find(const syn_request_map *map, const char *id)
{
    return map->capacity ? map->slots[locate(map, id)] : NULL;
}

static bool grow(syn_request_map *map)
{
    syn_request_map bigger = {.n = map->n, .capacity = map->capacity ? map->capacity * 2 : 64};
    bigger.slots = syn_calloc(bigger.capacity, sizeof(syn_store_request *));
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i])
            bigger.slots[locate(&bigger, map->slots[i]->id)] = map->slots[i];
    syn_free(map->slots);
    *map = bigger;
    return true;
}

bool syn_request_map_add(syn_request_map *map, const syn_store_request *request)
{
    if ((map->n + 1) * 2 > map->capacity && !grow(map))
        return false;
    syn_store_request *copy = syn_malloc(sizeof *copy);
    if (!copy)
        return false;
    *copy = *request;
    map->slots[locate(map, request->id)] = copy;
    map->n++;
    return true;
}

void syn_request_map_remove(syn_request_map *map, const char *id)
{
    if (!map->capacity)
        return;
    size_t hole = locate(map, id);
    if (!map->slots[hole])
        return;
    syn_free(map->slots[hole]);
    map->slots[hole] = NULL;
    map->n--;
    /* Later entries of the same run may have been pushed past the hole: put them where they belong
     * now. */
    for (size_t i = (hole + 1) & (map->capacity - 1); map->slots[i];
         i = (i + 1) & (map->capacity - 1)) {
        syn_store_request *moved = map->slots[i];
        map->slots[i] = NULL;
        map->slots[locate(map, moved->id)] = moved;
    }
}

void syn_request_map_release(syn_request_map *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        syn_free(map->slots[i]);
    syn_free(map->slots);
    *map = (syn_request_map){0};
}
