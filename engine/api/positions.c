/* positions.c - positions as callers write them. */

#include "api/positions.h"

#include <stdio.h>

#include "base/error.h"
#include "data/token.h"

void
lun_position_identity(struct lun_engine *engine,
    const struct lun_checkpoint *checkpoint, char identity[LUN_IDENTITY_SIZE])
{
	identity[0] = '\0';
	if (checkpoint != NULL && checkpoint->identity[0] != '\0')
		snprintf(
		    identity, LUN_IDENTITY_SIZE, "%s", checkpoint->identity);
	else if (lun_event_store_identity(engine->events, identity, NULL) !=
		 LUN_OK)
		identity[0] = '\0';
}

/* The identity in the projection's checkpoint, if it has one. */
static enum lun_code
find_identity(struct lun_engine *engine, const char *projection,
    int64_t deadline_ns, char identity[LUN_IDENTITY_SIZE], struct lun_err *err)
{
	const struct lun_reading reading = {.what = "the token for",
	    .projection = projection,
	    .stores = LUN_READS_MODELS,
	    .deadline_ns = deadline_ns};
	struct lun_checkpoint checkpoint = {0};
	struct lun_reader *reader;
	enum lun_code code = lun_reader_take(engine, &reading, &reader, err);

	if (code != LUN_OK)
		return code;
	code = lun_model_store_checkpoint(
	    reader->models, lun_only_key(projection), &checkpoint, err);
	lun_reader_give_back(engine, reader);
	if (code == LUN_OK || code == LUN_NOTFOUND)
		lun_position_identity(engine, &checkpoint, identity);
	lun_checkpoint_free(&checkpoint);
	return code == LUN_NOTFOUND ? LUN_OK : code;
}

/* A token may say what no event of the store has. */
static enum lun_code
check_position(struct lun_engine *engine, struct lun_text token,
    struct lun_position position, struct lun_err *err)
{
	char text[LUN_POSITION_MAX];
	struct lun_position read;

	lun_event_store_format_position(engine->events, position, text);
	if (lun_event_store_parse_position(
		engine->events, lun_text_of(text), &read, NULL) == LUN_OK &&
	    lun_position_compare(position, read) == 0)
		return LUN_OK;
	return lun_fail(err, LUN_INVALID,
	    "\"%.*s\" is no position of this event store", LUN_TEXT_ARG(token));
}

enum lun_code
lun_position_read(struct lun_engine *engine, const char *projection,
    struct lun_text text, int64_t deadline_ns, struct lun_position *position,
    struct lun_err *err)
{
	char identity[LUN_IDENTITY_SIZE];
	struct lun_position read;
	enum lun_code code = LUN_OK;

	if (!lun_token_is(text))
		return lun_event_store_parse_position(
		    engine->events, text, position, err);
	if (projection != NULL)
		code = find_identity(
		    engine, projection, deadline_ns, identity, err);
	else
		lun_position_identity(engine, NULL, identity);
	if (code == LUN_OK)
		code = lun_token_parse(text, identity, &read, err);
	if (code == LUN_OK)
		code = check_position(engine, text, read, err);
	if (code == LUN_OK)
		*position = read;
	return code;
}
