/* settings.c - every setting in one table. */

#include "settings/settings.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/suggest.h"
#include "base/text.h"
#include "settings/memory.h"
#include "store/event_store.h"

#define KIB       ((int64_t)1 << 10)
#define MIB       ((int64_t)1 << 20)
#define GIB       ((int64_t)1 << 30)
#define HOUR_MS   ((int64_t)3600 * 1000)
#define OFFSET(f) offsetof(struct lun_settings, f)

const struct lun_setting_entry lun_setting_entries[] = {
    {
	.name = "events",
	.type = LUN_SETTING_URL,
	.argument = "URL",
	.help = "Where events come from: sqlite:PATH, postgres://... "
		"(?layout= for tables of others) or memory: (one that "
		"lives and dies with the process).",
	.offset = OFFSET(events),
    },
    {
	.name = "models",
	.type = LUN_SETTING_URL,
	.argument = "URL",
	.help = "Where models and checkpoints live: postgres://..., "
		"sqlite:PATH (the file of "
		"the events will do) or memory:.",
	.offset = OFFSET(models),
    },
    {
	.name = "synchronous",
	.type = LUN_SETTING_CHOICE,
	.initial = "normal",
	.choices = "off|normal|full",
	.argument = "WORD",
	.help = "When SQLite waits for the disk: full, and every commit "
		"survives a power loss; normal, and a power loss may take "
		"back the last commits, each whole with its checkpoint, so "
		"projections just catch up again but events appended last "
		"may be gone; off, and it may damage the file. A process "
		"that is killed loses nothing in any of them.",
	.offset = OFFSET(synchronous),
    },
    {
	.name = "log_level",
	.type = LUN_SETTING_CHOICE,
	.initial = "info",
	.choices = "error|warning|info|debug",
	.argument = "WORD",
	.help = "The least important messages that are still logged.",
	.offset = OFFSET(log_level),
    },
    {
	.name = "batch_events",
	.type = LUN_SETTING_NUMBER,
	.initial = "50000",
	.least = 1,
	.most = 1000000,
	.argument = "N",
	.help = "Most events in one batch, and so in one commit, while a "
		"projection catches up.",
	.offset = OFFSET(batch_events),
    },
    {
	.name = "live_events",
	.type = LUN_SETTING_NUMBER,
	.initial = "1000",
	.least = 1,
	.most = 1000000,
	.argument = "N",
	.help = "Most events in one batch once a projection has caught up; "
		"never more than batch_events.",
	.offset = OFFSET(live_events),
    },
    {
	.name = "poll_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "100",
	.least = 1,
	.most = 60000,
	.argument = "MS",
	.help = "Longest pause between two looks for new events; a hint from "
		"the event store ends it early, slow looks make it longer.",
	.offset = OFFSET(poll_ms),
    },
    {
	.name = "memory_bytes",
	.type = LUN_SETTING_NUMBER,
	.initial = "201326592",
	.least = 4 * KIB,
	.most = 64 * GIB,
	.argument = "BYTES",
	.help = "Memory for what the engine holds of events, models and pages "
		"of SQLite; one event and one model always pass. Lua states "
		"have script_memory_bytes.",
	.offset = OFFSET(memory_bytes),
    },
    {
	.name = "script_instructions",
	.type = LUN_SETTING_NUMBER,
	.initial = "10000000",
	.least = 1000,
	.most = 1000000000000,
	.argument = "N",
	.help = "Lua instructions one call of a handler may use before it is "
		"stopped.",
	.offset = OFFSET(script_instructions),
    },
    {
	.name = "script_cpu_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "1000",
	.least = 1,
	.most = HOUR_MS,
	.argument = "MS",
	.help = "CPU time one call of a handler may use before it is stopped; "
		"waiting does not count.",
	.offset = OFFSET(script_cpu_ms),
    },
    {
	.name = "script_memory_bytes",
	.type = LUN_SETTING_NUMBER,
	.initial = "134217728",
	.least = 1 * MIB,
	.most = 64 * GIB,
	.argument = "BYTES",
	.help = "Memory the Lua state of one script may hold.",
	.offset = OFFSET(script_memory_bytes),
    },
    {
	.name = "connections",
	.type = LUN_SETTING_NUMBER,
	.initial = "10",
	.least = 1,
	.most = 1000,
	.argument = "N",
	.help = "Most connections to a server or file, of events and of "
		"models each. An engine needs at least 6; with fewer than it "
		"could use, fewer projections catch up at a time and fewer "
		"readers look.",
	.offset = OFFSET(connections),
    },
    {
	.name = "readers",
	.type = LUN_SETTING_NUMBER,
	.initial = "4",
	.least = 1,
	.most = 1000,
	.argument = "N",
	.help = "How many calls that only look (get, query, status ...) are "
		"served at the same time, each with a connection to the "
		"events; all but one of them may be busy with handle_query.",
	.offset = OFFSET(readers),
    },
    {
	.name = "query_limit",
	.type = LUN_SETTING_NUMBER,
	.initial = "100",
	.least = 1,
	.most = 1000000,
	.argument = "ROWS",
	.help = "Rows a query returns when it names no limit; never more than "
		"query_limit_max.",
	.offset = OFFSET(query_limit),
    },
    {
	.name = "query_limit_max",
	.type = LUN_SETTING_NUMBER,
	.initial = "10000",
	.least = 1,
	.most = 10000000,
	.argument = "ROWS",
	.help = "The highest limit a query may name.",
	.offset = OFFSET(query_limit_max),
    },
    {
	.name = "retry_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "100",
	.least = 1,
	.most = HOUR_MS,
	.argument = "MS",
	.help = "First pause before something that failed is tried again; each "
		"further pause is twice as long, up to retry_max_ms.",
	.offset = OFFSET(retry_ms),
    },
    {
	.name = "retry_max_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "30000",
	.least = 1,
	.most = HOUR_MS,
	.argument = "MS",
	.help = "Longest pause between two tries.",
	.offset = OFFSET(retry_max_ms),
    },
    {
	.name = "busy_timeout_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "1000",
	.least = 0,
	.most = 60000,
	.argument = "MS",
	.help = "How long one SQLite call waits for another program's lock; "
		"after that the engine tries the whole commit again, for as "
		"long as it takes.",
	.offset = OFFSET(busy_timeout_ms),
    },
    {
	.name = "call_timeout_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "30000",
	.least = 100,
	.most = HOUR_MS,
	.argument = "MS",
	.help = "How long one PostgreSQL call waits for the server's answer "
		"before the connection counts as lost and is made anew; also "
		"how long a call that only looks waits for its turn, and how "
		"long a handle_query may take; one that is stuck in a library "
		"call is given up by stuck_ms.",
	.offset = OFFSET(call_timeout_ms),
    },
    {
	.name = "wal_autocheckpoint_pages",
	.type = LUN_SETTING_NUMBER,
	.initial = "10000",
	.least = 0,
	.most = 10000000,
	.argument = "PAGES",
	.help = "Length of SQLite's write-ahead log at which it is copied back "
		"into the file by the commit that finds it so; an engine "
		"that is live copies it earlier, beside its commits. A "
		"longer one writes faster, 0 leaves the copying to others.",
	.offset = OFFSET(wal_autocheckpoint_pages),
    },
    {
	.name = "heartbeat_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "1000",
	.least = 10,
	.most = 60000,
	.argument = "MS",
	.help = "How often a running engine writes down what its projections "
		"are doing, for status to show.",
	.offset = OFFSET(heartbeat_ms),
    },
    {
	.name = "lease_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "10000",
	.least = 500,
	.most = 600000,
	.argument = "MS",
	.help = "How long a projection stays with an engine that has stopped "
		"answering, before another one may take it over; on SQLite "
		"the owner's death frees it at once.",
	.offset = OFFSET(lease_ms),
    },
    {
	.name = "stuck_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "3000",
	.least = 10,
	.most = HOUR_MS,
	.argument = "MS",
	.help =
	    "CPU time without a sign of life after which a script counts as "
	    "stuck inside one library call and is reported; one that "
	    "gets stuck while it is loaded is given up.",
	.offset = OFFSET(stuck_ms),
    },
    {
	.name = "stop_ms",
	.type = LUN_SETTING_NUMBER,
	.initial = "5000",
	.least = 0,
	.most = HOUR_MS,
	.argument = "MS",
	.help =
	    "How long a stop waits for a stuck script before it leaves that "
	    "script's thread behind.",
	.offset = OFFSET(stop_ms),
    },
    {.name = NULL},
};

