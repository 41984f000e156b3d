/*
 * models_commit.c - loading and committing models in memory.
 *
 * A commit first makes everything it needs: new rows, a new order of rows,
 * copies of parked and skipped events. Only when nothing can fail any more is
 * it installed, so it is all or nothing.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "memory/models.h"

/* ---- rows -------------------------------------------------------------- */

static struct memory_row *
new_row(struct lun_text id, struct lun_text values)
{
	struct memory_row *row =
	    malloc(sizeof *row + id.length + values.length);

	if (row == NULL)
		return NULL;
	memcpy(row->bytes, id.bytes, id.length);
	if (values.length > 0)
		memcpy(row->bytes + id.length, values.bytes, values.length);
	row->id = (struct lun_text){row->bytes, id.length};
	row->values = (struct lun_text){row->bytes + id.length, values.length};
	return row;
}

static struct memory_row *
find_row(const struct lun_schema *schema, const struct memory_rows *rows,
    struct lun_text id)
{
	size_t low = 0, high = rows->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order =
		    lun_model_id_compare(schema, id, rows->at[middle]->id);

		if (order == 0)
			return rows->at[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* Free an order of rows, and those rows that the other order lacks. */
static void
free_rows(const struct lun_schema *schema, struct memory_rows *rows,
    const struct memory_rows *other)
{
	size_t j = 0;

	for (size_t i = 0; i < rows->count; i++) {
		struct memory_row *row = rows->at[i];

		while (
		    j < other->count && other->at[j] != row &&
		    lun_model_id_compare(schema, other->at[j]->id, row->id) < 0)
			j++;
		if (j == other->count || other->at[j] != row)
			free(row);
	}
	free(rows->at);
	*rows = (struct memory_rows){0};
}

static int
compare_writes_by_id(const void *a, const void *b, void *schema)
{
	const struct lun_model_write *x = a, *y = b;

	return lun_model_id_compare(schema, x->id, y->id);
}

/* Both in the order of ids; on failure *merged holds what was made so far. */
static bool
merge_rows(const struct lun_schema *schema, const struct memory_rows *old,
    const struct lun_model_write *writes, size_t count,
    struct memory_rows *merged)
{
	size_t i = 0, j = 0;

	merged->at = malloc((old->count + count + 1) * sizeof *merged->at);
	if (merged->at == NULL)
		return false;
	while (i < old->count || j < count) {
		int order;

		if (i == old->count)
			order = 1;
		else if (j == count)
			order = -1;
		else
			order = lun_model_id_compare(
			    schema, old->at[i]->id, writes[j].id);
		if (order < 0) {
			merged->at[merged->count++] = old->at[i++];
			continue;
		}
		i += order == 0;
		if (writes[j].row.bytes != NULL) {
			struct memory_row *row =
			    new_row(writes[j].id, writes[j].row);

			if (row == NULL)
				return false;
			merged->at[merged->count++] = row;
		}
		j++;
	}
	return true;
}

static bool
merge_writes(const struct memory_rows *old, const struct lun_write_set *set,
    struct memory_rows *merged)
{
	size_t size = set->model_count * sizeof *set->models;
	struct lun_model_write *sorted = malloc(size + 1);
	bool done;

	if (sorted == NULL)
		return false;
	if (size > 0)
		memcpy(sorted, set->models, size);
	qsort_r(sorted, set->model_count, sizeof *sorted, compare_writes_by_id,
	    (void *)(uintptr_t)set->schema);
	done = merge_rows(set->schema, old, sorted, set->model_count, merged);
	free(sorted);
	return done;
}

enum lun_code
lun_memory_load(struct lun_model_store *store, struct lun_key key,
    const struct lun_schema *schema, const struct lun_text *ids, size_t count,
    lun_model_fn *model, void *arg, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct memory_build *build;
	enum lun_code code;

	code = lun_memory_find_models(data, key, schema, &build, err);
	for (size_t i = 0; code == LUN_OK && i < count; i++) {
		struct memory_row *row = find_row(schema, &build->rows, ids[i]);

		if (row != NULL)
			code = model(arg, row->id, row->values, err);
	}
	lun_memory_unlock(data);
	return code;
}

/* ---- parked and skipped events ----------------------------------------- */

static struct lun_text
copy_into_event(char **at, struct lun_text text)
{
	struct lun_text copy = {*at, text.length};

	if (text.bytes == NULL)
		return LUN_TEXT_NONE;
	memcpy(*at, text.bytes, text.length);
	*at += text.length;
	return copy;
}

static struct memory_item *
new_item(const struct lun_failed_event *from)
{
	const struct lun_event *event = &from->event;
	size_t length = from->model_id.length + from->error.length +
			event->id.length + event->stream.length +
			event->type.length + event->data.length +
			event->metadata.length + event->tenant.length;
	struct memory_item *item = malloc(sizeof *item + length);
	struct lun_failed_event *to;
	char *at;

	if (item == NULL)
		return NULL;
	at = item->bytes;
	to = &item->failed_event;
	item->removed = false;
	*to = *from;
	to->model_id = copy_into_event(&at, from->model_id);
	to->error = copy_into_event(&at, from->error);
	to->event.id = copy_into_event(&at, event->id);
	to->event.stream = copy_into_event(&at, event->stream);
	to->event.type = copy_into_event(&at, event->type);
	to->event.data = copy_into_event(&at, event->data);
	to->event.metadata = copy_into_event(&at, event->metadata);
	to->event.tenant = copy_into_event(&at, event->tenant);
	return item;
}

static struct memory_item **
find_item(const struct memory_items *items, int64_t number)
{
	size_t low = 0, high = items->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (items->at[middle]->failed_event.number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == items->count ||
	    items->at[low]->failed_event.number != number)
		return NULL;
	return &items->at[low];
}

/* One for each new error whose event is there; NULL for the others. */
static bool
copy_with_errors(const struct memory_items *old,
    const struct lun_new_error *errors, size_t count, struct memory_items *made)
{
	made->at = calloc(count + 1, sizeof *made->at);
	if (made->at == NULL)
		return false;
	for (; made->count < count; made->count++) {
		const struct lun_new_error *error = &errors[made->count];
		struct memory_item **found = find_item(old, error->number);
		struct lun_failed_event changed;

		if (found == NULL)
			continue;
		changed = (*found)->failed_event;
		changed.error = error->error;
		made->at[made->count] = new_item(&changed);
		if (made->at[made->count] == NULL)
			return false;
	}
	return true;
}

static void
free_items(struct memory_items *items)
{
	for (size_t i = 0; i < items->count; i++)
		free(items->at[i]);
	free(items->at);
	*items = (struct memory_items){0};
}

/* Copies of the new items, behind room for the old ones. */
static bool
copy_items(const struct memory_items *old, const struct lun_failed_event *from,
    size_t count, struct memory_items *made)
{
	made->at = malloc((old->count + count + 1) * sizeof *made->at);
	if (made->at == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		made->at[i] = new_item(&from[i]);
		if (made->at[i] == NULL)
			return false;
		made->count++;
	}
	return true;
}

/* Number the new items and put them behind the old ones. Cannot fail. */
static void
append_items(struct memory_data *data, struct memory_items *old,
    struct memory_items *made)
{
	for (size_t i = 0; i < made->count; i++)
		made->at[i]->failed_event.number = ++data->last_number;
	memmove(
	    made->at + old->count, made->at, made->count * sizeof *made->at);
	if (old->count > 0)
		memcpy(made->at, old->at, old->count * sizeof *made->at);
	made->count += old->count;
	free(old->at);
	*old = *made;
	*made = (struct memory_items){0};
}

/* The copies replace the items. Cannot fail. */
static void
replace_items(const struct memory_items *items, struct memory_items *copies)
{
	for (size_t i = 0; i < copies->count; i++) {
		struct memory_item *copy = copies->at[i], **found;

		if (copy == NULL)
			continue;
		found = find_item(items, copy->failed_event.number);
		copies->at[i] = *found;
		*found = copy;
	}
}

/* Only marks the items; they are taken out by the function below. */
static void
mark_items(
    const struct memory_items *items, const int64_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct memory_item **found = find_item(items, numbers[i]);

		if (found != NULL)
			(*found)->removed = true;
	}
}

static void
remove_marked(struct memory_items *items)
{
	size_t kept = 0;

	for (size_t i = 0; i < items->count; i++) {
		if (items->at[i]->removed)
			free(items->at[i]);
		else
			items->at[kept++] = items->at[i];
	}
	items->count = kept;
}

static void
keep_latest(struct memory_items *items)
{
	for (size_t i = 0; i + LUN_MEMORY_SKIPPED_MAX < items->count; i++)
		items->at[i]->removed = true;
	remove_marked(items);
}

void
lun_memory_clear_shard(struct memory_shard *shard)
{
	free_items(&shard->parked);
	free_items(&shard->skipped);
	lun_checkpoint_free(&shard->checkpoint);
}

/* ---- bundles ----------------------------------------------------------- */

void
lun_memory_clear_build(struct memory_build *build)
{
	const struct memory_rows none = {0};

	free_rows(NULL, &build->rows, &none);
	lun_buffer_free(&build->schema);
	while (build->bundles != NULL) {
		struct memory_bundle *next = build->bundles->next;

		free(build->bundles);
		build->bundles = next;
	}
}

/* *made stays NULL where the build has a bundle of this hash. */
static bool
copy_bundle(const struct memory_build *build, const struct lun_write_set *set,
    struct memory_bundle **made)
{
	const struct memory_bundle *old = build->bundles;

