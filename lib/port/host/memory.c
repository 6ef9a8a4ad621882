/* SPDX-License-Identifier: BSD-2-Clause */
/* Host port: the memory of table pages, one memfd that every machine sees at PAs of its own. */
#include <pt/host/memory.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_ALIGN (UINT64_C(2) << 20)
#define TRIM_BYTES  (UINT64_C(256) << 10)

enum pt_outcome pt_host_tables_create(struct pt_host_tables *tables, uint64_t bytes)
{
	uint64_t units = bytes >> PT_POOL_UNIT_SHIFT;
	void *base;
	int fd;

	if (!bytes || bytes % TABLE_ALIGN || units > UINT32_MAX)
		return PT_INVALID;
	fd = memfd_create("ptd-tables", MFD_CLOEXEC);
	if (fd < 0)
		return PT_NO_MEMORY;
	if (ftruncate(fd, (off_t)bytes))
		goto err_after_fd;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (base == MAP_FAILED)
		goto err_after_fd;
	*tables = (struct pt_host_tables){.fd = fd};
	tables->unit = calloc(units, sizeof(*tables->unit));
	if (!tables->unit)
		goto err_after_map;
	tables->port = (struct pt_port){.table_va = base, .table_bytes = bytes};
	pt_world_init(&tables->world);
	pt_pool_init(&tables->world.pool, &tables->port, tables->unit, (uint32_t)units);
	return PT_OK;

err_after_map:
	munmap(base, bytes);
err_after_fd:
	close(fd);
	return PT_NO_MEMORY;
}

void pt_host_tables_destroy(struct pt_host_tables *tables)
{
	pt_port_note(PT_EVENT_MEMORY_GONE, 0, tables->port.table_va, NULL, tables->port.table_bytes,
		     0);
	munmap(tables->port.table_va, tables->port.table_bytes);
	free(tables->unit);
	close(tables->fd);
	tables->unit = NULL;
	tables->fd = -1;
}

bool pt_host_tables_trim(struct pt_host_tables *tables, struct pt_host_trim *trim, uint32_t keep)
{
	struct pt_pool *pool = &tables->world.pool;

	if (!trim->left) {
		if (pt_pool_spare(pool) <= keep || !pt_pool_take_spare(pool, &trim->piece))
			return false;
		trim->left = UINT64_C(1) << (PT_POOL_UNIT_SHIFT + PT_POOL_MAX_ORDER);
	}
	trim->left -= TRIM_BYTES;
	/* Where the system refuses, the piece stays zero, and only its memory is not given back. */
	madvise((char *)tables->port.table_va + trim->piece.off + trim->left, TRIM_BYTES,
		MADV_REMOVE);
	if (!trim->left)
		pt_pool_put_spare(pool, trim->piece);
	return true;
}

void pt_host_port_init(struct pt_port *port, const struct pt_host_tables *tables, unsigned pa_bits)
{
	*port = tables->port;
	port->table_pa = UINT64_C(1) << (pa_bits - 1);
}
