/* drivers.c - the drivers of this build. */

#include "store/driver.h"
#include "store/event_store.h"
#include "store/model_store.h"

const struct lun_driver lun_drivers[] = {
    {"sqlite", NULL, &lun_sqlite_events, &lun_sqlite_models},
    {"postgres", "postgresql", &lun_postgres_events, &lun_postgres_models},
    {"memory", NULL, &lun_memory_events, &lun_memory_models},
    {.scheme = NULL},
};