	while (old != NULL && strcmp(old->hash, set->bundle_hash) != 0)
		old = old->next;
	if (old != NULL)
		return true;
	*made = malloc(sizeof **made + set->bundle.length);
	if (*made == NULL)
		return false;
	snprintf((*made)->hash, sizeof(*made)->hash, "%s", set->bundle_hash);
	(*made)->first_position = set->position;
	(*made)->first_at = lun_clock_wall_us();
	(*made)->length = set->bundle.length;
	if (set->bundle.length > 0)
		memcpy((*made)->text, set->bundle.bytes, set->bundle.length);
	return true;
}

/* ---- the commit -------------------------------------------------------- */

/* What a commit has made before it changes anything. */
struct made {
	struct memory_rows rows;
	struct memory_items parked;
	struct memory_items failed_again;
	struct memory_items skipped;
	struct memory_bundle *bundle;
	struct lun_buffer source_state;
};

static bool
make_commit(const struct memory_shard *p, const struct lun_write_set *set,
    struct made *made)
{
	lun_buffer_add_text(&made->source_state, set->source_state);
	return !made->source_state.failed &&
	       merge_writes(&p->build->rows, set, &made->rows) &&
	       copy_bundle(p->build, set, &made->bundle) &&
	       copy_items(
		   &p->parked, set->parked, set->parked_count, &made->parked) &&
	       copy_with_errors(&p->parked, set->new_errors,
		   set->new_error_count, &made->failed_again) &&
	       copy_items(&p->skipped, set->skipped, set->skipped_count,
		   &made->skipped);
}

static void
set_checkpoint_of_commit(
    struct memory_shard *shard, const struct lun_write_set *set)
{
	struct lun_checkpoint *c = &shard->checkpoint;

