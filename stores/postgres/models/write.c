/*
 * write.c - models as rows of a table: writing them.
 *
 * Where there are enough of them, models that were not there by COPY, and those
 * that were by UPDATE: that is a tenth faster than ON CONFLICT, which locks each
 * row first, and writes 40 % less into the server's log. The rest ON CONFLICT,
 * in the pipeline. But for COPY rows come as arrays, by unnest.
 */

#include <stdlib.h>

#include "postgres/models/models.h"

#define WRITE_ROWS  5000 /* of one statement: 50,000 are slower by half */
#define WRITE_BYTES ((size_t)4 << 20)
#define MANY_ROWS   500 /* fewer are not worth two more round trips */
#define PIECE_BYTES ((size_t)256 << 10)

const char *
lun_pg_column_type(enum lun_field_type type)
{
	static const char *const types[] = {
	    [LUN_FIELD_TEXT] = "text",
	    [LUN_FIELD_INTEGER] = "bigint",
	    [LUN_FIELD_NUMBER] = "double precision",
	    [LUN_FIELD_BOOLEAN] = "boolean",
	    [LUN_FIELD_TIMESTAMP] = "timestamptz",
	    [LUN_FIELD_JSON] = "jsonb",
	};

	return types[type];
}

enum lun_pg_type
lun_pg_array_type(enum lun_field_type type)
{
	static const enum lun_pg_type arrays[] = {
	    [LUN_FIELD_TEXT] = LUN_PG_TEXT_ARRAY,
	    [LUN_FIELD_INTEGER] = LUN_PG_INT8_ARRAY,
	    [LUN_FIELD_NUMBER] = LUN_PG_FLOAT8_ARRAY,
	    [LUN_FIELD_BOOLEAN] = LUN_PG_BOOL_ARRAY,
	    [LUN_FIELD_TIMESTAMP] = LUN_PG_TIMESTAMPTZ_ARRAY,
	    [LUN_FIELD_JSON] = LUN_PG_JSONB_ARRAY,
	};

	return arrays[type];
}

void
lun_pg_element_id(struct lun_pg_params *params, const struct lun_schema *schema,
    struct lun_text id)
{
	struct lun_value value = lun_model_id_value(schema, id);

	if (value.kind == LUN_VALUE_INTEGER)
		lun_pg_element_int8(params, value.integer);
	else
		lun_pg_element_text(params, id);
}

static void
add_element(struct pg_writes *w, const struct lun_value *value)
{
	struct lun_pg_params *params = &w->m->params;

	switch (value->kind) {
	case LUN_VALUE_NULL:
		lun_pg_element_null(params);
		break;
	case LUN_VALUE_TEXT:
		lun_pg_element_text(params, value->text);
		break;
	case LUN_VALUE_INTEGER:
		lun_pg_element_int8(params, value->integer);
		break;
	case LUN_VALUE_NUMBER:
		lun_pg_element_number(params, value->number);
		break;
	case LUN_VALUE_BOOLEAN:
		lun_pg_element_bool(params, value->integer != 0);
		break;
	case LUN_VALUE_TIMESTAMP:
		lun_pg_element_time(params, value->integer);
		break;
	case LUN_VALUE_JSON:
		lun_pg_element_jsonb(
		    params, lun_pg_json_to_send(value->text, &w->scratch));
		params->failed |= w->scratch.failed;
		break;
	}
}

static enum lun_code
refuse_misfit(const struct pg_writes *w, struct lun_err *err)
{
	return lun_fail(err, LUN_INVALID,
	    "write \"%s\": a row does not fit the schema",
	    w->schema->projection);
}

/* ---- sorting ----------------------------------------------------------- */

static enum pg_way_to_write
way_of(const struct pg_writes *w, const struct lun_model_write *write)
{
	if (write->row.bytes == NULL)
		return PG_DELETE;
	if (write->is_new)
		return w->copies ? PG_COPY : PG_UPSERT;
	return w->updates ? PG_UPDATE : PG_UPSERT;
}

