# Lunette. `make help` lists the targets.
#
# Everything is built under $(BUILD). SANITIZE=address,undefined (or thread)
# builds a tree of its own below it; WERROR=1 makes warnings errors.

CC       ?= cc
CFLAGS   ?= -O2 -g
SANITIZE ?=
WERROR   ?=
PREFIX   ?= /usr/local
DESTDIR  ?=
SECONDS  ?= 30
SERVERS  ?= 13 18
comma    := ,
BUILD    ?= build$(if $(SANITIZE),/$(firstword $(subst $(comma), ,$(SANITIZE))))

VERSION  := $(shell sed -n 's/.*LUN_VERSION "\(.*\)"/\1/p' engine/base/error.c)
SONAME   := liblunette.so.1

LUA_CFLAGS := $(shell pkg-config --cflags lua5.4 2>/dev/null)
LUA_LIBS   := $(shell pkg-config --libs lua5.4 2>/dev/null)
# In the command half of the time is Lua's, and calls into a shared one cost.
LUA_ARCHIVE := $(shell $(CC) -print-file-name=liblua5.4.a 2>/dev/null)
LUA_INSIDE  := $(if $(findstring /,$(LUA_ARCHIVE)),$(LUA_ARCHIVE) -ldl,$(LUA_LIBS))
PQ_CFLAGS  := $(shell pkg-config --cflags libpq 2>/dev/null)
WARNINGS   := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wwrite-strings -Wundef -Wvla -Wformat=2 \
	$(if $(WERROR),-Werror)