	if (strcmp(c->bundle_hash, set->bundle_hash) != 0)
		snprintf(shard->build->bundle_hash,
		    sizeof shard->build->bundle_hash, "%s", set->bundle_hash);
	snprintf(c->bundle_hash, sizeof c->bundle_hash, "%s", set->bundle_hash);
	snprintf(c->identity, sizeof c->identity, "%s", set->identity);
	c->position = set->position;
	c->committed_at = lun_clock_wall_us();
	c->skipped_count += set->skipped_count;
	c->revision++;
	if (set->model_count > 0)
		c->rows_revision = c->revision;
}

/* Both cannot fail. */
static void
put_in_build(struct memory_build *build, const struct lun_schema *schema,
    struct made *made)
{
	struct memory_rows old_rows = build->rows;

	build->rows = made->rows;
	made->rows = (struct memory_rows){0};
	free_rows(schema, &old_rows, &build->rows);
	if (made->bundle == NULL)
		return;
	made->bundle->next = build->bundles;
	build->bundles = made->bundle;
	made->bundle = NULL;
}

/* What is left over in made is freed by its owner. */
static void
install_commit(struct memory_data *data, struct memory_shard *p,
    const struct lun_write_set *set, struct made *made)
{
	struct lun_buffer old_state = p->checkpoint.source_state;

	put_in_build(p->build, set->schema, made);
	p->checkpoint.source_state = made->source_state;
	made->source_state = old_state;
	replace_items(&p->parked, &made->failed_again);
	mark_items(&p->parked, set->unparked, set->unparked_count);
	remove_marked(&p->parked);
	append_items(data, &p->parked, &made->parked);
	append_items(data, &p->skipped, &made->skipped);
	keep_latest(&p->skipped);
	set_checkpoint_of_commit(p, set);
}

static enum lun_code
commit_write_set(struct memory_data *data, struct memory_shard *p,
    const struct lun_write_set *set, struct lun_err *err)
{
	struct made made = {0};
	enum lun_code code = LUN_OK;

	if (make_commit(p, set, &made))
		install_commit(data, p, set, &made);
	else
		code = lun_fail(err, LUN_NOMEM, "commit \"%s\": out of memory",
		    p->projection);
	free_rows(set->schema, &made.rows, &p->build->rows);
	free(made.bundle);
	free_items(&made.parked);
	free_items(&made.failed_again);
	free_items(&made.skipped);
	lun_buffer_free(&made.source_state);
	return code;
}

enum lun_code
lun_memory_commit(struct lun_model_store *store,
    const struct lun_write_set *set, struct lun_err *err)
{
	struct memory_data *data = lun_memory_lock(store);
	struct lun_guard guard = {set->expected_revision, set->fence};
	struct memory_shard *p;
	enum lun_code code;

	code = lun_memory_guard(data, set->key, guard, &p, err);
	if (code == LUN_OK)
		code = commit_write_set(data, p, set, err);
	lun_memory_unlock(data);
	return code;
}
