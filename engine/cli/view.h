/*
 * view.h - the engine's JSON results, as people and programs want them.
 */

#ifndef LUN_CLI_VIEW_H
#define LUN_CLI_VIEW_H

#include <stdio.h>

#include "cli/command.h"
#include "cli/table.h"
#include "lunette.h"
#include "json/scan.h"

/* An object taken apart; its texts are borrowed. Zero is the empty state. */
struct cli_object {
	size_t count, capacity;
	struct lun_json_member *members;
};

/*
 * From an answer of the engine, which is valid JSON. May be called again on
 * the same object. LUN_NOTFOUND if it is none.
 */
enum lun_code cli_view_object(struct lun_text json, struct cli_object *object,
    struct lun_err *err) LUN_MUSTCHECK;
void cli_view_object_free(struct cli_object *object);

/* Whether a member is a string equal to text. */
bool cli_view_is(struct lun_text json, const char *key, const char *text);

/*
 * The text of a member without quotes and escapes, to be freed; "" if it is
 * null or absent. NULL when out of memory.
 */
char *cli_view_text(const struct cli_object *object, const char *key);
/* A number; `otherwise` if it is null or absent. */
double cli_view_number(
    const struct cli_object *object, const char *key, double otherwise);
/* Whether a member is there, and not null; and whether it is false. */
bool cli_view_there(const struct cli_object *object, const char *key);
bool cli_view_false(const struct cli_object *object, const char *key);

/* A member as a cell of a table. member NULL: nothing there. */
void cli_view_cell(
    struct cli_table *table, const struct lun_json_member *member);

/*
 * An array of objects: a table, or (for --json) one object in each line.
 * columns are the keys a table shows, ending with NULL, the last of them
 * prose; NULL: every key, and no prose.
 */
enum lun_code cli_view_rows(const struct cli *cli, struct lun_text json,
    const char *const *columns, struct lun_err *err) LUN_MUSTCHECK;

/* One object: a line for each member, or (for --json) as it is. */
enum lun_code cli_view_one(const struct cli *cli, struct lun_text json,
    struct lun_err *err) LUN_MUSTCHECK;

/* An array as JSON, one element in each line. */
void cli_view_json_lines(struct lun_text array, FILE *out);

#endif
