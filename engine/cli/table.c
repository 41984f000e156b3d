/* table.c - columns of text for people. */

#include "cli/table.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/printable.h"
#include "base/utf8.h"

#define GAP       2
#define NARROWEST 8
#define ELLIPSIS  "\xe2\x80\xa6"
#define DASH      "\xe2\x80\x93"

struct cell {
	size_t at; /* in the table's bytes */
	size_t length;
	int width;
	enum cli_cell kind;
};

struct column {
	int width;
	bool right;
};

struct cli_table {
	struct lun_buffer bytes;
	struct lun_buffer cells; /* of struct cell; titles first */
	size_t columns;
	size_t title_bytes;
	bool prose; /* the last column */
};

/* ---- printable text ---------------------------------------------------- */

/*
 * The next character as it is to be shown; returns the bytes taken. What the C
 * library has no width for is escaped too.
 */
static size_t
next_shown(struct lun_text rest, char shown[LUN_PRINTABLE_SIZE], size_t *length,
    int *width)
{
	size_t taken = lun_printable_next(rest, shown, length);
	uint32_t point;

	*width = (int)*length;
	/* An escape is always longer than what it stands for. */
	if (*length > taken)
		return taken;
	point = lun_utf8_point(rest.bytes, taken);
	*width = wcwidth((wchar_t)point);
	if (*width >= 0)
		return taken;
	*length = (size_t)snprintf(
	    shown, LUN_PRINTABLE_SIZE, "\\u%04x", (unsigned)point);
	*width = (int)*length;
	return taken;
}

int
cli_printable(struct lun_buffer *out, struct lun_text text, int width)
{
	int used = 0;

	for (size_t at = 0; at < text.length;) {
		struct lun_text rest = {text.bytes + at, text.length - at};
		char shown[LUN_PRINTABLE_SIZE];
		size_t length;
		int cells;

		at += next_shown(rest, shown, &length, &cells);
		if (width > 0 && used + cells > width)
			break;
		lun_buffer_add(out, shown, length);
		used += cells;
	}
	return used;
}

/* ---- building ---------------------------------------------------------- */

struct cli_table *
cli_table_new(void)
{
	return calloc(1, sizeof(struct cli_table));
}

void
cli_table_free(struct cli_table *table)
{
	if (table == NULL)
		return;
	lun_buffer_free(&table->bytes);
	lun_buffer_free(&table->cells);
	free(table);
}

void
cli_table_cell(
    struct cli_table *table, enum cli_cell kind, struct lun_text text)
{
	struct cell cell = {.at = table->bytes.length, .kind = kind};

	if (kind == CLI_CELL_NONE)
		text = LUN_TEXT(DASH);
	cell.width = cli_printable(&table->bytes, text, 0);
	cell.length = table->bytes.length - cell.at;
	lun_buffer_add(&table->cells, &cell, sizeof cell);
}

void
cli_table_column(struct cli_table *table, struct lun_text title)
{
	cli_table_cell(table, CLI_CELL_TEXT, title);
	table->columns++;
	table->title_bytes = table->bytes.length;
}

void
cli_table_prose(struct cli_table *table)
{
	table->prose = true;
}

static const struct cell *
cells_of(const struct cli_table *table, size_t *count)
{
	*count = table->cells.length / sizeof(struct cell);
	return (const struct cell *)(const void *)table->cells.bytes;
}

size_t
cli_table_rows(const struct cli_table *table)
{
	size_t count;

	cells_of(table, &count);
	return table->columns > 0 ? count / table->columns - 1 : 0;
}

void
cli_table_clear(struct cli_table *table)
{
	table->bytes.length = table->title_bytes;
	table->cells.length = table->columns * sizeof(struct cell);
}

/* ---- printing ---------------------------------------------------------- */

