/* view.c - the engine's JSON results, as people and programs want them. */

#include "cli/view.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/screen.h"

#define MEMBERS_FIRST 32

/* ---- members ----------------------------------------------------------- */

static bool
reserve_members(struct cli_object *object, size_t wanted)
{
	struct lun_json_member *grown;

	if (wanted <= object->capacity)
		return true;
	if (wanted < 2 * object->capacity)
		wanted = 2 * object->capacity;
	if (wanted < MEMBERS_FIRST)
		wanted = MEMBERS_FIRST;
	grown = realloc(object->members, wanted * sizeof *grown);
	if (grown == NULL)
		return false;
	object->members = grown;
	object->capacity = wanted;
	return true;
}

enum lun_code
cli_view_object(
    struct lun_text json, struct cli_object *object, struct lun_err *err)
{
	struct lun_json_member member;

	object->count = 0;
	if (json.length == 0 || json.bytes[0] != '{')
		return lun_fail(err, LUN_NOTFOUND, "not a JSON object");
	while (lun_json_next_member(&json, &member)) {
		if (!reserve_members(object, object->count + 1))
			return lun_fail(err, LUN_NOMEM, "out of memory");
		object->members[object->count++] = member;
	}
	return LUN_OK;
}

void
cli_view_object_free(struct cli_object *object)
{
	free(object->members);
	*object = (struct cli_object){0};
}

static const struct lun_json_member *
member_of(const struct cli_object *object, const char *key)
{
	return lun_json_find(object->members, object->count, key);
}

static void
add_plain(const struct lun_json_member *member, struct lun_buffer *out)
{
	if (member->kind == LUN_JSON_STRING)
		lun_json_unescape(member->value, out);
	else if (member->kind != LUN_JSON_NULL)
		lun_buffer_add_text(out, member->value);
}

char *
cli_view_text(const struct cli_object *object, const char *key)
{
	const struct lun_json_member *member = member_of(object, key);
	struct lun_buffer plain = {0};

	if (member != NULL)
		add_plain(member, &plain);
	return lun_buffer_take(&plain);
}

bool
cli_view_is(struct lun_text json, const char *key, const char *text)
{
	struct cli_object object = {0};
	char *plain = NULL;
	bool equal;

	if (cli_view_object(json, &object, NULL) == LUN_OK)
		plain = cli_view_text(&object, key);
	equal = plain != NULL && strcmp(plain, text) == 0;
	free(plain);
	cli_view_object_free(&object);
	return equal;
}

double
cli_view_number(
    const struct cli_object *object, const char *key, double otherwise)
{
	const struct lun_json_member *member = member_of(object, key);

	if (member == NULL || (member->kind != LUN_JSON_INTEGER &&
				  member->kind != LUN_JSON_NUMBER))
		return otherwise;
	return lun_json_number(member->value);
}

bool
cli_view_there(const struct cli_object *object, const char *key)
{
	const struct lun_json_member *member = member_of(object, key);

	return member != NULL && member->kind != LUN_JSON_NULL;
}

bool
cli_view_false(const struct cli_object *object, const char *key)
{
	const struct lun_json_member *member = member_of(object, key);

	return member != NULL && member->kind == LUN_JSON_FALSE;
}

/* ---- tables ------------------------------------------------------------ */

void
cli_view_cell(struct cli_table *table, const struct lun_json_member *member)
{
	struct lun_buffer plain = {0};
	enum cli_cell kind = CLI_CELL_TEXT;

	if (member == NULL || member->kind == LUN_JSON_NULL) {
		cli_table_cell(table, CLI_CELL_NONE, LUN_TEXT_NONE);
		return;
	}
	if (member->kind == LUN_JSON_INTEGER || member->kind == LUN_JSON_NUMBER)
		kind = CLI_CELL_NUMBER;
	add_plain(member, &plain);
	cli_table_cell(table, kind, lun_buffer_text(&plain));
	lun_buffer_free(&plain);
}

static bool
same_key(const struct lun_json_member *a, const struct lun_json_member *b)
{
	return a->key_escaped == b->key_escaped &&
	       lun_text_equal(a->key, b->key);
}

static const struct lun_json_member *
find_column(const struct lun_json_member *members, size_t count,
    const struct lun_json_member *wanted, size_t likely)
{
	if (likely < count && same_key(&members[likely], wanted))
		return &members[likely];
	for (size_t i = 0; i < count; i++)
		if (same_key(&members[i], wanted))
			return &members[i];
	return NULL;
}

typedef void row_fn(void *arg, const struct cli_object *object);

static enum lun_code
read_view_row(struct lun_text element, enum lun_json_kind kind,
    struct cli_object *object, struct lun_err *err)
{
	if (kind == LUN_JSON_OBJECT)
		return cli_view_object(element, object, err);
	/* What is no object is shown as the one column "value". */
	if (!reserve_members(object, 1))
		return lun_fail(err, LUN_NOMEM, "out of memory");
	object->count = 1;
	object->members[0] = (struct lun_json_member){
	    .key = LUN_TEXT("value"), .kind = kind, .value = element};
	return LUN_OK;
}

