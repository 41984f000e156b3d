/*
 * catalogue.h - what the database says of the table that events are read from.
 *
 * Each way to find the safe head rests on facts that a user can change: a
 * sequence that hands out one number at a time and upwards, rows that are not
 * hidden, keys that are there. They are looked at when a store is opened, and
 * again when a mark of them changes or some time has passed.
 */

#ifndef LUN_POSTGRES_EVENTS_CATALOGUE_H
#define LUN_POSTGRES_EVENTS_CATALOGUE_H

#include "postgres/events/mappings.h"

/*
 * LUN_CONFIG names what does not fit and what to do. Numbers that sessions
 * keep in stock give a layout with gaps its grace time, unless the URL sets
 * one. Where they are not NULL, numbers becomes the sequences that positions
 * come from, as an array of their oids in text, and remark is added what is
 * slow for want of an index.
 */
enum lun_code lun_pg_catalogue_check(struct lun_pg *c,
    struct lun_pg_mapping *mapping, struct lun_buffer *numbers,
    struct lun_buffer *remark, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Add a statement whose rows are the parts of the table without an index in
 * its order: the kind of the table itself and the part's name, quoted; one row
 * without a name where there is none.
 */
void lun_pg_catalogue_add_unindexed(const struct lun_pg_mapping *mapping,
    struct lun_buffer *sql, struct lun_pg_params *params);

/*
 * Add an expression to a statement: a text that is another one once the table,
 * its defaults or these sequences have changed. In one statement with the
 * rows, it is of their snapshot.
 */
void lun_pg_catalogue_add_mark(const struct lun_pg_mapping *mapping,
    struct lun_text numbers, struct lun_buffer *sql,
    struct lun_pg_params *params);

/*
 * Add an expression to a statement: whether the sequences of an outbox have
 * given out less than the number that was read last. No row is left to tell.
 */
void lun_pg_catalogue_add_set_back(const struct lun_pg_mapping *mapping,
    struct lun_text numbers, struct lun_position after, struct lun_buffer *sql,
    struct lun_pg_params *params);

#endif
