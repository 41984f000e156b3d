/* reload.c - a changed script in the old one's place. */

#include "base/error.h"
#include "projection/projection.h"

static enum lun_code
compare_schemas(const struct lun_schema *a, const struct lun_schema *b,
    bool *same, struct lun_err *err)
{
	struct lun_buffer text_a = {0}, text_b = {0};
	enum lun_code code = LUN_OK;

	lun_schema_describe(a, &text_a);
	lun_schema_describe(b, &text_b);
	*same = lun_schema_texts_agree(
	    lun_buffer_text(&text_a), lun_buffer_text(&text_b));
	if (text_a.failed || text_b.failed)
		code = lun_fail(
		    err, LUN_NOMEM, "%s: out of memory", a->projection);
	lun_buffer_free(&text_a);
	lun_buffer_free(&text_b);
	return code;
}

static enum lun_code
check_swap(struct lun_projection *p, const struct lun_script *script,
    struct lun_err *err)
{
	const struct lun_schema *now = lun_script_schema(p->script);
	const struct lun_schema *then = lun_script_schema(script);
	enum lun_code code;
	bool same;

	if (!p->schema_is_stored)
		return LUN_OK; /* nothing was; the store knows what fits */
	if (then->version > now->version)
		return lun_fail(err, LUN_CONFIG,
		    "%s: version %d is loaded, version %d goes on: run "
		    "\"lunette rebuild %s\" to build the new one",
		    p->name, then->version, now->version, p->name);
	if (then->version < now->version)
		return lun_fail(err, LUN_CONFIG,
		    "%s: version %d is lower than %d, which goes on", p->name,
		    then->version, now->version);
	code = compare_schemas(now, then, &same, err);
	if (code == LUN_OK && !same)
		code = lun_fail(err, LUN_CONFIG,
		    "%s: fields or handles changed under version %d: "
		    "raise the version to %lld; the old script goes on",
		    p->name, now->version, now->version + 1LL);
	return code;
}

enum lun_code
lun_projection_copy_schema(
    struct lun_projection *p, struct lun_schema **out, struct lun_err *err)
{
	enum lun_code code;

	pthread_mutex_lock(&p->around->board->lock);
	code = lun_schema_copy(lun_script_schema(p->script), out, err);
	pthread_mutex_unlock(&p->around->board->lock);
	return code;
}

void
lun_projection_put_script(struct lun_projection *p, struct lun_script *script)
{
	struct lun_script *old = p->script;

	lun_script_use_positions_of(script, p->around->events);
	pthread_mutex_lock(&p->around->board->lock);
	p->script = script;
	p->looks_inside = false;
	p->report.version = lun_script_schema(script)->version;
	pthread_mutex_unlock(&p->around->board->lock);
	lun_script_free(old);
}

enum lun_code
lun_projection_swap(
    struct lun_projection *p, struct lun_script *script, struct lun_err *err)
{
	struct lun_err refusal = {0};
	enum lun_code code = check_swap(p, script, &refusal);

	if (code == LUN_OK) {
		lun_projection_abandon_batch(p);
		lun_projection_put_script(p, script);
		lun_projection_index_anew(p);
		lun_script_free(p->next_script);
		p->next_script = NULL;
		lun_projection_doubt_checkpoint(p);
		lun_projection_begin_anew(p);
		return LUN_OK;
	}
	if (err != NULL)
		*err = refusal;
	lun_projection_note_error(p, &refusal);
	if (lun_script_schema(script)->version >
	    lun_script_schema(p->script)->version) {
		lun_script_free(p->next_script);
		p->next_script = script;
	} else {
		lun_script_free(script);
	}
	return code;
}
