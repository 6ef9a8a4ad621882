/* SPDX-License-Identifier: BSD-2-Clause */
/* malloc and its friends for test programs, on the first CPU: pieces of 64 << n bytes, and a list
 * of free ones for each n. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES 20

struct piece {
	struct piece *next; /* while it is free */
	size_t class;
	_Alignas(64) unsigned char byte[];
};

__attribute__((section(".region.heap"), aligned(65536))) static unsigned char heap[16 << 20];
static size_t heap_used;
static struct piece *free_of[CLASSES];

static size_t room_of(size_t class)
{
	return (size_t)64 << class;
}

static struct piece *piece_of(void *at)
{
	return (struct piece *)(void *)((unsigned char *)at - offsetof(struct piece, byte));
}

static struct piece *fresh(size_t class)
{
	struct piece *piece = (struct piece *)(void *)(heap + heap_used);

	if (sizeof(*piece) + room_of(class) > sizeof(heap) - heap_used)
		return NULL;
	heap_used += sizeof(*piece) + room_of(class);
	piece->class = class;
	return piece;
}

static void *take(size_t size)
{
	struct piece *piece;
	size_t class = 0;

	while (size > room_of(class))
		if (++class == CLASSES)
			return NULL;
	piece = free_of[class];
	if (piece)
		free_of[class] = piece->next;
	else
		piece = fresh(class);
	return piece ? piece->byte : NULL;
}

void *malloc(size_t size)
{
	void *at = take(size);

	return at ? memset(at, 0xa5, size) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return alignment <= 64 ? malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
	void *at = size && count > SIZE_MAX / size ? NULL : take(count * size);

	return at ? memset(at, 0, count * size) : NULL;
}

void free(void *at)
{
	struct piece *piece;

	if (!at)
		return;
	piece = piece_of(at);
	piece->next = free_of[piece->class];
	free_of[piece->class] = piece;
}

void *realloc(void *at, size_t size)
{
	void *to = malloc(size);

	if (at && to) {
		size_t room = room_of(piece_of(at)->class);

		memcpy(to, at, room < size ? room : size);
		free(at);
	}
	return to;
}
