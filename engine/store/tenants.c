/* tenants.c - which tenants a reader has seen, and where it keeps that. */

#include "store/tenants.h"

#include <stdio.h>

#include "base/error.h"

#define NONE    'A'
#define ONE     'T'
#define SEVERAL 'M'

static enum lun_code
refuse_format(struct lun_err *err)
{
	return lun_fail(err, LUN_CONFIG,
	    "the source state kept with the checkpoint is not of a format that "
	    "this Lunette reads (\"%c\", \"%c\", \"%c\"): go on with the one "
	    "that wrote it, or run \"lunette rebuild NAME\"",
	    NONE, ONE, SEVERAL);
}

/* LENGTH:NAME at the start of the rest, which is cut off. */
static bool
take_name(struct lun_text *rest, struct lun_text *name)
{
	size_t length = 0, at = 0;

	while (at < rest->length && rest->bytes[at] >= '0' &&
	       rest->bytes[at] <= '9' && length <= rest->length)
		length = length * 10 + (size_t)(rest->bytes[at++] - '0');
	if (at == 0 || at == rest->length || rest->bytes[at] != ':' ||
	    length > rest->length - at - 1)
		return false;
	*name = (struct lun_text){rest->bytes + at + 1, length};
	rest->bytes += at + 1 + length;
	rest->length -= at + 1 + length;
	return true;
}

enum lun_code
lun_tenants_split(struct lun_text kept, struct lun_tenants *tenants,
    struct lun_text *state, struct lun_err *err)
{
	*tenants = (struct lun_tenants){0};
	*state = kept;
	if (kept.length == 0)
		return LUN_OK;
	tenants->any = kept.bytes[0] != NONE;
	tenants->several = kept.bytes[0] == SEVERAL;
	if (tenants->any && !tenants->several && kept.bytes[0] != ONE)
		return refuse_format(err);
	state->bytes++;
	state->length--;
	if (kept.bytes[0] == ONE && !take_name(state, &tenants->only))
		return refuse_format(err);
	return LUN_OK;
}

void
lun_tenants_see(struct lun_tenants *tenants, struct lun_batch *batch)
{
	if (tenants->several && batch->count > 0)
		batch->tenants_from = 0;
	for (size_t i = 0; i < batch->count && !tenants->several; i++) {
		struct lun_text tenant = batch->events[i].tenant;

		if (!tenants->any)
			tenants->only = tenant;
		tenants->any = true;
		if (lun_text_equal(tenants->only, tenant))
			continue;
		tenants->several = true;
		batch->tenants_from = i;
	}
}

static void
put_before(struct lun_buffer *state, struct lun_text text)
{
	if (lun_buffer_reserve(state, text.length) == NULL)
		return;
	memmove(state->bytes + text.length, state->bytes, state->length);
	if (text.length > 0)
		memcpy(state->bytes, text.bytes, text.length);
	state->length += text.length;
}

enum lun_code
lun_tenants_join(const struct lun_tenants *tenants, struct lun_buffer *state,
    struct lun_err *err)
{
	char head[32] = {NONE, '\0'};

	if (!tenants->any && state->length == 0)
		return LUN_OK;
	if (tenants->several) {
		head[0] = SEVERAL;
	} else if (tenants->any) {
		snprintf(
		    head, sizeof head, "%c%zu:", ONE, tenants->only.length);
		put_before(state, tenants->only);
	}
	put_before(state, lun_text_of(head));
	return state->failed ? lun_fail(err, LUN_NOMEM, "read: out of memory")
			     : LUN_OK;
}