const struct lun_setting_gone lun_settings_gone[] = {
    {"batch_bytes", "memory_bytes"},
    {"cache_bytes", "memory_bytes"},
    {"sqlite_cache_kib", "memory_bytes"},
    {NULL, NULL},
};

#define ENTRY_COUNT                                                            \
	(sizeof lun_setting_entries / sizeof lun_setting_entries[0] - 1)

static const struct lun_setting_entry *
find_entry(const char *name)
{
	for (size_t i = 0; name != NULL && i < ENTRY_COUNT; i++)
		if (strcmp(lun_setting_entries[i].name, name) == 0)
			return &lun_setting_entries[i];
	return NULL;
}

/* ---- values ------------------------------------------------------------ */

/* Decimal digits with an optional minus; false beyond 64 bits. */
static bool
parse_number(const char *text, int64_t *value)
{
	bool negative = *text == '-';
	int64_t sum = 0;

	if (negative)
		text++;
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_sub_overflow(sum, *text - '0', &sum))
			return false;
	}
	if (!negative && sum == INT64_MIN)
		return false;
	*value = negative ? sum : -sum;
	return true;
}

static bool
is_among_choices(const char *choices, const char *value)
{
	size_t length = strlen(value);

	while (length > 0 && *choices != '\0') {
		size_t word = strcspn(choices, "|");

		if (word == length && memcmp(choices, value, word) == 0)
			return true;
		choices += word + (choices[word] == '|');
	}
	return false;
}

