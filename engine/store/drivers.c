/* drivers.c - the drivers of this build. */

#include "store/driver.h"
#include "store/event_store.h"
#include "store/model_store.h"

const struct lun_driver lun_drivers[] = {
    {"sqlite", NULL, &lun_sqlite_events, &lun_sqlite_models, true},
    {"postgres", "postgresql", &lun_postgres_events, &lun_postgres_models,
	false},
    {"memory", NULL, &lun_memory_events, &lun_memory_models, false},
    {.scheme = NULL},
};
