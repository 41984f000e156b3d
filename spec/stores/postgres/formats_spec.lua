-- Stores of every format that there has been, as dumps.

local helper = require "spec.helper"
local event_store = require "event_store_test"
local kit = require "spec.stores.model_kit"
local pg_session = require "pg_session"
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
    local present = 3
    local schema = kit.schema { projection = "counter",
      fields = { note = "text", total = "integer" },
      indexes = { { "total" } } }

    local function format()
      return tonumber(database:sql "SELECT format FROM lunette.lunette_store")
    end

    local function numbers()
      return database:sql [[
        SELECT (SELECT fence FROM lunette.lunette_owners),
          (SELECT fence FROM lunette.lunette_checkpoints),
          (SELECT revision FROM lunette.lunette_checkpoints),
          (SELECT revision FROM lunette.lunette_projections)]]
    end

    -- Tables, columns and indexes of the engine, as the server has them.
    local function tables()
      return database:sql [[
        SELECT table_name, column_name, data_type, is_nullable, column_default
        FROM information_schema.columns WHERE table_schema = 'lunette'
        AND table_name LIKE 'lunette%' ORDER BY 1, 2;
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'lunette'
        AND tablename LIKE 'lunette%' ORDER BY 1;]]
    end

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
      restore("models-" .. present)
      database:sql [[
        UPDATE lunette.lunette_store SET format = 99, made_by = '9.8.7']]
      for _, options in ipairs { {}, { must_exist = 1 } } do
        fails("config", "is of format 99, made by Lunette 9%.8%.7; this is "
          .. "Lunette %S+, which reads format " .. present,
          kit.open(database.url, options))
      end
    end)

    it("is what a store is made with", function()
      database = server:new_database()
      assert(kit.open(database.url)):close()
      local made = tables()
      restore("models-" .. present)
      assert.equal(made, tables())
      assert.equal(present, format())
      assert.equal("1|1|2|1", numbers())
      assert(kit.open(database.url)):close()
      assert.equal("1|1|2|1", numbers())
    end)

    for number = 1, present do
      it(number .. " is read and goes on", function()
        restore("models-" .. number)
        local store = assert(kit.open(database.url))
        local c = assert(store:checkpoint "counter")
        assert.equal("00000000000002d80000000000000003", c.position)
        assert.equal(number < present and 3 or 2, c.revision)
        assert.equal(2, c.rows_revision)
        assert.matches("^A%x+%-", c.source_state)
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
    end

    for number = 1, present - 1 do
      describe(number .. ", upgraded,", function()
        before_each(function()
          restore("models-" .. number)
        end)

        it("has the tables of the present one", function()
          assert(kit.open(database.url)):close()
          assert.equal(present, format())
          local upgraded = tables()
          restore("models-" .. present)
          assert.equal(tables(), upgraded)
        end)

        it("is out of reach of what opened it before", function()
          assert.equal("1|1|2|1", numbers())
          assert(kit.open(database.url)):close()
          assert.equal("2|2|3|2", numbers())
        end)

        it("is left as it is by who only looks", function()
          fails("config", "is of format " .. number .. ", this Lunette reads "
            .. present .. ': "lunette run" upgrades it',
            kit.open(database.url, { must_exist = 1 }))
          assert.equal(number, format())
        end)

        it("is so once, however many do it", function()
          local children = {}
          for i = 1, 4 do
            children[i] = helper.spawn { "lua5.4", "-e", ([[
              package.path = "./?.lua;" .. package.path
              require "spec.helper"
              assert(require("spec.stores.model_kit").open(%q))]]):format(
              database.url) }
          end
          for _, child in ipairs(children) do
            assert.equal(0, child:wait(), child:stderr())
          end
          assert.equal("2|2|3|2", numbers())
        end)

        it("waits for an engine that lives", function()
          local lease = [[UPDATE lunette.lunette_owners
            SET owner = 'ada', expires_at = now() + interval '%s']]
          local beat = [[UPDATE lunette.lunette_heartbeats
            SET owner = 'bob', at = now() - interval '%s']]
          for owner, sql in pairs { ada = lease, bob = beat } do
            database:sql(sql:format "1 second")
            fails("owned", 'while projection "counter" is run by ' .. owner,
              kit.open(database.url))
            assert.equal(number, format())
            database:sql(sql:format(owner == "ada" and "-1 day" or "1 day"))
          end
          assert(kit.open(database.url)):close()
          assert.equal(present, format())
        end)

        it("needs the role that owns them", function()
          database:sql [[
            DO $$ BEGIN
              IF to_regrole('formats_worker') IS NULL THEN
                CREATE ROLE formats_worker LOGIN;
              END IF;
            END $$;
            GRANT USAGE ON SCHEMA lunette TO formats_worker;
            GRANT SELECT, INSERT, UPDATE, DELETE
              ON ALL TABLES IN SCHEMA lunette TO formats_worker;]]
          fails("config", "earlier format and this role may not upgrade them: "
            .. '"lunette run" once as the role that owns them',
            kit.open(database:with(nil, "formats_worker")))
          assert.equal(number, format())
        end)
      end)
    end

    it("is upgraded where an earlier one was made meanwhile", function()
      database = server:new_database()
      local holder = pg_session.open(database.url)
      holder:run "BEGIN"
      holder:run "SELECT pg_advisory_xact_lock(7235431960103)"
      local child = helper.spawn { "lua5.4", "-e", ([[
        package.path = "./?.lua;" .. package.path
        require "spec.helper"
        assert(require("spec.stores.model_kit").open(%q))]]):format(
        database.url) }
      helper.wait(function()
        return database:sql [[SELECT count(*) FROM pg_locks
          WHERE locktype = 'advisory' AND NOT granted]] == "1"
      end)
      holder:run(helper.read_file "spec/stores/formats/postgres-models-1.sql")
      holder:run "COMMIT"
      holder:close()
      assert.equal(0, child:wait(), child:stderr())
      assert.equal(present, format())
    end)

    it("is compared by who acquires something", function()
      restore("models-" .. present)
      local store = assert(kit.open(database.url))
      database:sql [[
        UPDATE lunette.lunette_store SET format = 99, made_by = '9.8.7']]
      fails("config", "is of format 99", store:acquire("counter", "me"))
      fails("config", "is of format 99", store:acquire("other", "me"))
      assert.equal("1|1|2|1", numbers())
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
