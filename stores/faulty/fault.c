/* fault.c - "the n-th call of this kind fails". */

#include "faulty/fault.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define TERM_SIZE 64

struct lun_fault {
	pthread_mutex_t mutex; /* guards references and calls */
	size_t references;
	unsigned long calls; /* of the kind */

	char kind[TERM_SIZE]; /* "" for none, or "any" */
	unsigned long first;  /* call that fails */
	unsigned long times;  /* as many, from there on */
	enum lun_code code;
	bool after;
};

/* ---- the query --------------------------------------------------------- */

static bool
parse_call_number(const char *digits, unsigned long *count)
{
	char *end;

	if (digits[0] < '0' || digits[0] > '9')
		return false;
	*count = strtoul(digits, &end, 10);
	return *end == '\0' && *count > 0;
}

static bool
is_known(const char *const *kinds, const char *kind)
{
	if (strcmp(kind, "any") == 0)
		return true;
	for (; *kinds != NULL; kinds++)
		if (strcmp(*kinds, kind) == 0)
			return true;
	return false;
}

/* KIND:N */
static bool
parse_fail(struct lun_fault *fault, const char *const *kinds, const char *value)
{
	size_t length = strcspn(value, ":");

	if (value[length] != ':' || length >= sizeof fault->kind)
		return false;
	memcpy(fault->kind, value, length);
	fault->kind[length] = '\0';
	return is_known(kinds, fault->kind) &&
	       parse_call_number(value + length + 1, &fault->first);
}

static bool
parse_code(struct lun_fault *fault, const char *value)
{
	if (strcmp(value, "io") == 0)
		fault->code = LUN_IO;
	else if (strcmp(value, "unavailable") == 0)
		fault->code = LUN_UNAVAILABLE;
	else if (strcmp(value, "timeout") == 0)
		fault->code = LUN_TIMEOUT;
	else if (strcmp(value, "config") == 0)
		fault->code = LUN_CONFIG;
	else
		return false;
	return true;
}

static bool
parse_term(struct lun_fault *fault, const char *const *kinds, const char *term)
{
	if (strncmp(term, "fail=", 5) == 0)
		return parse_fail(fault, kinds, term + 5);
	if (strncmp(term, "code=", 5) == 0)
		return parse_code(fault, term + 5);
	if (strncmp(term, "times=", 6) == 0)
		return parse_call_number(term + 6, &fault->times);
	if (strcmp(term, "when=after") != 0)
		return false;
	fault->after = true;
	return true;
}

static enum lun_code
parse_query(struct lun_fault *fault, const char *const *kinds,
    const char *query, struct lun_err *err)
{
	while (*query != '\0') {
		size_t length = strcspn(query, "&");
		char term[TERM_SIZE * 2];

		if (length >= sizeof term)
			return lun_fail(
			    err, LUN_CONFIG, "faulty: %s is too long", query);
		memcpy(term, query, length);
		term[length] = '\0';
		if (!parse_term(fault, kinds, term))
			return lun_fail(err, LUN_CONFIG,
			    "faulty: %s means nothing; write fail=METHOD:N, "
			    "code=io, code=unavailable, code=timeout, "
			    "code=config, "
			    "when=after or times=N",
			    term);
		query += length + (query[length] == '&');
	}
	return LUN_OK;
}

/* ---- lifetime ---------------------------------------------------------- */

enum lun_code
lun_fault_new(const char *url, const char *const *kinds, struct lun_fault **out,
    char **inner, struct lun_err *err)
{
	const char *query = strrchr(url, '?');
	struct lun_fault *fault = calloc(1, sizeof *fault);
	char *copy = strdup(url);
	enum lun_code code;

	if (fault == NULL || copy == NULL ||
	    pthread_mutex_init(&fault->mutex, NULL) != 0) {
		free(copy);
		free(fault);
		return lun_fail(err, LUN_NOMEM, "faulty: out of memory");
	}
	fault->references = 1;
	fault->times = 1;
	fault->code = LUN_IO;
	code = LUN_OK;
	if (query != NULL) {
		copy[query - url] = '\0';
		code = parse_query(fault, kinds, query + 1, err);
	}
	if (code != LUN_OK) {
		free(copy);
		lun_fault_free(fault);
		return code;
	}
	*out = fault;
	*inner = copy;
	return LUN_OK;
}

struct lun_fault *
lun_fault_share(struct lun_fault *fault)
{
	pthread_mutex_lock(&fault->mutex);
	fault->references++;
	pthread_mutex_unlock(&fault->mutex);
	return fault;
}

void
lun_fault_free(struct lun_fault *fault)
{
	size_t left;

	if (fault == NULL)
		return;
	pthread_mutex_lock(&fault->mutex);
	left = --fault->references;
	pthread_mutex_unlock(&fault->mutex);
	if (left > 0)
		return;
	pthread_mutex_destroy(&fault->mutex);
	free(fault);
}

/* ---- failing ----------------------------------------------------------- */

static bool
count_call(struct lun_fault *fault, const char *kind)
{
	unsigned long call;

	if (strcmp(fault->kind, "any") != 0 && strcmp(fault->kind, kind) != 0)
		return false;
	pthread_mutex_lock(&fault->mutex);
	call = ++fault->calls;
	pthread_mutex_unlock(&fault->mutex);
	return call >= fault->first && call - fault->first < fault->times;
}

enum lun_strike
lun_fault_strike(struct lun_fault *fault, const char *kind)
{
	if (!count_call(fault, kind))
		return LUN_STRIKE_NONE;
	return fault->after ? LUN_STRIKE_AFTER : LUN_STRIKE_BEFORE;
}

bool
lun_fault_strikes(struct lun_fault *fault, const char *kind)
{
	return count_call(fault, kind);
}

enum lun_code
lun_fault_report(
    const struct lun_fault *fault, const char *kind, struct lun_err *err)
{
	return lun_fail(
	    err, fault->code, "faulty: %s failed, as it was told to", kind);
}