static enum lun_code
check_number(const struct lun_setting_entry *entry, const char *value,
    struct lun_err *err)
{
	int64_t number;

	if (parse_number(value, &number) && number >= entry->least &&
	    number <= entry->most)
		return LUN_OK;
	return lun_fail(err, LUN_CONFIG,
	    "setting %s: \"%.100s\" is not a whole number from %lld to %lld",
	    entry->name, value, (long long)entry->least,
	    (long long)entry->most);
}

enum lun_code
lun_setting_check(const struct lun_setting_entry *entry, const char *value,
    struct lun_err *err)
{
	switch (entry->type) {
	case LUN_SETTING_NUMBER:
		return check_number(entry, value, err);
	case LUN_SETTING_CHOICE:
		if (is_among_choices(entry->choices, value))
			return LUN_OK;
		return lun_fail(err, LUN_CONFIG,
		    "setting %s: \"%.100s\" is not one of %s", entry->name,
		    value, entry->choices);
	case LUN_SETTING_URL:
		break;
	}
	if (*value == '\0')
		return lun_fail(
		    err, LUN_CONFIG, "setting %s is empty", entry->name);
	return LUN_OK;
}

/* ---- making ------------------------------------------------------------ */

enum lun_code
lun_setting_check_gone(const char *name, struct lun_err *err)
{
	for (size_t i = 0; lun_settings_gone[i].name != NULL; i++)
		if (strcmp(lun_settings_gone[i].name, name) == 0)
			return lun_fail(err, LUN_CONFIG,
			    "there is no setting \"%s\" any more: %s bounds "
			    "what it did, with all else that the engine holds",
			    name, lun_settings_gone[i].now);
	return LUN_OK;
}