FLAGS      := -std=c11 -D_GNU_SOURCE -fPIC -pthread -Iengine -Istores $(LUA_CFLAGS) \
	$(PQ_CFLAGS) $(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
LIBS       := -lsqlite3 -lpq -luuid -lxxhash -lm -pthread
LINK       := $(CC) $(FLAGS) $(CFLAGS) $(LDFLAGS)

# What the rock lists too; a spec compares the two.
HOST_SRC   := $(wildcard engine/lua/*.c)
CLI_SRC    := $(wildcard engine/cli/*.c)
FAULTY_SRC := $(wildcard stores/faulty/*.c)
LIB_SRC    := $(filter-out $(HOST_SRC) $(CLI_SRC) $(FAULTY_SRC), \
	$(wildcard engine/*/*.c stores/*/*.c stores/*/*/*.c))
SPEC_SRC   := $(wildcard spec/core/*.c)
FUZZ_SRC   := $(wildcard spec/fuzz/*.c)
# Programs of the bench, and what they share.
BENCH_PART := bench/fold.c bench/banking.c bench/fill_sqlite.c bench/fill_postgres.c
BENCH_SRC  := $(filter-out $(BENCH_PART),$(wildcard bench/*.c))
LIB_OBJ    := $(LIB_SRC:%.c=$(BUILD)/%.o)
HOST_OBJ   := $(HOST_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ    := $(CLI_SRC:%.c=$(BUILD)/%.o)
FAULTY_OBJ := $(FAULTY_SRC:%.c=$(BUILD)/%.o)
SPEC_SO    := $(SPEC_SRC:spec/core/%.c=$(BUILD)/spec/%.so)
FUZZERS    := $(FUZZ_SRC:spec/fuzz/%.c=build/fuzz/%)
BENCHES    := $(BENCH_SRC:bench/%.c=$(BUILD)/bench/%)

# For a make that follows the installing of packages.
AGAIN      = $(MAKE) --no-print-directory -s $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

all: lib core $(if $(CLI_SRC),$(BUILD)/lunette) ## build the command, the library and the Lua module

lib: $(BUILD)/liblunette.a $(BUILD)/$(SONAME) ## build liblunette.a and .so

core: $(BUILD)/lua/lunette/core.so ## build the Lua module

specs: $(SPEC_SO) $(BUILD)/spec/lunette $(BUILD)/spec/lua/lunette/core.so ## build what the specs need

benches: $(BENCHES)

fuzzers: $(FUZZERS)

# ---- what is built

$(BUILD)/liblunette.a: $(LIB_OBJ)
	rm -f $@
	$(AR) qcs $@ $^

$(BUILD)/$(SONAME): $(LIB_OBJ) engine/lunette.map
	$(LINK) -shared -Wl,-soname,$(SONAME) \
		-Wl,--version-script=engine/lunette.map -o $@ $(LIB_OBJ) $(LUA_LIBS) $(LIBS)
	ln -sf $(SONAME) $(BUILD)/liblunette.so

$(BUILD)/lunette: $(CLI_OBJ) $(BUILD)/liblunette.a
	$(LINK) -o $@ $^ $(LUA_INSIDE) $(LIBS) -lz

# The interpreter brings liblua. A closed state must not unload the code of a
# thread that a stuck script has left behind.
$(BUILD)/lua/lunette/core.so: $(HOST_OBJ) $(LIB_OBJ) engine/lua/luaopen.map
	@mkdir -p $(@D)
	$(LINK) -shared -Wl,-z,nodelete -Wl,--version-script=engine/lua/luaopen.map \
		-o $@ $(HOST_OBJ) $(LIB_OBJ) $(LIBS)

# For specs: stores that fail, and with them a table of drivers in place of the
# one in the library.
$(BUILD)/spec/lunette: $(CLI_OBJ) $(FAULTY_OBJ) $(BUILD)/liblunette.a
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LUA_INSIDE) $(LIBS) -lz

$(BUILD)/spec/lua/lunette/core.so: $(HOST_OBJ) $(FAULTY_OBJ) $(BUILD)/liblunette.a \
		engine/lua/luaopen.map
	@mkdir -p $(@D)
	$(LINK) -shared -Wl,-z,nodelete -Wl,--version-script=engine/lua/luaopen.map \
		-o $@ $(HOST_OBJ) $(FAULTY_OBJ) $(BUILD)/liblunette.a $(LIBS)

# This one brings the Lua module as well, and refuses memory to all of it.
$(BUILD)/spec/starved_test.so: $(HOST_OBJ)
$(BUILD)/spec/starved_test.so: LIBS := $(BUILD)/liblunette.a $(LIBS) \
	$(foreach call,malloc calloc realloc strdup free,-Wl,--wrap=$(call))

$(SPEC_SO): $(BUILD)/spec/%.so: $(BUILD)/spec/core/%.o $(FAULTY_OBJ) $(BUILD)/liblunette.a
	@mkdir -p $(@D)
	$(LINK) -shared -Wl,-z,nodelete -o $@ $^ $(LIBS) -ljansson

$(BUILD)/bench/generate: $(BUILD)/bench/banking.o $(BUILD)/bench/fill_sqlite.o \
		$(BUILD)/bench/fill_postgres.o

$(BUILD)/bench/floor_sqlite $(BUILD)/bench/floor_postgres: $(BUILD)/bench/fold.o

$(BENCHES): $(BUILD)/bench/%: $(BUILD)/bench/%.o $(BUILD)/liblunette.a
	$(LINK) -o $@ $^ $(LUA_LIBS) $(LIBS)

# Fuzzers bring a library of their own: clang's instrumentation is not gcc's.
$(FUZZERS): build/fuzz/%: build/fuzz/spec/fuzz/%.o build/fuzz/liblunette.a
	$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $@ \
		$(filter %.o,$^) $(filter %.a,$^) $(LUA_LIBS) $(LIBS)

# Lines of an import belong to the command.
build/fuzz/event_fuzz: build/fuzz/engine/cli/import_line.o

build/fuzz/liblunette.a: $(LIB_SRC:%.c=build/fuzz/%.o)
	rm -f $@
	$(AR) qcs $@ $^

FUZZ_CC := clang -std=c11 -D_GNU_SOURCE -pthread -Iengine -Istores $(LUA_CFLAGS) \
	$(PQ_CFLAGS) -O1 -g $(WARNINGS)

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- what is done with it. Packages may be missing when make starts, so
# these build in a second make, which sees what was installed.

demo: ## install what is missing, build, and show what Lunette does
	@tools/install-packages demo
	@$(AGAIN) all build/bench/generate
	@tools/demo

test: ## install what is missing, build and run every spec
	@tools/install-packages test
	@$(AGAIN) all specs benches
	@tools/run-specs $(SPECS)

check: lint test ## lint and test

lint: ## check the rules of the house
	@tools/install-packages lint
	@$(AGAIN) lib
	@tools/lint

asan: ## run the specs, but not the kill loops, under ASan and UBSan
	@tools/install-packages test
	@$(AGAIN) SANITIZE=address,undefined,float-cast-overflow all specs benches
	@LUNETTE_BUILD=build/address LUNETTE_SANITIZE=address \
		tools/run-specs --exclude-tags=kill $(SPECS)

tsan: ## run the threaded specs under TSan
	@tools/install-packages test
	@$(AGAIN) SANITIZE=thread all specs benches
	@LUNETTE_BUILD=build/thread LUNETTE_SANITIZE=thread \
		tools/run-specs --tags=threads --exclude-tags=kill $(SPECS)

fuzz: ## run each fuzzer for SECONDS=30
	@tools/install-packages ci
	@$(AGAIN) fuzzers
	@tools/fuzz $(SECONDS) $(FUZZ)

chaos: ## whatever may happen to engines, at random, for SECONDS=30
	@tools/install-packages test
	@$(AGAIN) all specs
	@LUNETTE_CHAOS_SECONDS=$(SECONDS) tools/run-specs --pattern=_chaos spec/chaos

judges: ## the writers of other stores, from npm: SERVERS="13 18", 13 to 18
	@tools/install-packages judges
	@$(AGAIN) all specs
	@tools/judges $(SERVERS)

bench: ## measure, beside programs that do the same without Lunette
	@tools/install-packages bench
	@$(AGAIN) all specs benches
	@why=$$(tools/install-npm bench/peers $(BUILD)/peers) || \
		echo "without the loops in JavaScript: $$why"
	@bench/run $(BENCH)

curve: ## measure logs of up to 30 million events; wants 15 GB of disk
	@tools/install-packages bench
	@$(AGAIN) all specs benches
	@bench/run curve $(BENCH)

cover: ## which lines the specs reach: build/cover/*.gcov
	@$(AGAIN) BUILD=build/cover CFLAGS="-O0 -g --coverage" all specs benches
	@LUNETTE_BUILD=build/cover tools/run-specs --exclude-tags=kill $(SPECS) || true
	@cd build/cover && gcov -p $$(find engine stores -name '*.gcda') | \
		grep -A1 "^File '\(engine\|stores\)" | grep -v ^--

format: ## reformat the C sources
	clang-format -i $$(git ls-files '*.c' '*.h')

rock: ## build the rock and install it into build/rock
	luarocks --lua-version 5.4 make --tree build/rock lunette-scm-1.rockspec

# ---- installing

install: all ## install under $(DESTDIR)$(PREFIX)
	@tools/install-files "$(BUILD)" "$(DESTDIR)" "$(PREFIX)" $(VERSION)

uninstall: ## remove what install installed
	@tools/install-files --remove "$(BUILD)" "$(DESTDIR)" "$(PREFIX)" $(VERSION)

clean: ## remove everything built
	rm -rf build demo

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

.PHONY: all lib core specs benches fuzzers demo test check lint asan tsan fuzz \
	chaos judges bench curve cover format rock install uninstall clean help
.SECONDARY:
-include $(patsubst %.c,$(BUILD)/%.d,$(LIB_SRC) $(CLI_SRC) $(SPEC_SRC) \
	$(FAULTY_SRC) $(BENCH_SRC) $(BENCH_PART) $(HOST_SRC)) $(patsubst %.c,build/fuzz/%.d,$(LIB_SRC) $(FUZZ_SRC))
