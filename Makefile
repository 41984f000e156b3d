# Lunette: see `make help`.
#
# Objects go under $(BUILD); SANITIZE=address,undefined (or thread) builds a
# separate tree beside it.

CC       ?= cc
CFLAGS   ?= -O2 -g
SANITIZE ?=
BUILD    ?= build$(if $(SANITIZE),/$(firstword $(subst $(comma), ,$(SANITIZE))))
comma    := ,

LUA_CFLAGS := $(shell pkg-config --cflags lua5.4 2>/dev/null)
LUA_LIBS   := $(shell pkg-config --libs lua5.4 2>/dev/null)
WARNINGS   := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wwrite-strings -Wundef -Wvla -Wformat=2
FLAGS      := -std=c11 -D_GNU_SOURCE -fPIC -pthread -Iengine $(LUA_CFLAGS) \
	$(WARNINGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
LIBS       := -lsqlite3 -luuid -lxxhash -lm -pthread

CORE_SRC   := $(filter-out engine/luaopen.c,$(wildcard engine/*.c)) \
	$(wildcard engine/script/*.c stores/*/*.c)
CLI_SRC    := $(wildcard engine/cli/*.c)
SPEC_SRC   := $(wildcard spec/core/*.c)
CORE_OBJ   := $(CORE_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ    := $(CLI_SRC:%.c=$(BUILD)/%.o)
SPEC_SO    := $(SPEC_SRC:spec/core/%.c=$(BUILD)/spec/%.so)

all: lib $(if $(CLI_SRC),$(BUILD)/lunette) ## build the command and the library

lib: $(BUILD)/liblunette.a

specs: $(SPEC_SO) ## build the C parts of the specs

$(BUILD)/liblunette.a: $(CORE_OBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/lunette: $(CLI_OBJ) $(BUILD)/liblunette.a
	$(CC) $(FLAGS) $(CFLAGS) -o $@ $^ $(LUA_LIBS) $(LIBS) -lz

# A C spec module is loaded by busted: the interpreter brings liblua.
$(BUILD)/spec/%.so: $(BUILD)/spec/core/%.o $(BUILD)/liblunette.a
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) -shared -Wl,-z,nodelete -o $@ $^ $(LIBS) -ljansson

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

format: ## reformat the C sources
	clang-format -i $$(git ls-files '*.c' '*.h')

clean: ## remove everything built
	rm -rf build

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort

.PHONY: all lib specs format clean help
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