static void
measure_columns(
    const struct cli_table *table, struct column *columns, bool titles)
{
	size_t count;
	const struct cell *cells = cells_of(table, &count);

	for (size_t i = 0; i < table->columns; i++)
		columns[i] = (struct column){
		    .width = titles ? cells[i].width : 0, .right = false};
	for (size_t i = table->columns; i < count; i++) {
		struct column *column = &columns[i % table->columns];

		if (cells[i].width > column->width)
			column->width = cells[i].width;
		if (cells[i].kind == CLI_CELL_NUMBER)
			column->right = true;
	}
	for (size_t i = table->columns; i < count; i++)
		if (cells[i].kind == CLI_CELL_TEXT)
			columns[i % table->columns].right = false;
}

static int
line_width(const struct column *columns, size_t count)
{
	int total = GAP * ((int)count - 1);

	for (size_t i = 0; i < count; i++)
		total += columns[i].width;
	return total;
}

/* Take cells from the widest columns until a line fits. */
static void
shrink_columns(struct column *columns, size_t count, int limit)
{
	int total = line_width(columns, count);

	while (total > limit) {
		struct column *widest = &columns[0];

		for (size_t i = 1; i < count; i++)
			if (columns[i].width > widest->width)
				widest = &columns[i];
		if (widest->width <= NARROWEST)
			return;
		widest->width--;
		total--;
	}
}

static void
add_blanks(struct lun_buffer *line, int count)
{
	for (int i = 0; i < count; i++)
		lun_buffer_add_byte(line, ' ');
}

static void
add_cell(struct lun_buffer *line, struct lun_text text, int text_width,
    const struct column *column)
{
	int blanks = column->width - text_width;

	if (column->right)
		add_blanks(line, blanks);
	if (blanks >= 0) {
		lun_buffer_add_text(line, text);
	} else {
		int used = cli_printable(line, text, column->width - 1);

		lun_buffer_add_text(line, LUN_TEXT(ELLIPSIS));
		blanks = column->width - 1 - used;
	}
	if (!column->right)
		add_blanks(line, blanks);
}

static struct lun_text
text_of(const struct cli_table *table, const struct cell *cell)
{
	return (struct lun_text){table->bytes.bytes + cell->at, cell->length};
}

/* The first `count` cells of a row. */
static void
print_row(const struct cli_table *table, const struct cell *cells, size_t count,
    const struct column *columns, struct lun_buffer *line, FILE *out)
{
	lun_buffer_clear(line);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			add_blanks(line, GAP);
		add_cell(line, text_of(table, &cells[i]), cells[i].width,
		    &columns[i]);
	}
	while (line->length > 0 && line->bytes[line->length - 1] == ' ')
		line->length--;
	lun_buffer_add_byte(line, '\n');
	fwrite(line->bytes, 1, line->length, out);
}

static void
print_prose(const struct cli_table *table, const struct cell *cell, FILE *out)
{
	struct lun_text text = text_of(table, cell);

	if (cell->kind != CLI_CELL_NONE)
		fprintf(out, "%*s%.*s\n", GAP, "", LUN_TEXT_ARG(text));
}

enum lun_code
cli_table_print(const struct cli_table *table, FILE *out, int limit,
    bool titles, struct lun_err *err)
{
	struct lun_buffer line = {0};
	struct column *columns;
	const struct cell *cells;
	size_t count, shown = table->columns;

	if (table->bytes.failed || table->cells.failed)
		return lun_fail(err, LUN_NOMEM, "printing: out of memory");
	if (table->columns == 0)
		return LUN_OK;
	columns = calloc(table->columns, sizeof *columns);
	if (columns == NULL)
		return lun_fail(err, LUN_NOMEM, "printing: out of memory");
	measure_columns(table, columns, titles);
	if (table->prose && limit > 0 && line_width(columns, shown) > limit)
		shown--;
	if (limit > 0)
		shrink_columns(columns, shown, limit);
	cells = cells_of(table, &count);
	for (size_t i = titles ? 0 : table->columns; i < count;
	     i += table->columns) {
		print_row(table, cells + i, shown, columns, &line, out);
		if (shown < table->columns && i > 0)
			print_prose(table, cells + i + shown, out);
	}
	free(columns);
	lun_buffer_free(&line);
	return LUN_OK;
}
