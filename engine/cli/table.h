/*
 * table.h - columns of text for people.
 *
 * Widths are counted in terminal cells. A column whose cells are all numbers
 * is set flush right. What would disturb a terminal is shown as an escape.
 */

#ifndef LUN_CLI_TABLE_H
#define LUN_CLI_TABLE_H

#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"
#include "lunette.h"

enum cli_cell {
	CLI_CELL_TEXT,
	CLI_CELL_NUMBER,
	CLI_CELL_NONE, /* nothing there; shown as a dash */
};

struct cli_table;

/* NULL when out of memory. */
struct cli_table *cli_table_new(void);
/* NULL is allowed. */
void cli_table_free(struct cli_table *table);

/* All columns first, then the cells, row by row. */
void cli_table_column(struct cli_table *table, struct lun_text title);
void cli_table_cell(
    struct cli_table *table, enum cli_cell kind, struct lun_text text);

/*
 * The last column is prose: where a line has no room for all of it, it stands
 * whole in a line of its own, below its row.
 */
void cli_table_prose(struct cli_table *table);

/* Number of whole rows. */
size_t cli_table_rows(const struct cli_table *table);
/* Forget the rows, keep the columns. */
void cli_table_clear(struct cli_table *table);

/* columns: cut cells so that lines fit; 0: never cut. */
enum lun_code cli_table_print(const struct cli_table *table, FILE *out,
    int columns, bool titles, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Append text with control characters as escapes and at most `width` cells
 * (0: all of it); returns the cells used.
 */
struct lun_buffer;
int cli_printable(struct lun_buffer *out, struct lun_text text, int width);

#endif
