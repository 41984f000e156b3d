/* type_set.c - event types that are wanted. */

#include "store/type_set.h"

#include <stdlib.h>

static int
compare_types(const void *a, const void *b)
{
	return lun_text_compare(
	    *(const struct lun_text *)a, *(const struct lun_text *)b);
}

/* Each once, in order; their bytes stay where they were. */
static void
put_in_order(struct lun_type_set *set)
{
	size_t kept = 0;

	if (set->count > 1)
		qsort(
		    set->types, set->count, sizeof *set->types, compare_types);
	for (size_t i = 0; i < set->count; i++)
		if (kept == 0 ||
		    !lun_text_equal(set->types[kept - 1], set->types[i]))
			set->types[kept++] = set->types[i];
	set->count = kept;
}

static char *
add_types(struct lun_type_set *set, const struct lun_event_filter *filter,
    char *bytes)
{
	if (filter->type_count == 0)
		set->all = true;
	for (size_t i = 0; i < filter->type_count; i++) {
		struct lun_text type = filter->types[i];

		if (type.length > 0)
			memcpy(bytes, type.bytes, type.length);
		set->types[set->count++] =
		    (struct lun_text){bytes, type.length};
		bytes += type.length;
	}
	return bytes;
}

struct lun_type_set *
lun_type_set_new(const struct lun_event_filter *filters, size_t count)
{
	size_t types = 0, bytes = 0;
	struct lun_type_set *set;
	char *at;

	for (size_t i = 0; i < count; i++) {
		types += filters[i].type_count;
		for (size_t j = 0; j < filters[i].type_count; j++)
			bytes += filters[i].types[j].length;
	}
	set = malloc(sizeof *set + types * sizeof *set->types + bytes);
	if (set == NULL)
		return NULL;
	set->uses = 1;
	set->all = false;
	set->count = 0;
	at = (char *)&set->types[types];
	for (size_t i = 0; i < count; i++)
		at = add_types(set, &filters[i], at);
	put_in_order(set);
	return set;
}

struct lun_type_set *
lun_type_set_use(struct lun_type_set *set)
{
	set->uses++;
	return set;
}

void
lun_type_set_drop(struct lun_type_set *set)
{
	if (set != NULL && --set->uses == 0)
		free(set);
}

struct lun_event_filter
lun_type_set_filter(const struct lun_type_set *set)
{
	if (set->all)
		return (struct lun_event_filter){0};
	return (struct lun_event_filter){
	    .types = set->types, .type_count = set->count};
}

bool
lun_type_set_covers(
    const struct lun_type_set *set, const struct lun_type_set *other)
{
	size_t at = 0;

	if (set == other || set->all)
		return true;
	if (other->all)
		return false;
	for (size_t i = 0; i < other->count; i++) {
		while (at < set->count &&
		       lun_text_compare(set->types[at], other->types[i]) < 0)
			at++;
		if (at == set->count ||
		    !lun_text_equal(set->types[at], other->types[i]))
			return false;
	}
	return true;
}
