/*
 * unit_of_work.h - the touched models of a batch, and the cache of hot models.
 *
 * Knows neither Lua nor any store. A model here is its id and its packed row.
 * The cache holds rows as of the last batch applied, whether its commit is
 * still under way or not; rows touched since the last completed commit are
 * never dropped from it, so a load from the store can never see an old row.
 *
 * One batch: begin; touch() for every (event, model id); missing() names the
 * models whose rows the store must be asked for, loaded() brings each; the
 * script host walks the touches, reads rows and puts new ones; collect() fills
 * a write set; forget() throws the batch's changes away instead.
 */

#ifndef LUN_STORE_UNIT_OF_WORK_H
#define LUN_STORE_UNIT_OF_WORK_H

#include "base/text.h"
#include "data/event.h"
#include "lunette.h"
#include "store/model_store.h"

/* "This event concerns this model", in the order of application. */
struct lun_touch {
	uint32_t event; /* index in the batch */
	uint32_t model; /* index among the batch's models */
};

struct lun_model {
	struct lun_text id;
	char *row; /* packed; NULL: there is no such model */
	size_t row_length;
	size_t row_capacity;
	bool known;     /* row says what is so; else it has to be loaded */
	bool dirty;     /* changed by this batch */
	bool parked;    /* has parked events: later ones queue behind them */
	bool stored;    /* the store has it, or will with what is collected */
	uint32_t index; /* among the batch's models */
	/* private to the unit of work */
	uint64_t hash;
	uint64_t batch;   /* the last one that touched it */
	uint64_t changed; /* the last one that changed it */
	uint64_t parking; /* the one that parked its first event */
	bool recently_used;
};

struct lun_unit_of_work;

/* NULL when out of memory. It keeps nothing between batches before a limit. */
struct lun_unit_of_work *lun_uow_new(void);
/* NULL is allowed. */
void lun_uow_free(struct lun_unit_of_work *uow);

/* From the next batch on: what may be kept between batches. */
void lun_uow_limit(struct lun_unit_of_work *uow, size_t cache_bytes);
/* The same at once, between batches; frees what large ones took besides. */
void lun_uow_shrink(struct lun_unit_of_work *uow, size_t cache_bytes);
/* Start a batch. Trims the cache, except rows not known to be committed. */
void lun_uow_begin(struct lun_unit_of_work *uow);

/* Everything collected so far is durable in the store. */
void lun_uow_settled(struct lun_unit_of_work *uow);

/* Note that event concerns model id. False when out of memory. */
bool lun_uow_touch(struct lun_unit_of_work *uow, uint32_t event,
    struct lun_text id) LUN_MUSTCHECK;

const struct lun_touch *lun_uow_touches(
    const struct lun_unit_of_work *uow, size_t *count);
/* Drop the touches from index `count` on, after a failed extraction. */
void lun_uow_cut(struct lun_unit_of_work *uow, size_t count);

/* A model of this batch by its index. */
struct lun_model *lun_uow_model(struct lun_unit_of_work *uow, uint32_t index);

/*
 * Ids whose rows are unknown, borrowed until the next call that changes the
 * unit of work; then loaded() for each found and missing_done() at the end.
 */
enum lun_code lun_uow_missing(struct lun_unit_of_work *uow,
    const struct lun_text **ids, size_t *count,
    struct lun_err *err) LUN_MUSTCHECK;
bool lun_uow_loaded(struct lun_unit_of_work *uow, struct lun_text id,
    struct lun_text row) LUN_MUSTCHECK;
void lun_uow_missing_done(struct lun_unit_of_work *uow);

/* Set a model's new row (bytes NULL: deleted). False when out of memory. */
bool lun_uow_put(struct lun_unit_of_work *uow, struct lun_model *model,
    struct lun_text row) LUN_MUSTCHECK;

/* This batch parks an event of the model: later ones queue behind it. */
void lun_uow_park(struct lun_unit_of_work *uow, struct lun_model *model);
/* Mark a model as having parked events, or as having none any more. */
bool lun_uow_mark_parked(struct lun_unit_of_work *uow, struct lun_text id,
    bool parked) LUN_MUSTCHECK;

/*
 * What the batch changed. The write set's texts are copied into `memory` and
 * `writes`, so the next batch may begin while it is being committed.
 */
struct lun_collected {
	struct lun_model_write *models;
	size_t model_count;
	size_t model_capacity;
	struct lun_buffer memory;
};
bool lun_uow_collect(struct lun_unit_of_work *uow,
    struct lun_collected *collected) LUN_MUSTCHECK;
void lun_collected_free(struct lun_collected *collected);

/* Throw away what this batch changed: those rows become unknown. */
void lun_uow_forget(struct lun_unit_of_work *uow);
/* Throw everything away: after a failed commit, a rebuild, a reload. */
void lun_uow_clear(struct lun_unit_of_work *uow);

size_t lun_uow_cache_bytes(const struct lun_unit_of_work *uow);
/* Of them what the batch has touched, or the last one had. */
size_t lun_uow_touched_bytes(const struct lun_unit_of_work *uow);

#endif
