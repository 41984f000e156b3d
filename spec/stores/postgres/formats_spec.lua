-- Stores of every format that there has been, as dumps.

local helper = require "spec.helper"
local event_store = require "event_store_test"
local kit = require "spec.stores.model_kit"
local postgres = require "spec.postgres_server"

local server, why = postgres.start()

local function fails(code, pattern, ok, message, actual)
  assert.is_nil(ok)
  assert.equal(code, actual, message)
  assert.matches(pattern, message)
end

describe("the format of a postgres store #postgres", function()
  if not server then
    pending(why)
    return
  end

  local database

  local function restore(name)
    database = server:new_database()
    database:sql(helper.read_file("spec/stores/formats/postgres-" .. name
      .. ".sql"))
  end

  after_each(function()
    collectgarbage()
  end)

  describe("of models", function()
    it("is refused where it is none", function()
      restore "models-0"
      for _, options in ipairs { {}, { must_exist = 1 } } do
        fails("config", "its tables were made before stores said what format "
          .. "they have.*build the models anew",
          kit.open(database.url, options))
      end
      assert.equal("0", database:sql [[SELECT count(*) FROM pg_class
        WHERE relname = 'lunette_store']])
    end)

    it("is refused where it is a later one", function()
      restore "models-1"
      database:sql [[
        UPDATE lunette.lunette_store SET format = 99, made_by = '9.8.7']]
      for _, options in ipairs { {}, { must_exist = 1 } } do
        fails("config", "is of format 99, made by Lunette 9%.8%.7; this is "
          .. "Lunette %S+, which reads format 1",
          kit.open(database.url, options))
      end
    end)

    it("1 is read and goes on", function()
      restore "models-1"
      local store = assert(kit.open(database.url))
      local schema = kit.schema { projection = "counter",
        fields = { note = "text", total = "integer" },
        indexes = { { "total" } } }
      local c = assert(store:checkpoint "counter")
      assert.equal("00000000000002d80000000000000003", c.position)
      assert.equal(2, c.revision)
      assert.equal(1, c.script_count)
      assert.equal(1, c.parked_count)
      assert.matches("event 727:2 .Counted on s.: ",
        store:parked("counter")[1].error)
      local owner = kit.own(store, schema, "counter")
      assert.same({ a = { note = "two", total = 3 } }, owner:load "a")
      owner:commit { a = { total = 4 } }
      assert.equal("4", database:sql "SELECT total FROM lunette.counter")
      store:close()
    end)
  end)

  describe("of events", function()
    it("is refused where it is none", function()
      restore "events-0"
      fails("config", "its tables were made before stores said what format "
        .. "they have.*append the events to a new store",
        event_store.open(database.url))
    end)

    it("is refused where it is a later one", function()
      restore "events-1"
      database:sql "UPDATE lunette_event_store SET format = 99, made_by = '9.8'"
      fails("config", "is of format 99, made by Lunette 9%.8; this is ",
        event_store.open(database.url))
    end)

    it("is what its documentation makes", function()
      database = server:new_database()
      database:sql(helper.read_file("docs/event-table-postgres.md")
        :match "```sql\n(.-)```")
      local store = assert(event_store.open(database.url,
        { must_exist = true }))
      assert(store:append { { stream = "s", type = "Counted", data = "{}" } })
      store:close()
    end)

    it("1 is read by a role that may only read, and appended to", function()
      restore "events-1"
      database:sql [[
        DO $$ BEGIN
          IF to_regrole('formats_reader') IS NULL THEN
            CREATE ROLE formats_reader LOGIN;
          END IF;
        END $$;
        GRANT SELECT ON lunette_events, lunette_event_store
          TO formats_reader;]]
      local reader = assert(event_store.open(
        database:with(nil, "formats_reader")))
      assert.equal("5:3", reader:head())
      reader:close()
      local store = assert(event_store.open(database.url))
      assert(store:append { { stream = "s", type = "Counted", data = "{}" } })
      store:close()
      assert.equal("4", database:sql [[
        SELECT max(version) FROM lunette_events WHERE stream = 's']])
    end)
  end)
end)
