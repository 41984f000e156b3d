/*
 * mapping_parts.h - the steps of making a mapping, and what they share.
 */

#ifndef LUN_POSTGRES_EVENTS_MAPPING_PARTS_H
#define LUN_POSTGRES_EVENTS_MAPPING_PARTS_H

#include "postgres/events/mappings.h"

/* Names, columns, safe head, times and holes, before anything is looked at. */
enum lun_code lun_pg_mapping_take_url(struct lun_pg_mapping *mapping,
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;

/* Once the types of the columns are known; LUN_CONFIG: one does not fit. */
enum lun_code lun_pg_mapping_make_expressions(struct lun_pg_mapping *mapping,
    struct lun_pg *c, struct lun_err *err) LUN_MUSTCHECK;

enum lun_code lun_pg_mapping_no_memory(
    const struct lun_pg *c, struct lun_err *err);

#endif