static enum lun_code
each_row(struct lun_text json, row_fn *row, void *arg, struct lun_err *err)
{
	struct cli_object object = {0};
	enum lun_code code = LUN_OK;
	enum lun_json_kind kind;
	struct lun_text element;

	while (
	    code == LUN_OK && lun_json_next_element(&json, &element, &kind)) {
		code = read_view_row(element, kind, &object, err);
		if (code == LUN_OK)
			row(arg, &object);
	}
	cli_view_object_free(&object);
	return code;
}

/* A table being filled; its columns are the keys in order of appearance. */
struct filling {
	struct cli_table *table;
	struct cli_object columns;
	bool failed;
};

static void
note_columns(void *arg, const struct cli_object *object)
{
	struct filling *filling = arg;
	struct cli_object *columns = &filling->columns;

	for (size_t i = 0; i < object->count; i++) {
		const struct lun_json_member *member = &object->members[i];

		if (find_column(columns->members, columns->count, member, i))
			continue;
		if (!reserve_members(columns, columns->count + 1)) {
			filling->failed = true;
			return;
		}
		columns->members[columns->count++] = *member;
	}
}

static void
add_cells(void *arg, const struct cli_object *object)
{
	struct filling *filling = arg;

	for (size_t i = 0; i < filling->columns.count; i++)
		cli_view_cell(
		    filling->table, find_column(object->members, object->count,
					&filling->columns.members[i], i));
}

/* The keys asked for, or all there are. */
static enum lun_code
choose_columns(struct filling *filling, struct lun_text json,
    const char *const *keys, struct lun_err *err)
{
	struct cli_object *columns = &filling->columns;

	if (keys == NULL)
		return each_row(json, note_columns, filling, err);
	for (; *keys != NULL; keys++) {
		if (!reserve_members(columns, columns->count + 1))
			return lun_fail(err, LUN_NOMEM, "out of memory");
		columns->members[columns->count++] =
		    (struct lun_json_member){.key = lun_text_of(*keys)};
	}
	return LUN_OK;
}

static enum lun_code
show_table(struct lun_text json, const char *const *keys, struct lun_err *err)
{
	struct filling filling = {.table = cli_table_new()};
	enum lun_code code;

	if (filling.table == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	if (keys != NULL)
		cli_table_prose(filling.table);
	code = choose_columns(&filling, json, keys, err);
	for (size_t i = 0; i < filling.columns.count; i++)
		cli_table_column(filling.table, filling.columns.members[i].key);
	if (code == LUN_OK)
		code = each_row(json, add_cells, &filling, err);
	if (code == LUN_OK && filling.failed)
		code = lun_fail(err, LUN_NOMEM, "out of memory");
	if (code == LUN_OK)
		code = cli_table_print(filling.table, stdout,
		    cli_screen_columns(STDOUT_FILENO, 0), true, err);
	cli_view_object_free(&filling.columns);
	cli_table_free(filling.table);
	return code;
}

void
cli_view_json_lines(struct lun_text array, FILE *out)
{
	struct lun_text element;
	enum lun_json_kind kind;
	bool first = true;

	fputs("[", out);
	while (lun_json_next_element(&array, &element, &kind)) {
		fprintf(out, "%s\n", first ? "" : ",");
		fwrite(element.bytes, 1, element.length, out);
		first = false;
	}
	fputs(first ? "]\n" : "\n]\n", out);
}

enum lun_code
cli_view_rows(const struct cli *cli, struct lun_text json,
    const char *const *columns, struct lun_err *err)
{
	if (!cli->json)
		return show_table(json, columns, err);
	cli_view_json_lines(json, stdout);
	return LUN_OK;
}

static void
add_line(struct cli_table *table, const struct lun_json_member *member)
{
	struct lun_buffer plain = {0};

	cli_table_cell(table, CLI_CELL_TEXT, member->key);
	add_plain(member, &plain);
	/* Numbers among texts are set flush left like those. */
	cli_table_cell(table,
	    member->kind == LUN_JSON_NULL ? CLI_CELL_NONE : CLI_CELL_TEXT,
	    lun_buffer_text(&plain));
	lun_buffer_free(&plain);
}

static enum lun_code
show_lines(struct lun_text json, struct lun_err *err)
{
	struct cli_table *table = cli_table_new();
	struct cli_object object = {0};
	enum lun_code code;

	if (table == NULL)
		return lun_fail(err, LUN_NOMEM, "out of memory");
	cli_table_column(table, LUN_TEXT("name"));
	cli_table_column(table, LUN_TEXT("value"));
	code = cli_view_object(json, &object, err);
	for (size_t i = 0; code == LUN_OK && i < object.count; i++)
		add_line(table, &object.members[i]);
	if (code == LUN_OK)
		code = cli_table_print(table, stdout, 0, false, err);
	cli_view_object_free(&object);
	cli_table_free(table);
	return code;
}

enum lun_code
cli_view_one(const struct cli *cli, struct lun_text json, struct lun_err *err)
{
	if (!cli->json)
		return show_lines(json, err);
	fwrite(json.bytes, 1, json.length, stdout);
	putchar('\n');
	return LUN_OK;
}