/* Neighbours in the index are written one after the other. */
static int
compare_writes(const void *a, const void *b, void *writes)
{
	const struct lun_model_write *x = a, *y = b;
	const struct pg_writes *w = writes;
	int order = (int)way_of(w, x) - (int)way_of(w, y);

	return order != 0 ? order
			  : lun_model_id_compare(w->schema, x->id, y->id);
}

static void
choose_ways(struct pg_writes *w, const struct lun_write_set *set, bool trust)
{
	size_t fresh = 0, stored = 0;

	for (size_t i = 0; i < set->model_count; i++) {
		const struct lun_model_write *write = &set->models[i];

		if (write->row.bytes == NULL)
			continue;
		if (write->is_new)
			fresh++;
		else
			stored++;
	}
	w->copies = trust && fresh >= MANY_ROWS;
	w->updates =
	    trust && stored >= MANY_ROWS && set->schema->field_count > 0;
}

enum lun_code
lun_pg_sort_writes(struct pg_models *m, const struct lun_write_set *set,
    bool trust, struct pg_writes *w, struct lun_err *err)
{
	*w = (struct pg_writes){.m = m, .key = set->key, .schema = set->schema};
	w->sorted = calloc(set->model_count + 1, sizeof *w->sorted);
	w->rows = calloc(WRITE_ROWS, sizeof *w->rows);
	if (w->sorted == NULL || w->rows == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	choose_ways(w, set, trust);
	for (size_t i = 0; i < set->model_count; i++) {
		w->sorted[i] = set->models[i];
		w->counts[way_of(w, &set->models[i])]++;
	}
	qsort_r(
	    w->sorted, set->model_count, sizeof *w->sorted, compare_writes, w);
	return LUN_OK;
}

static struct lun_model_write *
first_of(const struct pg_writes *w, enum pg_way_to_write way)
{
	size_t before = 0;

	for (int i = 0; i < (int)way; i++)
		before += w->counts[i];
	return w->sorted + before;
}

void
lun_pg_free_writes(struct pg_writes *w)
{
	lun_buffer_free(&w->scratch);
	free(w->rows);
	free(w->sorted);
}

/* ---- COPY -------------------------------------------------------------- */

static void
add_count(struct lun_buffer *out, size_t count)
{
	lun_buffer_add_byte(out, (char)(count >> 8 & 0xff));
	lun_buffer_add_byte(out, (char)(count & 0xff));
}

/* A row in COPY's binary form is a count, and elements as those of arrays. */
static enum lun_code
add_row(struct pg_writes *w, const struct lun_model_write *write,
    struct lun_err *err)
{
	struct lun_text rest = write->row;
	size_t fields = w->schema->field_count, given = 0;
	struct lun_value value;

	add_count(&w->m->params.kept, fields + 1);
	lun_pg_element_id(&w->m->params, w->schema, write->id);
	for (; given < fields && lun_row_next(&rest, &value); given++)
		add_element(w, &value);
	return given == fields && rest.length == 0 ? LUN_OK
						   : refuse_misfit(w, err);
}

static enum lun_code
send_piece(struct pg_models *m, struct lun_err *err)
{
	enum lun_code code;

	if (m->params.failed || m->params.kept.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	code = lun_pg_copy_send(m->c, lun_buffer_text(&m->params.kept), err);
	lun_pg_params_clear(&m->params);
	return code;
}

static enum lun_code
send_rows(struct pg_writes *w, struct lun_err *err)
{
	static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
	const struct lun_model_write *fresh = first_of(w, PG_COPY);
	struct lun_buffer *kept = &w->m->params.kept;
	enum lun_code code = LUN_OK;

	lun_buffer_add(kept, head, sizeof head);
	for (size_t i = 0; code == LUN_OK && i < w->counts[PG_COPY]; i++) {
		code = add_row(w, &fresh[i], err);
		if (code == LUN_OK && kept->length >= PIECE_BYTES)
			code = send_piece(w->m, err);
	}
	add_count(kept, 0xffff);
	return code == LUN_OK ? send_piece(w->m, err) : code;
}

enum lun_code
lun_pg_copy_fresh(struct pg_writes *w, struct lun_err *err)
{
	struct pg_models *m = w->m;
	enum lun_code code, outcome;

	if (!w->copies)
		return LUN_OK;
	lun_pg_begin_sql(m, "COPY ");
	lun_pg_add_table(m, w->key);
	lun_pg_add_sql(m, " (");
	lun_sql_add_columns(&m->sql, w->schema);
	lun_pg_add_sql(m, ") FROM STDIN (FORMAT binary)");
	lun_buffer_add_byte(&m->sql, '\0');
	if (m->sql.failed)
		return lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", lun_pg_name(m->c));
	code = lun_pg_copy_begin(m->c, m->sql.bytes, err);
	if (code != LUN_OK)
		return code;
	code = send_rows(w, err);
	lun_pg_params_clear(&m->params);
	outcome =
	    lun_pg_copy_end(m->c, code == LUN_OK, code == LUN_OK ? err : NULL);
	return code != LUN_OK ? code : outcome;
}

/* ---- arrays ------------------------------------------------------------ */

/* Column after column, each an array; the rows are read side by side. */
static enum lun_code
add_arrays(struct pg_writes *w, const struct lun_model_write *writes,
    size_t count, struct lun_err *err)
{
	struct lun_pg_params *params = &w->m->params;
	struct lun_value value;

	lun_pg_begin_array(
	    params, lun_pg_array_type(w->schema->key_type), count);
	for (size_t i = 0; i < count; i++) {
		lun_pg_element_id(params, w->schema, writes[i].id);
		w->rows[i] = writes[i].row;
	}
	lun_pg_end_array(params);
	for (size_t f = 0; f < w->schema->field_count; f++) {
		lun_pg_begin_array(params,
		    lun_pg_array_type(w->schema->fields[f].type), count);
		for (size_t i = 0; i < count; i++) {
			if (!lun_row_next(&w->rows[i], &value))
				return refuse_misfit(w, err);
			add_element(w, &value);
		}
		lun_pg_end_array(params);
	}
	for (size_t i = 0; i < count; i++)
		if (w->rows[i].length > 0)
			return refuse_misfit(w, err);
	return LUN_OK;
}

static void
add_unnest(struct pg_models *m, const struct lun_schema *schema)
{
	lun_buffer_printf(
	    &m->sql, "unnest($1::%s[]", lun_pg_column_type(schema->key_type));
	for (size_t i = 0; i < schema->field_count; i++)
		lun_buffer_printf(&m->sql, ", $%zu::%s[]", i + 2,
		    lun_pg_column_type(schema->fields[i].type));
	lun_pg_add_sql(m, ")");
}

static void
write_upsert(
    struct pg_models *m, struct lun_key key, const struct lun_schema *schema)
{
	lun_pg_begin_sql(m, "INSERT INTO ");
	lun_pg_add_table(m, key);
	lun_pg_add_sql(m, " (");
	lun_sql_add_columns(&m->sql, schema);
	lun_pg_add_sql(m, ") SELECT * FROM ");
	add_unnest(m, schema);
	lun_sql_add_conflict(&m->sql, schema);
}

static void
write_update(
    struct pg_models *m, struct lun_key key, const struct lun_schema *schema)
{
	lun_pg_begin_sql(m, "UPDATE ");
	lun_pg_add_table(m, key);
	lun_pg_add_sql(m, " AS t SET ");
	for (size_t i = 0; i < schema->field_count; i++) {
		lun_pg_add_sql(m, i > 0 ? ", " : "");
		lun_sql_quote(&m->sql, schema->fields[i].name);
		lun_buffer_printf(&m->sql, " = n.c%zu", i + 2);
	}
	lun_pg_add_sql(m, " FROM ");
	add_unnest(m, schema);
	lun_pg_add_sql(m, " AS n (c1");
	for (size_t i = 0; i < schema->field_count; i++)
		lun_buffer_printf(&m->sql, ", c%zu", i + 2);
	lun_pg_add_sql(m, ") WHERE t.\"id\" = n.c1");
}

typedef void sql_fn(
    struct pg_models *m, struct lun_key key, const struct lun_schema *schema);

static enum lun_code
begin_write(struct pg_writes *w, const struct lun_model_write *writes,
    size_t count, sql_fn *write_sql, struct lun_err *err)
{
	enum lun_code code = add_arrays(w, writes, count, err);

	if (code != LUN_OK)
		lun_pg_params_clear(&w->m->params);
	else
		write_sql(w->m, w->key, w->schema);
	return code;
}

static enum lun_code
upsert_models(struct pg_writes *w, const struct lun_model_write *writes,
    size_t count, struct lun_err *err)
{
	enum lun_code code = begin_write(w, writes, count, write_upsert, err);

	return code == LUN_OK ? lun_pg_pipeline_sql(w->m, err) : code;
}

/* Somebody may have deleted one of them by hand. */
static enum lun_code
update_models(struct pg_writes *w, const struct lun_model_write *writes,
    size_t count, struct lun_err *err)
{
	PGresult *result = NULL;
	enum lun_code code = begin_write(w, writes, count, write_update, err);
	uint64_t changed;

	if (code == LUN_OK)
		code = lun_pg_run_sql(w->m, &result, err);
	if (code != LUN_OK)
		return code;
	changed = lun_pg_changed(result);
	PQclear(result);
	if (changed == count)
		return LUN_OK;
	code = begin_write(w, writes, count, write_upsert, err);
	return code == LUN_OK ? lun_pg_run_sql(w->m, NULL, err) : code;
}

static enum lun_code
delete_models(struct pg_writes *w, const struct lun_model_write *writes,
    size_t count, struct lun_err *err)
{
	struct lun_pg_params *params = &w->m->params;

	lun_pg_begin_array(
	    params, lun_pg_array_type(w->schema->key_type), count);
	for (size_t i = 0; i < count; i++)
		lun_pg_element_id(params, w->schema, writes[i].id);
	lun_pg_end_array(params);
	lun_pg_begin_sql(w->m, "DELETE FROM ");
	lun_pg_add_table(w->m, w->key);
	lun_pg_add_sql(w->m, " WHERE \"id\" = ANY ($1)");
	return lun_pg_pipeline_sql(w->m, err);
}

/* How many of the writes, all of one kind, make up one statement. */
static size_t
measure_chunk(const struct lun_model_write *writes, size_t count)
{
	size_t bytes = 0, n = 0;

	while (n < count && n < WRITE_ROWS && bytes < WRITE_BYTES) {
		bytes += writes[n].id.length + writes[n].row.length;
		n++;
	}
	return n;
}

typedef enum lun_code write_fn(struct pg_writes *w,
    const struct lun_model_write *writes, size_t count, struct lun_err *err);

static enum lun_code
write_chunks(struct pg_writes *w, enum pg_way_to_write way, write_fn *write,
    struct lun_err *err)
{
	const struct lun_model_write *next = first_of(w, way);
	const struct lun_model_write *end = next + w->counts[way];
	enum lun_code code = LUN_OK;
	size_t n;

	for (; code == LUN_OK && next < end; next += n) {
		n = measure_chunk(next, (size_t)(end - next));
		code = write(w, next, n, err);
	}
	return code;
}

/* Each row is found by its id, however many the server takes them for. */
const char *
lun_pg_settings_to_write(const struct pg_writes *w)
{
	return w->updates ? "SET LOCAL enable_hashjoin = off; "
			    "SET LOCAL enable_mergejoin = off; "
			  : "";
}

enum lun_code
lun_pg_update_stored(struct pg_writes *w, struct lun_err *err)
{
	return write_chunks(w, PG_UPDATE, update_models, err);
}

enum lun_code
lun_pg_write_models(struct pg_writes *w, struct lun_err *err)
{
	enum lun_code code = write_chunks(w, PG_DELETE, delete_models, err);

	return code == LUN_OK ? write_chunks(w, PG_UPSERT, upsert_models, err)
			      : code;
}
