/* drivers.c - the drivers of the builds that the specs use. */

#include "faulty/fault.h"
#include "store/driver.h"

const struct lun_driver lun_drivers[] = {
    {"sqlite", NULL, &lun_sqlite_events, &lun_sqlite_models, true},
    {"postgres", "postgresql", &lun_postgres_events, &lun_postgres_models,
	false},
    {"memory", NULL, &lun_memory_events, &lun_memory_models, false},
    {"faulty", NULL, &lun_faulty_events, &lun_faulty_models, false},
    {.scheme = NULL},
};
