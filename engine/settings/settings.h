/*
 * settings.h - every setting in one table: the settings file, the command's
 * flags, the environment, docs/settings.md and the engine all read it.
 */

#ifndef LUN_SETTINGS_SETTINGS_H
#define LUN_SETTINGS_SETTINGS_H

#include "lunette.h"

struct lun_store_options;

enum lun_setting_type {
	LUN_SETTING_URL,
	LUN_SETTING_NUMBER, /* a whole number within its limits */
	LUN_SETTING_CHOICE, /* one of the words in `choices` */
};

struct lun_setting_entry {
	const char *name; /* "busy_timeout_ms"; flag --busy-timeout-ms;
			     environment LUNETTE_BUSY_TIMEOUT_MS */
	enum lun_setting_type type;
	const char *initial;  /* default as text; NULL: none */
	int64_t least, most;  /* numbers */
	const char *choices;  /* "off|normal|full" */
	const char *argument; /* what help calls the value: "URL", "MS" */
	const char *help;     /* one sentence */
	size_t offset;        /* in struct lun_settings */
};

struct lun_settings {
	const char *events;
	const char *models;
	const char *synchronous;
	const char *log_level;
	int64_t batch_events; /* most events in a batch, catching up */
	int64_t live_events;  /* most events in a batch once caught up */
	int64_t poll_ms;      /* longest pause between polls */
	int64_t memory_bytes; /* memory.h says who holds how much of it */
	int64_t script_instructions;
	int64_t script_cpu_ms;
	int64_t script_memory_bytes;
	int64_t connections; /* most to one store */
	int64_t readers;     /* of all that only looks, at the same time */
	int64_t query_limit; /* rows where a query names no limit */
	int64_t query_limit_max;
	int64_t retry_ms; /* first pause of a retry, doubled each time */
	int64_t retry_max_ms;
	int64_t busy_timeout_ms;
	int64_t call_timeout_ms;
	int64_t wal_autocheckpoint_pages;
	int64_t heartbeat_ms;
	int64_t lease_ms; /* ownership outlives its owner's death by this */
	int64_t stuck_ms; /* CPU time after which a script counts as stuck */
	int64_t stop_ms;  /* how long a stop waits for a stuck script */
	void *memory;     /* what owns the texts above */
};

/* The table; ends with an entry whose name is NULL. */
extern const struct lun_setting_entry lun_setting_entries[];

/* A setting there was, and the one that stands in its place. */
struct lun_setting_gone {
	const char *name;
	const char *now;
};

/* They are refused in words of their own; ends like the table. */
extern const struct lun_setting_gone lun_settings_gone[];
/* LUN_CONFIG, if it is one of them. */
enum lun_code lun_setting_check_gone(
    const char *name, struct lun_err *err) LUN_MUSTCHECK;

/* LUN_CONFIG names the setting, the value and what is allowed. */
enum lun_code lun_setting_check(const struct lun_setting_entry *entry,
    const char *value, struct lun_err *err) LUN_MUSTCHECK;

/*
 * Defaults overlaid with the given values, later ones winning. Where two
 * settings bound each other (live_events by batch_events, query_limit by
 * query_limit_max, retry_ms by retry_max_ms) the first is lowered to fit.
 * events and models are NULL if not given.
 */
enum lun_code lun_settings_make(const struct lun_setting *given, size_t count,
    struct lun_settings *out, struct lun_err *err) LUN_MUSTCHECK;
void lun_settings_free(struct lun_settings *settings);

/* What concerns stores; texts are borrowed. */
struct lun_store_options lun_settings_for_stores(
    const struct lun_settings *settings);

#endif