static enum lun_code
refuse_unknown_setting(const char *name, struct lun_err *err)
{
	struct lun_suggestion suggestion = {0};

	if (lun_setting_check_gone(name, err) != LUN_OK)
		return LUN_CONFIG;
	for (size_t i = 0; i < ENTRY_COUNT; i++)
		lun_suggestion_consider(&suggestion, lun_text_of(name),
		    lun_text_of(lun_setting_entries[i].name));
	if (suggestion.word.bytes != NULL)
		return lun_fail(err, LUN_CONFIG,
		    "there is no setting \"%.100s\"; did you mean \"%.*s\"?",
		    name, LUN_TEXT_ARG(suggestion.word));
	return lun_fail(err, LUN_CONFIG,
	    "there is no setting \"%.100s\"; docs/settings.md lists them all",
	    name);
}

static enum lun_code
check_given(const struct lun_setting *given, struct lun_err *err)
{
	const struct lun_setting_entry *entry = find_entry(given->name);

	if (given->name == NULL)
		return lun_fail(err, LUN_CONFIG, "a setting has no name");
	if (entry == NULL)
		return refuse_unknown_setting(given->name, err);
	if (given->value == NULL)
		return lun_fail(
		    err, LUN_CONFIG, "setting %s has no value", given->name);
	return lun_setting_check(entry, given->value, err);
}

static size_t
memory_needed(const struct lun_setting *given, size_t count)
{
	size_t bytes = 1;

	for (size_t i = 0; i < count; i++)
		bytes += strlen(given[i].value) + 1;
	return bytes;
}

/* Set a field to a checked value; text is copied to *memory. */
static void
set_value(struct lun_settings *settings, const struct lun_setting_entry *entry,
    const char *value, char **memory)
{
	void *field = (char *)settings + entry->offset;
	size_t size;

	if (entry->type == LUN_SETTING_NUMBER) {
		(void)parse_number(value, field);
		return;
	}
	size = strlen(value) + 1;
	memcpy(*memory, value, size);
	memcpy(field, memory, sizeof *memory);
	*memory += size;
}

static void
set_defaults(struct lun_settings *settings)
{
	*settings = (struct lun_settings){0};
	for (size_t i = 0; i < ENTRY_COUNT; i++) {
		const struct lun_setting_entry *entry = &lun_setting_entries[i];
		void *field = (char *)settings + entry->offset;

		if (entry->type == LUN_SETTING_NUMBER)
			(void)parse_number(entry->initial, field);
		else
			memcpy(field, &entry->initial, sizeof entry->initial);
	}
}

static void
lower_to(int64_t *value, int64_t bound)
{
	if (*value > bound)
		*value = bound;
}

enum lun_code
lun_settings_make(const struct lun_setting *given, size_t count,
    struct lun_settings *out, struct lun_err *err)
{
	struct lun_settings settings;
	char *memory;

	for (size_t i = 0; i < count; i++)
		if (check_given(&given[i], err) != LUN_OK)
			return LUN_CONFIG;
	set_defaults(&settings);
	memory = malloc(memory_needed(given, count));
	if (memory == NULL)
		return lun_fail(
		    err, LUN_NOMEM, "reading the settings: out of memory");
	settings.memory = memory;
	for (size_t i = 0; i < count; i++)
		set_value(&settings, find_entry(given[i].name), given[i].value,
		    &memory);
	lower_to(&settings.live_events, settings.batch_events);
	lower_to(&settings.query_limit, settings.query_limit_max);
	lower_to(&settings.retry_ms, settings.retry_max_ms);
	*out = settings;
	return LUN_OK;
}

void
lun_settings_free(struct lun_settings *settings)
{
	if (settings == NULL)
		return;
	free(settings->memory);
	*settings = (struct lun_settings){0};
}

struct lun_store_options
lun_settings_for_stores(const struct lun_settings *settings)
{
	return (struct lun_store_options){
	    .busy_timeout_ms = settings->busy_timeout_ms,
	    .call_timeout_ms = settings->call_timeout_ms,
	    .synchronous = settings->synchronous,
	    .wal_autocheckpoint_pages = settings->wal_autocheckpoint_pages,
	    .connections = settings->connections,
	    .cache_kib = lun_memory_append_pages_kib(settings->memory_bytes),
	};
}
